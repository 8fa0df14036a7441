"""Clients that see bytes: a raw connection with a strict response reader, and a browser with a
cookie jar."""
import json
import re
import socket
import struct

from .clock import scaled
from .stream import Stream

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3}) ([^\r\n]*)\r\n")


class Gone(Exception):
    """The connection ended before the answer did; `.how` is "fin" or "reset"."""

    def __init__(self, how, partial=b""):
        super().__init__(f"{how} after {bytes(partial)[-200:]!r}")
        self.how, self.partial = how, bytes(partial)


class ProtocolError(AssertionError):
    """What came is not a well-formed response."""


class Response:
    def __init__(self, head):
        self.head = bytes(head)
        match = STATUS_LINE.match(self.head)
        if not match:
            raise ProtocolError(f"not a status line: {self.head[:200]!r}")
        self.minor, self.status = int(match[1]), int(match[2])
        self.reason = match[3].decode("latin-1")
        self.fields = []
        for line in (
            self.head[match.end() : -4].split(b"\r\n") if match.end() < len(head) - 2 else []
        ):
            name, colon, value = line.partition(b":")
            if not colon or not name or name.strip() != name or b"\n" in line or b"\r" in line:
                raise ProtocolError(f"not a field line: {line!r}")
            self.fields.append(
                (name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1"))
            )
        self.body = b""
        self.framing = "none"
        self.interim = []  # 1xx answers that came before

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def field(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def pins(self, name="HOLDFAST"):
        """The Set-Cookie fields of the proxy's own cookie."""
        return [value for value in self.all("Set-Cookie") if value.startswith(name + "=")]

    def pin(self, name="HOLDFAST"):
        """The one pin's token; fails unless there is exactly one."""
        pins = self.pins(name)
        assert len(pins) == 1, f"{len(pins)} affinity cookies: {self.fields}"
        return pins[0].split(";")[0].split("=", 1)[1]


class Client(Stream):
    """One connection. Nothing is hidden: no retries, no reconnects."""

    def __init__(self, port, timeout=15, receive_buffer=None, host="127.0.0.1", source=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(scaled(timeout))
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def try_send(self, data):
        """For peers that may already have hung up."""
        try:
            self.send(data)
            return True
        except OSError:
            return False

    def ask(self, target="/", method="GET", fields=(), body=None, version="1.1", host="a"):
        head = f"{method} {target} HTTP/{version}\r\n"
        if host is not None:
            head += f"Host: {host}\r\n"
        for name, value in fields:
            head += f"{name}: {value}\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        return self.send(head.encode("latin-1") + b"\r\n" + (body or b""))

    def get(self, target="/", method="GET", **keys):
        """Asks and reads the answer."""
        return self.ask(target, method, **keys).response(method)

    def fill(self, size=65536):
        try:
            chunk = self.sock.recv(size)
        except ConnectionError:
            raise Gone("reset", self.buffer) from None
        if not chunk:
            raise Gone("fin", self.buffer)
        self.buffer += chunk
        return chunk

    def head(self):
        """The next head, 1xx too; no content is read."""
        return Response(self.take_until(b"\r\n\r\n"))

    def response(self, method="GET"):
        """A final answer with its content; Gone when it ends uncleanly."""
        interim = []
        while (response := self.head()).status // 100 == 1 and response.status != 101:
            interim.append(response)
        response.interim = interim
        self.read_body(response, method)
        return response

    def read_body(self, response, method="GET"):
        coding, length = response.field("Transfer-Encoding"), response.field("Content-Length")
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if coding:
            if coding != "chunked" or length is not None:
                raise ProtocolError(f"framing: {response.fields}")
            response.framing, response.body = "chunked", self.read_chunked()
        elif length is not None:
            response.framing, response.body = "length", self.take(int(length))
        else:
            response.framing = "close"
            try:
                while True:
                    self.fill()
            except Gone as gone:
                if gone.how != "fin":
                    raise
            response.body = bytes(self.buffer)
            self.buffer.clear()

    def read_chunked(self):
        parts = []
        while True:
            line = self.take_until(b"\r\n")[:-2]
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
                raise ProtocolError(f"chunk size {line!r}")
            size = int(line, 16)
            part = self.take(size)
            if self.take(2) != b"\r\n":
                raise ProtocolError("no CRLF after a chunk, or a trailer")
            if size == 0:
                return b"".join(parts)
            parts.append(part)

    def end(self, seconds=5):
        """How the connection ended: "fin", "reset", or "open" when it has not. Content that comes
        before the end stays in `buffer`."""
        self.sock.settimeout(scaled(seconds))
        try:
            while True:
                self.fill()
        except Gone as gone:
            return gone.how
        except TimeoutError:
            return "open"
        finally:
            self.sock.settimeout(scaled(15))

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Browser:
    """A user: a cookie jar and one keep-alive connection, opened again when it was closed."""

    def __init__(self, port, keep_alive=True, source=None):
        self.port, self.keep_alive, self.source = port, keep_alive, source
        self.jar = {}
        self.client = None
        self.servers = []  # who answered, request by request
        self.pins = 0  # affinity cookies received
        self.errors = []  # (method, target, status or Gone)

    def cookie_field(self):
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def request(self, target="/", method="GET", fields=(), body=None):
        """An answer, or Gone. An idle connection that was closed meanwhile is opened again; a
        request that was sent is never repeated."""
        if self.client is None or self._closed_meanwhile():
            self.client = Client(self.port, source=self.source)
        fields = list(fields)
        if self.jar:
            fields.append(("Cookie", self.cookie_field()))
        if not self.keep_alive:
            fields.append(("Connection", "close"))
        try:
            response = self.client.get(target, method, fields=fields, body=body)
        except (Gone, OSError) as gone:
            self.errors.append((method, target, gone))
            self.drop()
            raise
        self._store(response)
        if response.field("Connection") == "close" or response.framing == "close":
            self.drop()
        if response.status >= 400:
            self.errors.append((method, target, response.status))
        elif response.body[:1] == b"{":
            self.servers.append(response.json()["server"])
        return response

    def _store(self, response):
        self.pins += len(response.pins())
        for field in response.all("Set-Cookie"):
            pair, *attributes = field.split(";")
            name, _, value = pair.partition("=")
            if any(attribute.strip().lower() == "max-age=0" for attribute in attributes):
                self.jar.pop(name, None)
            else:
                self.jar[name] = value

    def _closed_meanwhile(self):
        self.client.sock.setblocking(False)
        try:
            closed = self.client.sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            closed = False
        except OSError:
            closed = True
        if closed:
            self.drop()
        else:
            self.client.sock.settimeout(scaled(15))
        return closed

    def drop(self):
        if self.client:
            self.client.close()
            self.client = None
