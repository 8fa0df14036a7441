"""The judge must find what it is there for: histories that break each promise, and a store that is
known to lose acknowledged writes (redis-server, whose replica takes over behind a cut)."""
import time

import pytest
from campaign import Campaign
from harness.redis import RedisServer
from judge import Judge, encode
from redis_pair import RedisPair
from store_users import Counters
from users import Bouncer, Leaver, User, waits_for


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def story(judge):
    return judge.story("a")


def written(story):
    number = story.begin_write("here")
    story.end_write(number)
    return story.value(number, 50)


def reads(story, value):
    return story.end_read(story.begin_read(), value, "here")


def test_promises_kept(judge, story):
    assert reads(story, None)
    first = written(story)
    assert reads(story, first)
    asked = story.begin_read()
    second = written(story)
    assert story.end_read(asked, first, "here") and story.end_read(asked, second, "here")
    assert not judge.wrong


def test_failed_write_may_have_happened(judge, story):
    first = written(story)
    number = story.begin_write("here")
    story.fail_write(number, "why")
    assert reads(story, first)
    assert reads(story, story.value(number, 50))
    assert not reads(story, first), "it was seen, and is seen by all from then on"
    assert judge.kinds() == {"stale": 1}


def test_overlapping_writes_have_no_order(judge, story):
    one, two = story.begin_write("here"), story.begin_write("here")
    story.end_write(two)
    story.end_write(one)
    assert reads(story, story.value(one, 50)) and reads(story, story.value(two, 50))
    assert not judge.wrong


def broken_stale(story):
    first = written(story)
    written(story)
    return first


def broken_late(story):
    number = story.begin_write("here")
    story.fail_write(number, "why")
    written(story)
    return story.value(number, 50)


def broken_missing(story):
    written(story)


def broken_foreign(story):
    written(story)
    return encode("b", 1, 50)


def broken_torn(story):
    return written(story)[:-1] + b"?"


def broken_unwritten(story):
    written(story)
    return story.value(2, 50)


def broken_undead(story):
    value = written(story)
    story.begin_delete("here")
    story.end_delete(story.known, 1, "here")
    return value


@pytest.mark.parametrize("break_it, kind", [
    (broken_stale, "stale"), (broken_late, "late"), (broken_missing, "missing"), (broken_foreign, "foreign"),
    (broken_torn, "foreign"), (broken_unwritten, "foreign"), (broken_undead, "undead")])
def test_promises_broken(judge, story, break_it, kind):
    value = break_it(story)
    time.sleep(0.001)  # the clock moves on
    assert not reads(story, value)
    assert judge.kinds() == {kind: 1}


def test_nothing_to_delete(judge, story):
    written(story)
    story.begin_delete("here")
    story.end_delete(story.known, 0, "here")
    assert judge.kinds() == {"missing": 1}


@pytest.fixture
def redis_pair(tmp_path):
    pair = RedisPair(tmp_path).start()
    yield pair
    pair.stop()


def cut_then_kill(campaign):
    """The link is cut 50 ms before the primary is killed; a watcher promotes the replica."""
    campaign.cluster.isolate("app1")
    campaign.pause(0.05)
    campaign.kill("app1")
    campaign.cluster.promote("app2")


def test_finds_what_redis_loses(redis_pair, seed):
    campaign = Campaign(redis_pair, seed, users=300).run(cut_then_kill)
    print(campaign.told())
    assert campaign.judge.kinds().get("stale", 0) + campaign.judge.kinds().get("missing", 0) > 0, campaign.told()
    assert set(campaign.judge.kinds()) <= {"stale", "missing"}, campaign.told()


def test_finds_counts_that_redis_loses(redis_pair, seed):
    campaign = Campaign(redis_pair, seed, users=300, kind=Counters).run(cut_then_kill)
    assert campaign.judge.kinds().get("lost", 0) > 0, campaign.told()
    assert set(campaign.judge.kinds()) == {"lost"}, campaign.told()


def test_finds_nothing_where_redis_waits(redis_pair, seed):
    campaign = Campaign(redis_pair, seed, users=300, wait=waits_for(1)).run(cut_then_kill)
    campaign.verdict(each=0.2)  # each waits a second for what was cut off


class OneStore:
    """Three servers that share one redis-server."""

    def __init__(self, directory):
        self.names = ["app1", "app2", "app3"]
        self.store = RedisServer(directory, unix=True).start()
        self.known = {name: self.store.address for name in self.names}
        self.net = self.store  # for its name alone


@pytest.fixture
def one_store(tmp_path):
    made = OneStore(tmp_path)
    yield made
    made.store.stop()


@pytest.mark.parametrize("kind", [User, Bouncer])
def test_finds_nothing_where_nothing_is_wrong(one_store, seed, kind):
    Campaign(one_store, seed, kind=kind).run(lambda campaign: None).verdict()


def test_finds_sessions_that_come_back(one_store, seed):
    """A store without tombstones keeps what a slow request writes after the logout."""
    campaign = Campaign(one_store, seed, kind=Leaver).run(lambda campaign: None)
    print(campaign.told())
    assert set(campaign.judge.kinds()) == {"undead"}, campaign.told()
