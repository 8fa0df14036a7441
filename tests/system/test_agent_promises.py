"""docs/promises.md where more than one agent ends, or a majority is wanted: real agents, SIGKILL."""
import pytest
import redis
from harness import poll, scaled
from harness.agents import Agents

SESSIONS = 120


def values():
    return {f"sess:{number}": b"value %d" % number for number in range(SESSIONS)}


@pytest.fixture
def started(tmp_path):
    """Starts agents and fills them: each owns about as many sessions, all of which have their copies."""
    made = []

    def start(count, **keys):
        agents = Agents(tmp_path, count, **keys)
        made.append(agents)
        agents.start()
        clients = [agents.client(name) for name in agents.names]
        for number, (key, value) in enumerate(values().items()):
            client = clients[number % count]
            client.get(key)
            client.set(key, value)
        wait_copies(agents, keys.get("backups", 1))
        return agents

    yield start
    for agents in made:
        agents.stop()


def held(agents):
    """(sessions that living agents own, copies that they hold)"""
    told = [agents.status(name)["sessions"] for name in agents.alive()]
    return sum(one["owner"] for one in told), sum(one["backup"] for one in told)


def wait_copies(agents, backups):
    poll(lambda: held(agents) == (SESSIONS, SESSIONS * backups), 5, "each session has its copies")


def read(agents):
    """{key: what the living agents say of it}, each session asked of one of them in turn."""
    clients = [agents.client(name) for name in agents.alive()]
    return {key: clients[n % len(clients)].get(key) for n, key in enumerate(values())}


def kill_at_once(agents, *names):
    for name in names:
        agents.agents[name].process.kill()
    for name in names:
        agents.kill(name)


def test_one_after_the_other(started):
    agents = started(3)
    agents.kill("a")
    wait_copies(agents, 1)
    agents.kill("b")
    assert read(agents) == values()
    last = agents.client("c")
    assert last.set("sess:0", "newer") and last.get("sess:0") == b"newer"


def test_two_at_once_and_two_backups(started):
    agents = started(4, backups=2)
    kill_at_once(agents, "a", "b")
    assert read(agents) == values()


def test_two_at_once_and_one_backup(started):
    """What just these two held is gone, and known to be; everything else is there."""
    agents = started(4)
    safe = {key.decode() for name in "cd" for key in agents.client(name).keys("*")}
    assert len(safe) == SESSIONS / 2
    kill_at_once(agents, "a", "b")
    found = read(agents)
    assert {key: found[key] for key in safe} == {key: values()[key] for key in safe}
    at_risk = {key: value for key, value in found.items() if key not in safe}
    assert all(value in (None, values()[key]) for key, value in at_risk.items())
    assert any(value is None for value in at_risk.values()) and any(at_risk.values())


def test_a_majority_goes_on(started):
    agents = started(3, consistency="consistent")
    agents.kill("a")
    assert read(agents) == values()
    wait_copies(agents, 1)
    agents.kill("b")
    with pytest.raises(redis.ResponseError, match="^TRYAGAIN"):
        agents.client("c").get("sess:0")
    agents.start("b")
    assert read(agents) == values()


def test_all_at_once(started):
    agents = started(3)
    kill_at_once(agents, *agents.names)
    agents.start()
    assert set(read(agents).values()) == {None}
    first = agents.client("a")
    assert first.set("sess:0", "anew") and agents.client("b").get("sess:0") == b"anew"


def test_a_lock_ends_with_its_time_when_its_holder_is_dead(started):
    agents = started(3)
    lock, milliseconds = "PHPREDIS_SESSION:x_LOCK", int(scaled(3) * 1000)
    assert agents.client("a").set(lock, "of a", nx=True, px=milliseconds)
    agents.kill("a")
    waiting = agents.client("b")
    assert waiting.set(lock, "of b", nx=True) is None
    assert 0 < waiting.pttl(lock) <= milliseconds
    poll(lambda: waiting.set(lock, "of b", nx=True), 10, "the lock is free")
