"""What tests of the Redis side speak to: a real redis-server or our agent, and raw connections to either."""
import re
import shutil
import socket
import subprocess

from .child import DIES_WITH_US
from .clock import poll, scaled
from .ports import free_port


class RedisServer:
    """A real redis-server that keeps nothing on disk: what tests of the agent are checked against."""

    kind = "redis"

    def __init__(self, directory, password=None, unix=False):
        self.directory, self.password, self.port = directory, password, free_port()
        self.unix = str(directory / "redis.sock")
        self.address = self.unix if unix else self.port
        self.process = None

    @staticmethod
    def installed():
        return shutil.which("redis-server") is not None

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", self.unix]
        arguments += ["--save", "", "--appendonly", "no", "--dir", str(self.directory)]
        if self.password:
            arguments += ["--requirepass", self.password]
        self.process = subprocess.Popen(
            [*DIES_WITH_US, "redis-server", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        poll(self._ready, 10, "redis-server listens")
        return self

    def _ready(self):
        assert self.process.poll() is None, "redis-server ended"
        try:
            Wire(self.address).socket.close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()


def encode(*arguments):
    """A request: an array of bulk strings."""
    made = b"*%d\r\n" % len(arguments)
    for argument in arguments:
        if not isinstance(argument, bytes):
            argument = str(argument).encode()
        made += b"$%d\r\n%s\r\n" % (len(argument), argument)
    return made


def words(line):
    """A request of the words of a line."""
    return encode(*line.split(" "))


class Wire:
    """One connection, byte by byte: what is sent and what is answered, as they are."""

    def __init__(self, address):
        """address: a port of 127.0.0.1, or the path of a unix socket."""
        if isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        self.socket.settimeout(scaled(10))
        self.left = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, *arguments):
        """One request, and its whole reply as bytes; a single argument is split into words."""
        self.send(words(arguments[0]) if len(arguments) == 1 else encode(*arguments))
        return self.reply()

    def reply(self):
        """The bytes of exactly one reply."""
        line = self._line()
        kind, number = line[:1], line[1:-2]
        if kind in b"$=!":
            return line + (self._exactly(int(number) + 2) if int(number) >= 0 else b"")
        if kind in b"*~>%|" and int(number) > 0:
            count = int(number) * (2 if kind in b"%|" else 1)
            return line + b"".join(self.reply() for _ in range(count))
        assert kind in b"+-:_#,(*~>%|", line
        return line

    def closed(self):
        """Fails unless the other side ends the connection without another byte."""
        assert self.left == b"" and self._receive() == b""

    def _receive(self):
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def _more(self):
        got = self._receive()
        assert got, f"the connection ended after {self.left!r}"
        self.left += got

    def _line(self):
        while b"\r\n" not in self.left:
            self._more()
        line, _, self.left = self.left.partition(b"\r\n")
        return line + b"\r\n"

    def _exactly(self, size):
        while len(self.left) < size:
            self._more()
        data, self.left = self.left[:size], self.left[size:]
        return data


def same(reply, expected):
    """Whether a reply is exactly those bytes, or matches that pattern as a whole."""
    if isinstance(expected, re.Pattern):
        return expected.fullmatch(reply) is not None
    return reply == expected
