"""What lies between the agents of a test, and can be cut.

Namespaces: each agent has a host of its own, a network namespace at one bridge; needs root and a
kernel that allows it. A cut is an entry for a station that does not exist in the sender's table of
neighbours: packets leave and arrive nowhere, in one direction, and nobody is told.
Wires: all on loopback, with a forwarder between each two agents (wires.py), which can delay as well.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness.child import DIES_WITH_US  # noqa: E402
from harness.clock import poll  # noqa: E402
from harness.ports import free_port  # noqa: E402

NOWHERE = "02:00:00:00:ff:ff"
PEER_PORT = 7401


def _inside(holder, *command):
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--", *command]


def _holder():
    """A process that is a namespace: both end together, however the test ends."""
    return subprocess.Popen([*DIES_WITH_US, "unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)


def _has_own(holder):
    try:
        return os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except OSError:
        return False


class _Shell:
    """`ip` in a namespace, one command a line, with no process to start for each."""

    def __init__(self, holder):
        self.process = subprocess.Popen(
            [*DIES_WITH_US, *_inside(holder, "ip", "-force", "-batch", "-")], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True, bufsize=1)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


class Namespaces:
    """Hosts 10.77.0.1, 10.77.0.2 ... in the order of their names."""

    kind = "namespaces"

    def __init__(self, names):
        self.names, self.cuts = list(names), set()
        self.hub = _holder()
        self.hosts = {name: _holder() for name in self.names}
        self.shells = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def possible():
        tools = all(shutil.which(tool) for tool in ("ip", "nsenter", "unshare"))
        return tools and os.geteuid() == 0 and subprocess.run(
            ["unshare", "--net", "ip", "link", "add", "probe", "type", "veth", "peer", "name", "probe2"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

    def _build(self):
        for holder in (self.hub, *self.hosts.values()):
            poll(lambda holder=holder: _has_own(holder), 5, "a network namespace is there")
        self._run(self.hub, "link add hub type bridge", "link set hub up")
        for number, name in enumerate(self.names):
            host = self.hosts[name]
            self._run(self.hub, f"link add port{number} type veth peer name eth0 netns {host.pid}",
                      f"link set port{number} master hub", f"link set port{number} up")
            self._run(host, f"link set eth0 address {self._station(name)}", "link set lo up", "link set eth0 up",
                      f"address add {self._address(name)}/24 dev eth0")
        for name, host in self.hosts.items():
            self.shells[name] = _Shell(host)
            self._send(name, [(name, other) for other in self.names if other != name], cut=False)

    @staticmethod
    def _run(holder, *lines):
        subprocess.run(_inside(holder, "ip", "-batch", "-"), input="\n".join(lines) + "\n", text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def _address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def _station(self, name):
        return f"02:00:00:00:00:{self.names.index(name) + 1:02x}"

    def inside(self, name, command):
        """The command as it runs on that host."""
        return _inside(self.hosts[name], *command)

    def bind(self, name):
        return f"{self._address(name)}:{PEER_PORT}"

    def address(self, source, target):
        """Where `source` finds `target`."""
        return self.bind(target)

    def cut(self, *ways):
        """Nothing goes from the first to the second of each pair from now on."""
        self.cuts.update(ways)
        for source in self.names:
            self._send(source, [way for way in ways if way[0] == source], cut=True)

    def heal(self):
        ways, self.cuts = self.cuts, set()
        for source in self.names:
            self._send(source, [way for way in ways if way[0] == source], cut=False)

    def _send(self, source, ways, cut):
        for _, target in ways:
            station = NOWHERE if cut else self._station(target)
            self.shells[source].say(
                f"neighbour replace {self._address(target)} lladdr {station} dev eth0 nud permanent")

    def close(self):
        for shell in self.shells.values():
            shell.close()
        for holder in (self.hub, *self.hosts.values()):
            holder.kill()
            holder.wait()


class Wires:
    """One forwarder for all; it is told by lines what to do (wires.py)."""

    kind = "wires"

    def __init__(self, names):
        self.names, self.cuts = list(names), set()
        self.peer = {name: free_port() for name in names}
        self.ports = {(a, b): free_port() for a in names for b in names if a != b}
        self.process = subprocess.Popen(
            [*DIES_WITH_US, sys.executable, str(Path(__file__).with_name("wires.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for (source, target), port in self.ports.items():
            self._say(f"wire {source} {target} {port} {self.peer[target]}")

    def _say(self, line):
        """Done when this returns. What else was said."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        done, *more = self.process.stdout.readline().split() or [""]
        assert done == "done", f"{line}: {done}"
        return more

    def inside(self, name, command):
        return command

    def bind(self, name):
        return f"127.0.0.1:{self.peer[name]}"

    def address(self, source, target):
        return f"127.0.0.1:{self.peer[target] if source == target else self.ports[source, target]}"

    def cut(self, *ways):
        self.cuts.update(ways)
        for source, target in ways:
            self._say(f"cut {source} {target}")

    def heal(self):
        self.cuts = set()
        self._say("heal")

    def delay(self, ms):
        """Of what is sent from now on, in each direction."""
        self._say(f"delay {ms}")

    def mischief(self, what, per_mille, seed):
        """Of the messages so many come wrong from now on, each way; how many did before."""
        return int(self._say(f"mischief {what} {per_mille} {seed}")[0])

    def reset(self, *names):
        """Ends all connections of these agents by RST, once."""
        for name in names or self.names:
            self._say(f"reset {name}")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def between(names, delays=False):
    """What this machine allows; CHAOS_NET=wires for loopback. delays: they must be possible."""
    wires = delays or os.environ.get("CHAOS_NET") == "wires" or not Namespaces.possible()
    return (Wires if wires else Namespaces)(names)
