"""Applications with a session agent each, behind the proxy: server and agent die together, and the
sessions go on at servers whose agents have their copies."""
import json
import signal

import pytest
from harness import poll
from harness.apps import crowd, join
from harness.stored_fleet import busy_users, counted, of, pool_of, running, visit, visits, wait_joined

NAMES = ("app1", "app2", "app3")
LEASE_SECONDS = 1.1  # an agent that is silent that long is dead to the others


@pytest.fixture
def servers(tmp_path):
    """Running servers whose agents know each other."""
    with running(NAMES, tmp_path) as made:
        yield made


@pytest.fixture
def proxy(run_proxy, servers):
    return run_proxy(pools=pool_of(servers))


def check_confirmed(proxy, cause, moved):
    """Each session that moved is known, to the agent it moved to, to be the one from before."""
    name = "holdfast_sessions_confirmed_total"
    poll(lambda: proxy.metric(name, cause=cause) == moved, 5, "the agents are asked")
    assert proxy.metric(name, cause=cause, answer="held") == moved, proxy.metrics()
    assert proxy.metric("holdfast_sessions_unconfirmed_total") == 0


def check_counters(proxy, moved, unsure=False):
    """Every outcome there is. unsure: an agent may not have known, which ends as an error."""
    metrics = proxy.metrics()
    unknown = metrics.value("holdfast_sessions_unknown_total", cause="down")
    assert unknown == 0 or unsure
    assert metrics.value("holdfast_sessions_moved_total", cause="down") + unknown == moved
    for outcome in ("lost", "replaced", "refused"):
        assert metrics.value(f"holdfast_sessions_{outcome}_total") == 0, outcome
    assert metrics.value("holdfast_recovery_lookup_seconds_count") == moved
    check_confirmed(proxy, "down", moved - unknown)


def check_recovery(proxy, failed, outcomes=("moved",)):
    code, text = proxy.admin("/v1/status")
    assert code == 200, text
    last = json.loads(text)["recoveries"][0]
    assert last["server"] == failed.name and last["session"] in outcomes
    assert last["successor"] in NAMES and last["successor"] != failed.name


@pytest.mark.parametrize("seen", ["first by clients", "first by checks"])
def test_sessions_of_a_dead_server_and_agent_go_on(proxy, servers, seen):
    users = busy_users(proxy, servers)
    dead, alive = servers[1], [servers[0], servers[2]]
    victims = of(users, dead)
    dead.kill()
    if seen == "first by checks":
        proxy.wait_state(dead.name, "down")
    join(*crowd(users, visit))
    proxy.wait_state(dead.name, "down")
    join(*crowd(users, visits))
    assert victims and not of(users, dead)
    check_counters(proxy, len(victims))
    check_recovery(proxy, dead)
    # Agents tell their counts at their ticks.
    poll(lambda: counted(alive, "promotions") == len(victims), 5, "each session is promoted once")
    assert counted(alive, "lost") == 0
    for server in alive:  # proxy and agents rank alike: who got the client has the session
        expected = len(of(users, server))
        poll(lambda: server.status()["sessions"]["owner"] == expected, 5, f"{server.name} owns its users")


def test_one_after_the_other_may_die(proxy, servers):
    """A session that was moved has a copy again before the next server goes."""
    users = busy_users(proxy, servers)
    moved = 0
    for dead in servers[:2]:
        victims = of(users, dead)
        moved += len(victims)
        dead.kill()
        proxy.wait_state(dead.name, "down")
        join(*crowd(users, visits))
        assert victims and not of(users, dead)
        check_counters(proxy, moved)
        dead.start()
        proxy.wait_state(dead.name, "ready")
        wait_joined(servers)
        join(*crowd(users, visits))
    check_counters(proxy, moved)


def test_sessions_of_a_hung_server_and_agent_go_on(proxy, servers):
    """Nothing is closed: the proxy waits for its checks, the agents for a lease."""
    users = busy_users(proxy, servers)
    hung = servers[2]
    victims = of(users, hung)
    hung.signal(signal.SIGSTOP)
    try:
        proxy.wait_state(hung.name, "down")
        join(*crowd(users, lambda user: visit(user, LEASE_SECONDS * 3)))
        join(*crowd(users, visits))
    finally:
        hung.signal(signal.SIGCONT)
    assert victims and not of(users, hung)
    check_counters(proxy, len(victims), unsure=True)
    check_recovery(proxy, hung, ("moved", "unknown"))
    wait_joined(servers)
    join(*crowd(users, visits))


def test_maintenance_moves_sessions_from_a_living_agent(proxy, servers):
    users = busy_users(proxy, servers)
    resting = servers[0]
    victims = of(users, resting)
    proxy.set_state(resting.name, "maintenance")
    join(*crowd(users, visits))
    assert victims and not of(users, resting)
    metrics = proxy.metrics()
    assert metrics.value("holdfast_sessions_moved_total", cause="maintenance") == len(victims)
    assert metrics.value("holdfast_sessions_replaced_total") == 0
    check_confirmed(proxy, "maintenance", len(victims))
    poll(lambda: resting.status()["sessions"]["owner"] == 0, 5, "it owns nobody any more")
