"""Applications with a session agent each, behind the proxy: server and agent die together, and the
sessions go on at servers whose agents have their copies."""
import json
import signal
import urllib.request

import pytest
from harness import Browser, checks, free_port, poll, pool, scaled
from harness.agent import Agent
from harness.apps import StoredApp, crowd, join
from harness.proxy import Metrics

NAMES = ("app1", "app2", "app3")
USERS, VISITS = 45, 4
CHECKS = {"interval_ms": 500, "fall": 3}  # a server that is busy is not taken for a dead one
JOIN_SECONDS = 15
LEASE_SECONDS = 1.1  # an agent that is silent that long is dead to the others


class Server:
    """An application and the agent beside it."""

    def __init__(self, name, directory, peers):
        self.name, self.peer = name, peers[name]
        self.running = False
        keys = {"mode": "replicated", "peer": self.peer, "peers": peers}
        self.agent = Agent(directory / f"agent-{name}", node=name, **keys)
        self.app = StoredApp(name, directory, self.agent.port)

    @property
    def row(self):
        return {"name": self.name, "address": f"127.0.0.1:{self.app.port}", "agent": self.peer}

    def start(self):
        self.agent.spawn()
        self.ready()

    def ready(self):
        self.running = True
        self.agent.ready()
        self.app.start()

    def signal(self, number):
        """To both, the agent first: what it acknowledged is all that others can know."""
        for process in (self.agent.process, self.app.process):
            process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.agent.kill()
        self.app.kill()
        self.running = False

    def _ask(self, path):
        url = f"http://127.0.0.1:{self.agent.admin_port}{path}"
        with urllib.request.urlopen(url, timeout=scaled(10)) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self._ask("/v1/status"))

    def metric(self, name):
        return Metrics.parse(self._ask("/metrics")).value(name)

    def joined(self, peers):
        try:
            told = self.status()["replication"]
        except OSError:
            return False  # its admin side does not listen yet
        linked = sum(peer["linked"] for peer in told["peers"])
        return told["ready"] and told["complete"] and linked == peers


def wait_joined(servers):
    peers = len(servers) - 1
    poll(lambda: all(server.joined(peers) for server in servers), JOIN_SECONDS, "agents are joined")


@pytest.fixture
def servers(tmp_path):
    """Running servers whose agents know each other."""
    peers = {name: f"127.0.0.1:{free_port()}" for name in NAMES}
    made = [Server(name, tmp_path, peers) for name in NAMES]
    try:
        for server in made:
            server.agent.spawn()
        for server in made:
            server.ready()
        wait_joined(made)
        yield made
        for server in made:
            if server.running:
                server.agent.stop()
    finally:
        for server in made:
            if server.running:
                server.kill()


@pytest.fixture
def proxy(run_proxy, servers):
    """Quick to judge, and refusing whoever would lose a session."""
    config = pool([], session={"cookie": "SID"}, health=checks(**CHECKS), on_loss="error")
    config["servers"] = [server.row for server in servers]
    return run_proxy(pools=config)


def ask(user):
    """An answer, or None while the agent says that it does not know: an error, and no miss."""
    answer = user.request()
    if answer.status == 500:
        assert "TRYAGAIN" in answer.json()["error"], answer.body
        return None
    assert answer.status == 200, answer.body
    return answer


def visit(user, patience=0):
    """One request, which must be answered by the user's own session, as far as it has come; repeated
    for so many seconds while the agent does not know."""
    answer = poll(lambda: ask(user), patience, "the session is known") if patience else ask(user)
    page = answer.json()
    assert page["count"] == len(user.servers), f"a fresh session, or a stale one: {page}"
    assert page["session"] == user.jar["SID"]


def visits(user):
    for _ in range(VISITS):
        visit(user)


def busy_users(proxy):
    users = [Browser(proxy.port) for _ in range(USERS)]
    join(*crowd(users, visits))
    assert {user.servers[-1] for user in users} == set(NAMES)
    return users


def of(users, server):
    return [user for user in users if user.servers[-1] == server.name]


def check_counters(proxy, moved, unsure=False):
    """Every outcome there is. unsure: an agent may not have known, which ends as an error."""
    metrics = proxy.metrics()
    unknown = metrics.value("holdfast_sessions_unknown_total", cause="down")
    assert unknown == 0 or unsure
    assert metrics.value("holdfast_sessions_moved_total", cause="down") + unknown == moved
    for outcome in ("lost", "replaced", "refused"):
        assert metrics.value(f"holdfast_sessions_{outcome}_total") == 0, outcome
    assert metrics.value("holdfast_recovery_lookup_seconds_count") == moved


def check_recovery(proxy, failed, outcomes=("moved",)):
    code, text = proxy.admin("/v1/status")
    assert code == 200, text
    last = json.loads(text)["recoveries"][0]
    assert last["server"] == failed.name and last["session"] in outcomes
    assert last["successor"] in NAMES and last["successor"] != failed.name


def counted(servers, what):
    return sum(server.metric(f"holdfast_fabric_{what}_total") for server in servers)


@pytest.mark.parametrize("seen", ["first by clients", "first by checks"])
def test_sessions_of_a_dead_server_and_agent_go_on(proxy, servers, seen):
    users = busy_users(proxy)
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
    users = busy_users(proxy)
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
    users = busy_users(proxy)
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
    users = busy_users(proxy)
    resting = servers[0]
    victims = of(users, resting)
    proxy.set_state(resting.name, "maintenance")
    join(*crowd(users, visits))
    assert victims and not of(users, resting)
    metrics = proxy.metrics()
    assert metrics.value("holdfast_sessions_moved_total", cause="maintenance") == len(victims)
    assert metrics.value("holdfast_sessions_replaced_total") == 0
    poll(lambda: resting.status()["sessions"]["owner"] == 0, 5, "it owns nobody any more")
