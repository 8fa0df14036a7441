"""Fault campaigns at the store itself: clocks that jump, values that end while they are written, no
memory, messages that come twice or out of turn, two writers of one session.

As in test_faults.py: seeded, a short round always and the long one in `make chaos`.
"""
import time

import pytest
from campaign import LONG, Campaign
from harness.clock import poll
from harness.redis import Wire
from preload import Orders
from store_users import Counters, Fleeting, Forgetful, Hoarder, Rivals
from test_faults import judged, kill_one, long_round
from users import Bouncer, User

HOUR_S, YEAR_S = 3600, 365 * 86400
JUMPS_S = [HOUR_S, -HOUR_S, YEAR_S, -YEAR_S, -1, 5]
MEMORY = 6 << 20  # of each agent, in bytes
HOARDED = 20000  # bytes of a session where there is no room for all
RESIDENT_MAX = MEMORY + (64 << 20)  # with the program, its buffers and its tables
FEW = 150 if LONG else 60  # users who never pause


@pytest.fixture
def obeying(tmp_path):
    """A maker of the orders of each agent of a cluster: give it to run_cluster as `orders`."""
    return lambda name: Orders(tmp_path / f"{name}.orders")


def wall_clock(server):
    with Wire(server.store) as wire:
        return int(wire.ask("TIME").split(b"\r\n")[2])


def jump(campaign, name, seconds):
    server = campaign.cluster.servers[name]
    server.orders.clock(seconds)
    campaign.note(f"the clock of {name} is wrong by {seconds} s")
    if not server.paused and name in campaign.cluster.known:
        assert abs(wall_clock(server) - time.time() - seconds) < 60, "the clock did not jump"


@pytest.mark.parametrize("kind", [User, Fleeting])
def test_clocks_jump(run_cluster, obeying, seed, kind):
    """F16: wall clocks jump by an hour and a year, forth and back, each agent's by itself; then one
    agent dies. Sessions live as long as they were told to, and no longer."""

    def fault(campaign):
        for _ in range(12 if LONG else 5):
            jump(campaign, campaign.victim(), campaign.random.choice(JUMPS_S))
            campaign.pause(0.05, 0.3)
        campaign.kill(campaign.victim())

    judged(Campaign(run_cluster(orders=obeying), seed, kind=kind).run(fault))


@pytest.mark.parametrize("fault", [lambda campaign: None, pytest.param(kill_one, marks=long_round)],
                         ids=["calm", "kill"])
def test_expiry_against_writes(run_cluster, seed, fault):
    """F17: lives of 1 to 50 ms, written anew and read at all servers meanwhile."""
    judged(Campaign(run_cluster(), seed, kind=Fleeting).run(fault))


def resident(server):
    """Bytes of memory that its process has."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def full(campaign):
    """Waits until there is no more room."""
    cluster = campaign.cluster
    poll(lambda: metric(cluster, "OOM", campaign) or metric(cluster, "evicted", campaign), 20, "memory is full")
    campaign.pause(1.0 if LONG else 0.3)
    for name, server in cluster.servers.items():
        campaign.note(f"{name} has {resident(server) >> 20} MiB")
        assert resident(server) < RESIDENT_MAX, campaign.told()


def metric(cluster, what, campaign):
    """How many were turned away; how many of those that were taken are more than there is room for."""
    if what == "OOM":
        return sum(user.turned_away for user in campaign.users)
    taken = sum(len(user.taken) for user in campaign.users)
    return taken * HOARDED > 2 * MEMORY * len(cluster.names)


@pytest.mark.parametrize("when_full, kind", [("refuse", Hoarder), ("evict", Forgetful)])
def test_memory_is_full(run_cluster, seed, when_full, kind):
    """F18: sessions come until there is no room, and go on coming. What was taken stays, or was
    dropped where that is allowed; and there is room again when sessions end."""
    cluster = run_cluster(memory=f"{MEMORY >> 20}MiB", when_full=when_full)
    campaign = Campaign(cluster, seed, users=FEW, kind=kind, size=HOARDED)
    campaign.run(full).verdict(each=1)
    turned_away = metric(cluster, "OOM", campaign)
    assert (turned_away > 0) == (when_full == "refuse"), campaign.told()
    for name in cluster.names:
        with Wire(cluster.servers[name].store) as wire:
            assert wire.ask("SETEX", f"sess:after-{name}", "100", "x" * HOARDED) == b"+OK\r\n"


def test_allocations_fail(run_cluster, obeying, seed):
    """F19: of the agents' allocations some fail, again and again. Nobody ends; who gets an answer can
    rely on it."""
    cluster = run_cluster(orders=obeying)

    def fault(campaign):
        for one_in in (100, 10, 3) if LONG else (20, 3):
            for server in cluster.servers.values():
                server.orders.allocations(one_in)
            campaign.note(f"one of {one_in} allocations fails")
            campaign.pause(0.5, 1.0)
        for name, server in cluster.servers.items():
            server.orders.allocations(0)
            campaign.note(f"{name}: {server.orders.failed} failed")
            assert server.process.poll() is None, server.said()
        assert any(server.orders.failed for server in cluster.servers.values()), "none failed"

    judged(Campaign(cluster, seed, kind=Bouncer).run(fault))


@pytest.mark.parametrize("what", ["twice", "late", "again"])
def test_messages_come_wrong(run_cluster, seed, what):
    """F29: messages between agents come twice, behind the next one, or again long after. Nothing that was
    acknowledged is lost, whatever becomes of the links, and no write is done after it was answered by an error."""
    cluster = run_cluster(delays=True)

    def fault(campaign):
        cluster.net.mischief(what, 10, seed)
        campaign.note(f"some messages come {what}")
        campaign.pause(2.0 if LONG else 1.0)
        count = cluster.net.mischief(what, 0, seed)
        campaign.note(f"{count} did")
        assert count > 0, "none came wrong"

    judged(Campaign(cluster, seed, kind=Bouncer).run(fault))


@pytest.mark.parametrize("kind", [Rivals, Counters])
@pytest.mark.parametrize("fault", [lambda campaign: None, pytest.param(kill_one, marks=long_round)],
                         ids=["calm", "kill"])
def test_two_writers(run_cluster, seed, kind, fault):
    """F30: two clients write one session at two servers at once. Everybody sees one order; no count
    that was acknowledged is lost."""
    judged(Campaign(run_cluster(), seed, kind=kind).run(fault))
