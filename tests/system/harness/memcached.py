"""memcached's protocols by hand: a raw client, packets of the binary protocol, and the real
memcached as a process, so that what a test expects of an agent can be asked of it too."""
import socket
import struct
import subprocess

from .child import DIES_WITH_US
from .clock import poll, scaled
from .ports import free_port

OPCODES = {
    name: code
    for code, name in enumerate(
        "get set add replace delete increment decrement quit flush getq noop version getk getkq "
        "append prepend stat setq addq replaceq deleteq incrementq decrementq quitq flushq appendq "
        "prependq verbosity touch gat gatq".split()
    )
}
OPCODES.update({"sasl_list": 0x20, "sasl_auth": 0x21, "gatk": 0x23, "gatkq": 0x24})
HEADER = struct.Struct(">BBHBBHIIQ")

MISSING, PRESENT, TOO_LARGE, INVALID, NOT_STORED, NOT_NUMERIC = 1, 2, 3, 4, 5, 6
UNKNOWN_COMMAND, NOT_SUPPORTED = 0x81, 0x83


def packet(opcode, key=b"", value=b"", extras=b"", cas=0, opaque=0):
    """A request."""
    body = extras + key + value
    code = OPCODES[opcode] if isinstance(opcode, str) else opcode
    return (
        HEADER.pack(0x80, code, len(key), len(extras), 0, 0, len(body), opaque, cas) + body
    )


def stored(flags=0, exptime=0):
    """The extras of set, add and replace."""
    return struct.pack(">II", flags, exptime)


def counted(delta, initial=0, exptime=0):
    """The extras of increment and decrement; exptime 0xffffffff: a missing key stays missing."""
    return struct.pack(">QQI", delta, initial, exptime)


class Answer:
    """A response packet."""

    def __init__(self, header, body):
        magic, self.opcode, key, extras, _, self.status, _, self.opaque, self.cas = header
        assert magic == 0x81, f"no response: {magic:#x}"
        self.extras, self.key = body[:extras], body[extras : extras + key]
        self.value = body[extras + key :]

    def brief(self):
        return self.status, self.extras, self.key, self.value


class Wire:
    """A connection that sends and expects exact bytes."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=scaled(10))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        got = b""
        while len(got) < size:
            part = self.socket.recv(size - len(got))
            assert part, f"closed after {got!r}"
            got += part
        return got

    def until(self, end):
        """What comes up to, and with, these bytes."""
        got = b""
        while not got.endswith(end):
            part = self.socket.recv(1)
            assert part, f"closed after {got!r}"
            got += part
        return got

    def line(self):
        return self.until(b"\r\n")

    def say(self, data, expected):
        """Sends, and demands exactly these bytes."""
        self.send(data)
        got = self.receive(len(expected))
        assert got == expected, (data, got, expected)

    def silent(self, data):
        """Sends what must not be answered: the answer to what follows comes first."""
        self.send(data)
        self.say(b"mn\r\n", b"MN\r\n")

    def ended(self):
        """Whatever comes until the other side closes; a reset is an end too."""
        got = b""
        try:
            while part := self.socket.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got

    def stats(self, which=b""):
        """{name: text} of a row of statistics."""
        self.send(b"stats" + (b" " + which if which else b"") + b"\r\n")
        rows = {}
        while (line := self.line()) != b"END\r\n":
            word, name, value = line.decode().rstrip("\r\n").split(" ", 2)
            assert word == "STAT", line
            rows[name] = value
        return rows

    def answer(self):
        header = HEADER.unpack(self.receive(HEADER.size))
        return Answer(header, self.receive(header[6]))

    def ask(self, *arguments, **keys):
        self.send(packet(*arguments, **keys))
        return self.answer()


class Memcached:
    """The real one."""

    def __init__(self):
        self.port = free_port()
        self.process = None

    def start(self):
        command = ["memcached", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64"]
        self.process = subprocess.Popen([*DIES_WITH_US, *command, "-u", "nobody"])
        poll(self._listens, 10, "memcached listens", 0.02)
        return self

    def _listens(self):
        assert self.process.poll() is None, "memcached ended"
        try:
            Wire(self.port).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()
