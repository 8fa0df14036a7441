"""Application servers with a session agent each, whose agents hold copies for each other, and those
who visit them through a proxy."""
import contextlib
import json
import signal
import urllib.request

from .agent import Agent
from .apps import StoredApp, crowd, join
from .client import Browser
from .clock import SLOWNESS, poll, scaled
from .config import checks, pool
from .ports import free_port
from .proxy import Metrics

JOIN_SECONDS = 15
PATIENCE_S = 0 if SLOWNESS == 1 else 5  # an instrumented agent may take longer than its peers wait for it
USERS, VISITS = 45, 4
CHECKS = {"interval_ms": 500, "fall": 3}  # a server that is busy is not taken for a dead one


class Server:
    """An application and the agent beside it."""

    def __init__(self, name, directory, peers, **keys):
        self.name, self.peer = name, peers[name]
        self.running = False
        keys = {"mode": "replicated", "peer": self.peer, "peers": peers, **keys}
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
            if process is not None:
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

    def owned(self):
        return self.status()["sessions"]["owner"]

    def metric(self, name, **labels):
        return Metrics.parse(self._ask("/metrics")).value(name, **labels)

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


def counted(servers, what):
    return sum(server.metric(f"holdfast_fabric_{what}_total") for server in servers)


@contextlib.contextmanager
def running(names, directory, **keys):
    """Running servers whose agents know each other; those that still run end cleanly."""
    peers = {name: f"127.0.0.1:{free_port()}" for name in names}
    made = [Server(name, directory, peers, **keys) for name in names]
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


# --- their users, through a proxy ---------------------------------------------------------------------
def pool_of(servers):
    """Quick to judge, and refusing whoever would lose a session."""
    config = pool([], session={"cookie": "SID"}, health=checks(**CHECKS), on_loss="error")
    config["servers"] = [server.row for server in servers]
    return config


def _answer(user):
    """An answer, or None while the agent says that it does not know: an error, and no miss."""
    answer = user.request()
    if answer.status == 500:
        assert "TRYAGAIN" in answer.json()["error"], answer.body
        return None
    assert answer.status == 200, answer.body
    return answer


def visit(user, patience=PATIENCE_S):
    """One request, which must be answered by the user's own session, as far as it has come. No error is
    passed over, unless it is repeated for so many seconds while the agent does not know."""
    answer = poll(lambda: _answer(user), patience, "the session is known") if patience else _answer(user)
    assert answer, "the agent does not know the session"
    page = answer.json()
    assert page["count"] == len(user.servers), f"a fresh session, or a stale one: {page}"
    assert page["session"] == user.jar["SID"]


def visits(user):
    for _ in range(VISITS):
        visit(user)


def busy_users(proxy, servers):
    """Users with a session each, some on every server."""
    users = [Browser(proxy.port) for _ in range(USERS)]
    join(*crowd(users, visits))
    assert {user.servers[-1] for user in users} == {server.name for server in servers}
    return users


def of(users, server):
    return [user for user in users if user.servers[-1] == server.name]
