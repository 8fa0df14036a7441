"""Where the instances of a shop keep their sessions.

What a fleet wants of a store: start() and stop(); port_of(name), where that instance finds it;
row_of(name), what the proxy is told of that server beside its address; kill(name) and revive(name),
what of it dies and comes back with a server; lose(name) and restore(name), it is gone for that
instance, which is not; `replicated`, sessions outlive the loss of any one of its processes.
"""
from pathlib import Path

from harness import agents, free_port
from harness.agent import Agent
from harness.process import Process


class OneForAll:
    """The same process for all instances, which outlives each of them."""

    replicated = False

    def port_of(self, name):
        return self.port

    def row_of(self, name):
        return {}

    def kill(self, name):
        """It stands on another machine."""

    def revive(self, name):
        """It was never away."""

    def restore(self, name):
        self.start()


class SharedStore(OneForAll):
    """A real Redis or memcached: shows that the shops and the scenario work."""

    def __init__(self, names, protocol, directory):
        self.port, self.protocol = free_port(), protocol
        self.process = Process(protocol, Path(directory) / "store.log")

    def start(self):
        port = str(self.port)
        redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]
        memcached = ["memcached", "-p", port, "-l", "127.0.0.1", "-U", "0", "-u", "nobody"]
        self.process.spawn({"redis": redis, "memcached": memcached}[self.protocol])
        self.process.ready(self.port)

    def lose(self, name):
        self.process.kill()

    def stop(self):
        self.process.kill()


class LocalAgent(OneForAll):
    """One agent without peers: shows what the front ends understand."""

    def __init__(self, names, protocol, directory):
        self.agent = Agent(Path(directory) / "agent", protocol)
        self.port = self.agent.port

    def start(self):
        self.agent.start()

    def lose(self, name):
        self.agent.kill()

    def stop(self):
        self.agent.stop()


class Agents:
    """An agent beside each instance, which dies with it: what Holdfast is for."""

    replicated = True

    def __init__(self, names, protocol, directory):
        self.agents = agents.Agents(Path(directory), names=names, front=protocol)

    def start(self):
        self.agents.start()

    def port_of(self, name):
        return self.agents.agents[name].port

    def row_of(self, name):
        return {"agent": self.agents.peers[name]}

    def kill(self, name):
        self.agents.kill(name)

    def revive(self, name):
        self.agents.start(name)

    lose, restore = kill, revive

    def stop(self):
        self.agents.stop()


STORES = {"shared": SharedStore, "agent": LocalAgent, "agents": Agents}
