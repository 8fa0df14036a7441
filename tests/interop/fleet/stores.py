"""Where the instances of a shop keep their sessions."""
import json
import os
from pathlib import Path

from harness import free_port
from harness.proxy import BINARY, REPORTS

from .process import Process


class SharedStore:
    """A real Redis or memcached, the same for all: shows that the shops and the scenario work."""

    REPLICATED = False

    def __init__(self, names, protocol, directory):
        self.port, self.protocol, self.directory = free_port(), protocol, Path(directory)
        self.process = Process(protocol, self.directory / "store.log")

    def start(self):
        port = str(self.port)
        redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]
        memcached = ["memcached", "-p", port, "-l", "127.0.0.1", "-U", "0", "-u", "nobody"]
        self.process.spawn({"redis": redis, "memcached": memcached}[self.protocol])
        self.process.ready(self.port)

    def port_of(self, name):
        return self.port

    def row_of(self, name):
        """What the proxy is told of this server beside its address."""
        return {}

    def kill(self, name):
        """The store outlives the servers."""

    def revive(self, name):
        """It was never away."""

    def lose(self, name):
        """What this instance speaks to is gone, and the instance is not."""
        self.process.kill()

    def restore(self, name):
        self.start()

    def stop(self):
        self.process.kill()


class Agent:
    """`holdfast agent` with a file of its own."""

    def __init__(self, name, directory, **keys):
        self.name = name
        self.ports = {"redis": free_port(), "memcached": free_port()}
        self.directory = Path(directory) / f"agent-{name}"
        state = self.directory / "state"
        state.mkdir(parents=True)
        addresses = {key: f"127.0.0.1:{port}" for key, port in self.ports.items()}
        config = {
            "node": name,
            "admin": {"bind": f"127.0.0.1:{free_port()}"},
            "state_dir": str(state),
            "agent": {**addresses, **keys},
        }
        self.file = self.directory / "agent.yaml"
        self.file.write_text(json.dumps(config, indent=1) + "\n")
        self.process = Process(f"agent {name}", self.directory / "log")

    def start(self):
        self.process.spawn([BINARY, "agent", "-c", str(self.file)], env=os.environ)
        for port in self.ports.values():
            self.process.ready(port)

    def stop(self):
        if self.process.process:
            self.process.stop()
        found = REPORTS.search(self.process.log.read_text(errors="replace"))
        assert not found, self.process.said()


class LocalAgent(SharedStore):
    """One agent without peers, the same for all: shows what the front ends understand."""

    def __init__(self, names, protocol, directory):
        self.agent = Agent("local", directory, mode="local")
        self.port = self.agent.ports[protocol]

    def start(self):
        self.agent.start()

    def lose(self, name):
        self.agent.process.kill()

    def stop(self):
        self.agent.stop()


class Agents:
    """An agent beside each instance, which dies with it: what Holdfast is for."""

    REPLICATED = True  # what an agent knew, others know

    def __init__(self, names, protocol, directory):
        self.protocol = protocol
        self.peers = {name: f"127.0.0.1:{free_port()}" for name in names}
        self.agents = {name: self._agent(name, directory) for name in names}

    def _agent(self, name, directory):
        keys = {"mode": "replicated", "backups": 1, "acknowledge": "backup"}
        return Agent(name, directory, peer=self.peers[name], peers=self.peers, **keys)

    def start(self):
        for agent in self.agents.values():
            agent.start()

    def port_of(self, name):
        return self.agents[name].ports[self.protocol]

    def row_of(self, name):
        return {"agent": self.peers[name]}

    def kill(self, name):
        self.agents[name].process.kill()

    def revive(self, name):
        self.agents[name].start()

    lose, restore = kill, revive

    def stop(self):
        for agent in self.agents.values():
            agent.stop()


STORES = {"shared": SharedStore, "agent": LocalAgent, "agents": Agents}
