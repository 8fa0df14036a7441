"""A redis-server and its replica, each on a host of its own: a store that is known to lose writes."""
import re
from pathlib import Path

from harness.clock import poll
from harness.process import Process
from harness.redis import Wire
from net import between


class RedisPair:
    """What Cluster is, of app1 (primary) and app2 (replica)."""

    def __init__(self, folder):
        self.names = ["app1", "app2"]
        self.net = between(self.names)
        self.folder, self.servers, self.known = Path(folder), {}, {}

    def start(self):
        host, port = self.net.address("app2", "app1").split(":")
        self._start("app1")
        self._start("app2", "--replicaof", host, port)
        poll(lambda: b"state=online" in self.ask("app1", "INFO replication"), 15, "the replica is there", 0.05)
        poll(self._copies, 15, "it takes what is written", 0.05)
        self.known["app1"] = self.store("app1")
        return self

    def _start(self, name, *more):
        host, port = self.net.bind(name).split(":")
        server = self.servers[name] = Process(name, self.folder / f"{name}.log")
        server.spawn(self.net.inside(name, [
            "redis-server", "--bind", host, "--port", port, "--unixsocket", self.store(name), "--protected-mode", "no",
            "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir", str(self.folder), *more]))
        poll(lambda: self._serves(name), 15, f"{name} serves", 0.05)

    def _serves(self, name):
        try:
            return re.search(rb"PONG|MASTERDOWN|LOADING", self.ask(name, "PING"))
        except OSError:
            return False

    def _copies(self):
        with Wire(self.store("app1")) as wire:
            wire.ask("SET probe 1")
            return wire.ask("WAIT 1 200") == b":1\r\n"

    def store(self, name):
        return str(self.folder / f"{name}.sock")

    def ask(self, name, line):
        with Wire(self.store(name)) as wire:
            return wire.ask(line)

    def kill(self, name):
        self.servers[name].process.kill()
        self.known.pop(name, None)
        self.servers[name].kill()

    def promote(self, name):
        """As a watcher would: it is the primary from now on."""
        assert self.ask(name, "REPLICAOF NO ONE") == b"+OK\r\n"
        self.known[name] = self.store(name)

    def isolate(self, name):
        other = next(each for each in self.names if each != name)
        self.net.cut((name, other), (other, name))

    def stop(self):
        for server in self.servers.values():
            server.kill()
        self.net.close()
