"""A proxy tells agents of the drains and deaths that it sees: what a drained server's agent owns
goes to others while everybody is served, and of a death no more is believed than that it is time to
look."""
import secrets
import threading

import pytest
from harness import poll
from harness.apps import crowd, join
from harness.stored_fleet import USERS, VISITS, busy_users, counted, of, pool_of, running, visit, visits, wait_joined

NAMES = ("app1", "app2", "app3")
DRAIN_SECONDS = 10  # until an agent with so few sessions owns none
REPEAT_SECONDS = 15  # what is told is told again by then, to whoever comes back


@pytest.fixture
def servers(tmp_path):
    with running(NAMES, tmp_path) as made:
        yield made


@pytest.fixture
def proxy(run_proxy, servers):
    return run_proxy(pools=pool_of(servers))


class Load:
    """All users go on with their sessions, until they are told to stop."""

    def __init__(self, users):
        self.ends = threading.Event()
        self.work = crowd(users, self.go_on)

    def go_on(self, user):
        while not self.ends.is_set():
            visit(user)

    def stop(self):
        self.ends.set()
        join(*self.work)


def drain(proxy, server):
    proxy.set_state(server.name, "drain")
    poll(lambda: server.status()["replication"]["drains"], DRAIN_SECONDS, "the agent knows")
    poll(lambda: server.owned() == 0, DRAIN_SECONDS, "its agent owns nothing")


def test_a_drained_server_gives_its_sessions_away_and_may_die(proxy, servers):
    """Its users stay and notice nothing; when it dies nothing has to be taken over or moved."""
    users = busy_users(proxy, servers)
    drained, alive = servers[1], [servers[0], servers[2]]
    stay = of(users, drained)
    load = Load(users)
    try:
        drain(proxy, drained)
        served = [len(user.servers) for user in stay]
        poll(lambda: all(len(user.servers) > count + VISITS for user, count in zip(stay, served)),
             DRAIN_SECONDS, "its users are served on")
        assert drained.owned() == 0
    finally:
        load.stop()
    assert stay and of(users, drained) == stay
    assert proxy.metric("holdfast_agents_told_total", what="drain") == 1
    assert drained.metric("holdfast_peer_told_total", what="drain") == 1
    poll(lambda: counted(alive, "taken") >= len(stay), 5, "all are taken")
    moves = counted(alive, "moves")
    drained.kill()
    proxy.wait_state(drained.name, "down")
    join(*crowd(users, visits))
    assert not of(users, drained)
    poll(lambda: sum(server.owned() for server in alive) == USERS, 5, "the others own all sessions")
    assert counted(alive, "moves") == moves  # where the proxy sent them their sessions were
    for trouble in ("promotions", "unsure", "lost", "repeated"):
        assert counted(alive, trouble) == 0, trouble


def test_a_server_that_is_ready_again_gets_its_sessions_back(proxy, servers):
    users = busy_users(proxy, servers)
    drained = servers[0]
    stay = of(users, drained)
    drain(proxy, drained)
    proxy.set_state(drained.name, "ready")
    poll(lambda: not drained.status()["replication"]["drains"], DRAIN_SECONDS, "the agent knows")
    join(*crowd(users, visits))
    poll(lambda: drained.owned() == len(stay), 5, "it owns the sessions that it serves")
    assert proxy.metric("holdfast_agents_told_total", what="ready") == 1


def test_all_drained_servers_keep_what_they_own(proxy, servers):
    """There is nobody to give it to."""
    users = busy_users(proxy, servers)
    for server in servers:
        proxy.set_state(server.name, "drain")
    for server in servers:
        poll(lambda: server.status()["replication"]["drains"], DRAIN_SECONDS, "the agent knows")
    join(*crowd(users, visits))
    poll(lambda: sum(server.owned() for server in servers) == USERS, DRAIN_SECONDS, "each is owned once")
    assert counted(servers, "unsure") == 0


def test_an_agent_that_comes_back_is_told_again(proxy, servers):
    users = busy_users(proxy, servers)
    drained = servers[2]
    drain(proxy, drained)
    drained.agent.stop()
    drained.agent.start()
    wait_joined(servers)
    poll(lambda: drained.status()["replication"]["drains"], REPEAT_SECONDS, "it knows again")
    assert drained.owned() == 0 and proxy.metric("holdfast_agents_told_total", what="drain") == 1
    stay = of(users, drained)
    join(*crowd([user for user in users if user not in stay], visits))


def test_a_death_is_told_to_the_others(proxy, servers):
    users = busy_users(proxy, servers)
    dead, alive = servers[2], servers[:2]
    victims = of(users, dead)
    dead.kill()
    proxy.wait_state(dead.name, "down")
    poll(lambda: proxy.metric("holdfast_agents_told_total", what="dead") == 2, 5, "both are told")
    for server in alive:
        assert server.metric("holdfast_peer_told_total", what="dead") == 1
    join(*crowd(users, visits))
    poll(lambda: counted(alive, "promotions") == len(victims), 5, "each session is promoted once")
    dead.start()
    proxy.wait_state(dead.name, "ready")
    wait_joined(servers)
    poll(lambda: all(server.metric("holdfast_peer_proxies") == 0 for server in servers), 10,
         "there is nothing to tell any more")


def test_a_proxy_that_is_wrong_about_a_death_does_no_harm(proxy, servers):
    """The application is gone, and its agent lives."""
    users = busy_users(proxy, servers)
    believed, others = servers[0], servers[1:]
    victims = of(users, believed)
    links = [server.metric("holdfast_peer_links_opened_total") for server in servers]
    gone = [server.metric("holdfast_peer_gone_total") for server in servers]
    load = Load([user for user in users if user not in victims])
    try:
        believed.app.kill()
        proxy.wait_state(believed.name, "down")
        poll(lambda: all(server.metric("holdfast_peer_looks_total", found="runs") == 1 for server in others),
             5, "the others looked")
        join(*crowd(victims, visits))
    finally:
        load.stop()
    assert victims and not of(users, believed)
    assert [server.metric("holdfast_peer_links_opened_total") for server in servers] == links
    assert [server.metric("holdfast_peer_gone_total") for server in servers] == gone
    for trouble in ("promotions", "lapses", "unsure"):
        assert counted(servers, trouble) == 0, trouble


def test_agents_with_a_key_want_it_of_a_proxy_too(run_proxy, tmp_path):
    key = tmp_path / "peer.key"
    key.write_text(secrets.token_hex(32) + "\n")
    key.chmod(0o600)
    with running(NAMES, tmp_path, peer_key_file=str(key)) as servers:
        proxy = run_proxy(pools=pool_of(servers))
        users = busy_users(proxy, servers)
        drained = servers[1]
        proxy.set_state(drained.name, "drain")
        poll(lambda: proxy.metric("holdfast_agents_tell_failures_total") > 0, 5, "it is not heard")
        assert "copy its peer_key_file to agents.key in state_dir" in proxy.stderr()
        poll(lambda: drained.owned() > 0, 5, "it owns what it serves")
        assert not drained.status()["replication"]["drains"]
        copy = proxy.directory / "state" / "agents.key"
        copy.write_text(key.read_text())
        copy.chmod(0o600)
        proxy.reload()
        poll(lambda: drained.owned() == 0, DRAIN_SECONDS, "its agent owns nothing")
        join(*crowd(users, visits))
