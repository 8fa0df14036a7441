"""Agents of one fabric as processes, each on a host of its own, and what lies between them."""
import json
import signal
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness.clock import poll, scaled  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.proxy import BINARY, REPORTS  # noqa: E402
from harness.redis import Wire  # noqa: E402
from net import between  # noqa: E402

KEY = "5f" * 32  # what all agents share


class Server(Process):
    """An agent; `store` is the path at which its application finds it."""

    def __init__(self, cluster, name, orders=None, **keys):
        """orders(name): what else is done to it, see preload.py."""
        self.cluster, self.folder = cluster, cluster.folder / name
        self.orders = orders and orders(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        super().__init__(name, self.folder / "log")
        self.store = str(self.folder / "store")
        self.admin = str(self.folder / "admin")
        self.file = self.folder / "agent.yaml"
        self.paused = False
        self.configure(**keys)

    def configure(self, **keys):
        net, names = self.cluster.net, self.cluster.names
        secret = self.folder / "peer.key"
        secret.write_text(KEY + "\n")
        secret.chmod(0o600)
        agent = {"redis": f"unix:{self.store}", "mode": "replicated", "peer": net.bind(self.name),
                 "peers": {other: net.address(self.name, other) for other in names}, **keys}
        if net.kind == "namespaces":
            agent["peer_key_file"] = str(secret)
        self.file.write_text(json.dumps({"node": self.name, "state_dir": str(self.folder), "agent": agent}, indent=1))

    def start(self):
        command = [BINARY, "agent", "-c", str(self.file)]
        self.spawn(self.cluster.net.inside(self.name, self.orders.command(command) if self.orders else command))

    def serves(self):
        """It answers a miss, which it does only when it knows."""
        assert self.process.poll() is None, f"it ended: {self.process.returncode}\n{self.said()}"
        try:
            with Wire(self.store) as wire:
                return wire.ask("GET sess:nobody") in (b"$-1\r\n", b"_\r\n")
        except (OSError, AssertionError):
            return False

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self):
        """SIGTERM; a clean end."""
        if self.paused:
            self.resume()
        process, self.process = self.process, None
        process.terminate()
        try:
            status = process.wait(scaled(20))
        finally:
            process.kill()
            process.wait()
        assert status == 0, f"exit {status}\n{self.said()}"


class Cluster:
    """Agents app1..appN. Ends what it started; each must end well."""

    def __init__(self, folder, count=3, delays=False, **keys):
        self.folder = Path(folder)
        self.names = [f"app{number}" for number in range(1, count + 1)]
        self.net = between(self.names, delays)
        self.servers = {name: Server(self, name, **keys) for name in self.names}
        self.known = {}  # {name: store} of those that users think to be alive

    def start(self, *names):
        for name in names or self.names:
            self.servers[name].start()
        for name in names or self.names:
            poll(self.servers[name].serves, 15, f"{name} serves\n{self.servers[name].said()}", 0.01)
            self.known[name] = self.servers[name].store
        return self

    def kill(self, name):
        """SIGKILL; users are told, as by a balancer that sees its connection end."""
        self.servers[name].process.kill()
        self.known.pop(name, None)
        self.servers[name].kill()

    def others(self, name):
        return [other for other in self.names if other != name]

    def isolate(self, name):
        """Cuts it off from all others, both ways."""
        self.net.cut(*((name, other) for other in self.others(name)), *((other, name) for other in self.others(name)))

    def stop(self):
        failures = []
        self.net.heal()
        for server in self.servers.values():
            if server.process is None:
                continue
            try:
                server.stop()
            except AssertionError as failure:
                failures.append(str(failure))
        self.net.close()
        for server in self.servers.values():
            if server.log.exists() and REPORTS.search(server.log.read_text(errors="replace")):
                failures.append(server.said())
        assert not failures, "\n".join(failures)
