"""Application servers with a session agent each, whose agents hold copies for each other."""
import contextlib
import json
import signal
import urllib.request

from .agent import Agent
from .apps import StoredApp
from .clock import poll, scaled
from .ports import free_port
from .proxy import Metrics

JOIN_SECONDS = 15


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
