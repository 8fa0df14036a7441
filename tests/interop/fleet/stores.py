"""Where the instances of a shop keep their sessions."""
from pathlib import Path

from harness import free_port
from harness.agent import Agent
from harness.process import Process


class SharedStore:
    """A real Redis or memcached, the same for all: shows that the shops and the scenario work."""

    def __init__(self, protocol, directory):
        self.port, self.protocol = free_port(), protocol
        self.process = Process(protocol, Path(directory) / "store.log")

    def start(self):
        port = str(self.port)
        redis = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", ""]
        memcached = ["memcached", "-p", port, "-l", "127.0.0.1", "-U", "0", "-u", "nobody"]
        self.process.spawn({"redis": redis, "memcached": memcached}[self.protocol])
        self.process.ready(self.port)

    def lose(self):
        """It is gone, and the instances are not."""
        self.process.kill()

    def stop(self):
        self.process.kill()


class LocalAgent(Agent):
    """One agent without peers, the same for all: shows what the front ends understand."""

    def __init__(self, protocol, directory):
        super().__init__(Path(directory) / "agent", protocol)

    def lose(self):
        self.process.kill()
        self.process.wait()


STORES = {"shared": SharedStore, "agent": LocalAgent}
