"""Fault campaigns for the session fabric: real agents, users with a memory, one fault each.

CHAOS_SEED chooses the first seed (a failure names its own), CHAOS_ROUNDS how many, CHAOS_LONG=1 the
campaigns and the number of users of `make chaos`. What a campaign shows is that no promise of
docs/peer-protocol.md was broken; how long users waited is told, not judged, but for the bound within
which they must be served again.
"""
import pytest
from campaign import LONG, Campaign
from users import Bouncer, Leaver

SERVED_AGAIN_MS_MAX = 5000
long_round = pytest.mark.skipif(not LONG, reason="of the long round: make chaos")


def judged(campaign, served_again_ms=SERVED_AGAIN_MS_MAX):
    campaign.verdict()
    waits = campaign.recoveries()
    assert not waits or waits[-1] < served_again_ms, campaign.told()
    return campaign


def kill_one(campaign):
    campaign.pause(0, 0.3)
    campaign.kill(campaign.victim())


def test_kill(run_cluster, seed):
    """F1: kill -9 of an agent under writes."""
    judged(Campaign(run_cluster(), seed).run(kill_one))


def test_cut_then_kill(run_cluster, seed):
    """F1: an agent's links are cut 50 ms before kill -9, and nobody hears of its end: what it
    acknowledged in between must be somewhere else."""

    def fault(campaign):
        victim = campaign.victim()
        campaign.isolate(victim)
        campaign.pause(0.05)
        campaign.kill(victim)

    judged(Campaign(run_cluster(), seed).run(fault))


def test_two_die(run_cluster, seed):
    """F2: with two backups a second one may die while the first one's sessions are copied anew."""

    def fault(campaign):
        campaign.kill(campaign.victim())
        campaign.pause(0, 0.2)
        campaign.kill(campaign.victim())

    judged(Campaign(run_cluster(backups=2), seed).run(fault))


@pytest.mark.parametrize("seconds", [pytest.param(0.3, marks=long_round), 2.0, pytest.param(8.0, marks=long_round)])
def test_hang(run_cluster, seed, seconds):
    """F3, F4: an agent is stopped and goes on: it must not serve what others have changed since."""

    def fault(campaign):
        victim = campaign.victim()
        campaign.stop(victim)
        campaign.pause(seconds)
        campaign.resume(victim)

    judged(Campaign(run_cluster(), seed, patience_s=0.4).run(fault))


def test_join(run_cluster, seed):
    """F11: an agent comes empty while others write; as soon as it serves one of those dies."""

    def fault(campaign):
        victim = campaign.victim()
        campaign.kill(victim)
        campaign.pause(0.3, 1.0)
        campaign.start(victim)
        campaign.kill(campaign.random.choice(campaign.cluster.others(victim)))

    judged(Campaign(run_cluster(), seed).run(fault))


def test_bounce(run_cluster, seed):
    """Nobody dies: requests of one session in turns at two servers, and reads at all of them."""
    judged(Campaign(run_cluster(), seed, kind=Bouncer).run(lambda campaign: None))


@long_round
def test_bounce_and_kill(run_cluster, seed):
    judged(Campaign(run_cluster(), seed, kind=Bouncer).run(kill_one))


def test_logout_is_final(run_cluster, seed):
    """A slow request writes its session back while and after it was deleted."""
    judged(Campaign(run_cluster(), seed, kind=Leaver).run(lambda campaign: None))


@long_round
def test_logout_and_kill(run_cluster, seed):
    judged(Campaign(run_cluster(), seed, kind=Leaver).run(kill_one))


def test_rolling_restart(run_cluster, seed):
    """F12: each agent is ended by SIGTERM and started again. Those that are up all the while have no
    failed request."""
    cluster = run_cluster()

    def fault(campaign):
        for name in cluster.names:
            cluster.known.pop(name)
            campaign.note(f"SIGTERM {name}")
            cluster.servers[name].stop()
            campaign.note(f"{name} ended")
            campaign.start(name)

    judged(Campaign(cluster, seed).run(fault))


@long_round
def test_partition_consistent(run_cluster, seed):
    """F5, F7: one agent is cut off and comes back, three times; with `consistent` no promise is broken."""

    def fault(campaign):
        for _ in range(3):
            campaign.isolate(campaign.victim())
            campaign.pause(1.0, 2.0)
            campaign.heal()
            campaign.pause(0.5, 1.5)

    judged(Campaign(run_cluster(consistency="consistent"), seed, patience_s=1.0).run(fault))


@long_round
@pytest.mark.parametrize("consistency", ["available", "consistent"])
def test_one_way(run_cluster, seed, consistency):
    """F6: what one agent says to another one is lost, what it hears is not."""

    def fault(campaign):
        source = campaign.victim()
        campaign.cut((source, campaign.random.choice(campaign.cluster.others(source))))
        campaign.pause(1.5, 2.5)
        campaign.heal()

    judged(Campaign(run_cluster(consistency=consistency), seed, patience_s=1.0).run(fault))


@long_round
def test_one_link(run_cluster, seed):
    """F5: two agents do not hear each other; the third one hears both."""

    def fault(campaign):
        one, other = campaign.random.sample(campaign.cluster.names, 2)
        campaign.cut((one, other), (other, one))
        campaign.pause(1.5, 2.5)
        campaign.heal()

    judged(Campaign(run_cluster(consistency="consistent"), seed, patience_s=1.0).run(fault))


@long_round
def test_flapping_links(run_cluster, seed):
    """F8: the links of one agent are reset again and again."""

    def fault(campaign):
        victim = campaign.victim()
        for _ in range(15):
            campaign.cluster.net.reset(victim)
            campaign.pause(0.02, 0.2)

    judged(Campaign(run_cluster(delays=True), seed).run(fault))


@long_round
def test_flapping_agent(run_cluster, seed):
    """F7, F8: one agent dies and comes back, again and again."""

    def fault(campaign):
        victim = campaign.victim()
        for _ in range(5):
            campaign.kill(victim)
            campaign.pause(0, 0.5)
            campaign.start(victim)

    judged(Campaign(run_cluster(), seed).run(fault))


@long_round
@pytest.mark.parametrize("ms", [5, 100])
def test_slow_links(run_cluster, seed, ms):
    """F10: each direction takes so long; beyond 20 ms to a copy a write is answered as degraded."""

    def fault(campaign):
        campaign.cluster.net.delay(ms)
        campaign.note(f"delayed by {ms} ms")
        campaign.pause(2)
        campaign.cluster.net.delay(0)
        campaign.note("not delayed")

    judged(Campaign(run_cluster(delays=True), seed).run(fault))


@long_round
def test_large_sessions(run_cluster, seed):
    """F31: sessions of 200 KB travel in pieces; one agent dies."""
    judged(Campaign(run_cluster(), seed, users=30, size=200 * 1000).run(kill_one))
