"""Scripted application servers: a thread a connection, every received byte recorded.

A behaviour is a function (connection, request) called once for each request head. The default one
is an application with sessions in memory: it says who it is, what it was asked, and how often this
session was here.
"""
import base64
import hashlib
import itertools
import json
import socket
import struct
import threading

from .clock import scaled
from .ports import free_port
from .stream import Stream

RESET = struct.pack("ii", 1, 0)


_arrivals = itertools.count(1)


class Request:
    """A request head as it came, read by an independent and strict parser."""

    def __init__(self, head):
        self.head = bytes(head)
        lines = self.head.split(b"\r\n")
        assert lines[-2:] == [b"", b""], f"head does not end in an empty line: {head!r}"
        assert not any(
            b"\n" in line or b"\r" in line for line in lines
        ), f"stray CR or LF: {head!r}"
        self.method, self.target, self.version = lines[0].split(b" ")
        self.fields = []
        for line in lines[1:-2]:
            name, colon, value = line.partition(b":")
            assert colon and name and name == name.strip(), f"not a field line: {line!r}"
            self.fields.append((name.lower(), value.strip(b" \t")))
        self.lines = lines[1:-2]
        self.body = None
        self.arrival = 0

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower().encode()]

    def field(self, name):
        """The value as text, or None; more than one is a failure."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0].decode("latin-1") if values else None

    def cookies(self):
        pairs = [
            pair.strip().partition("=")
            for value in self.all("Cookie")
            for pair in value.decode("latin-1").split(";")
        ]
        return {name: value for name, _, value in pairs}


class Closed(Exception):
    """The peer ended the connection."""


class BackendConnection(Stream):
    def __init__(self, backend, sock, number):
        self.backend, self.sock, self.number = backend, sock, number
        self.received = bytearray()  # every byte, in order
        self.buffer = bytearray()  # of them, what no behaviour has taken yet
        self.requests = []
        self.closed = None  # None, "fin" or "reset": how the peer ended it
        self.finished = False  # we ended it
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(scaled(60))

    def fill(self, size=65536):
        """Receives once; raises Closed at the end."""
        try:
            chunk = self.sock.recv(size)
        except (ConnectionError, TimeoutError, OSError):
            self.closed = self.closed or "reset"
            raise Closed() from None
        if not chunk:
            self.closed = self.closed or "fin"
            raise Closed()
        self.received += chunk
        self.buffer += chunk
        return chunk

    def read_head(self):
        request = Request(self.take_until(b"\r\n\r\n"))
        request.arrival = next(_arrivals)  # orders requests over all connections and servers
        self.requests.append(request)
        self.backend.note(request)
        return request

    def read_body(self, request):
        """All content, decoded; strict about chunked framing."""
        if request.all("Transfer-Encoding"):
            assert request.all("Transfer-Encoding") == [b"chunked"], request.fields
            assert not request.all("Content-Length"), request.fields
            parts = []
            while piece := self.read_chunk():
                parts.append(piece)
            request.body = b"".join(parts)
        else:
            request.body = self.take(int(request.field("Content-Length") or 0))
        return request.body

    def read_chunk(self):
        """One chunk's content, b"" for the last; a trailer is a failure (the proxy drops them)."""
        line = self.take_until(b"\r\n")[:-2]
        size = int(line.decode("ascii"), 16)
        content = self.take(size)
        assert self.take(2) == b"\r\n", "no CRLF after chunk content, or a trailer"
        return content

    def drain(self):
        """Reads until the peer ends the connection."""
        try:
            while True:
                self.fill()
                self.buffer.clear()
        except Closed:
            pass

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = self.closed or "reset"
            raise Closed() from None

    def respond(self, status=200, body=b"", fields=(), phrase="OK", length=True):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} {phrase}\r\n"
        for name, value in fields:
            head += f"{name}: {value}\r\n"
        if length:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode("latin-1") + b"\r\n" + body)

    def reset(self):
        """Ends it with a TCP reset."""
        self.finished = True
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        self.sock.close()

    def close(self):
        self.finished = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)


class Backend:
    """A server on a fixed port. stop() and start() make it go and come back."""

    def __init__(self, name="app1", behave=None, port=None, health=200):
        self.name, self.port = name, port or free_port()
        self.behave = behave or application
        self.health = health  # status of GET /healthz, or a function of the check's number
        self.checks = 0
        self.requests = []  # all heads but health checks, over all connections
        self.connections = []
        self.sessions = {}
        self.failures = []  # assertions that broke within a behaviour
        self.lock = threading.Lock()
        self.listener = None
        self._numbers = itertools.count(1)

    def note(self, request):
        with self.lock:
            if request.target == b"/healthz":
                self.checks += 1
            else:
                self.requests.append(request)

    def start(self):
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(1024)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self, reset=True):
        """The process dies: the port refuses, every connection breaks."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        for connection in list(self.connections):
            connection.reset() if reset else connection.close()

    def close_idle(self):
        """Closes every connection from this side, as an application's keep-alive timeout does."""
        for connection in list(self.connections):
            connection.close()

    def open_connections(self):
        return [c for c in self.connections if not c.closed and not c.finished]

    def targets(self):
        with self.lock:
            return [request.target.decode("latin-1") for request in self.requests]

    def check(self):
        """Fails when a behaviour saw something that must not be."""
        assert not self.failures, self.failures[0]

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = BackendConnection(self, sock, next(self._numbers))
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while not connection.finished:
                request = connection.read_head()
                if request.target == b"/healthz":
                    status = self.health(self.checks) if callable(self.health) else self.health
                    connection.respond(status, b"ok")
                    continue
                self.behave(connection, request)
                if request.field("Connection") == "close":
                    break
        except Closed:
            pass
        except AssertionError as failure:
            self.failures.append(f"{self.name}: {failure}")
        except OSError:
            pass
        finally:
            if not connection.finished:
                connection.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def application(connection, request):
    """Sessions in memory, kept by the cookie APP; answers who, what and how often, as JSON."""
    backend = connection.backend
    body = connection.read_body(request)
    sid = request.cookies().get("APP")
    with backend.lock:
        known = sid in backend.sessions
        if not known:
            sid = f"{backend.name}-{len(backend.sessions)}"
            backend.sessions[sid] = 0
        backend.sessions[sid] += 1
        count = backend.sessions[sid]
    fields = [("Content-Type", "application/json")]
    if not known:
        fields.append(("Set-Cookie", f"APP={sid}; Path=/"))
    answer = {
        "server": backend.name,
        "target": request.target.decode("latin-1"),
        "count": count,
        "method": request.method.decode("latin-1"),
        "size": len(body),
        "session": sid,
    }
    answer = json.dumps(answer).encode()
    if request.method == b"HEAD":
        fields.append(("Content-Length", len(answer)))
        connection.respond(200, fields=fields, length=False)
    else:
        connection.respond(200, answer, fields)


def raw(response, then=None):
    """A behaviour: reads the request, sends these bytes; then "close", "reset" or None (keep)."""

    def behave(connection, request):
        connection.read_body(request)
        connection.send(response)
        if then:
            getattr(connection, then)()

    return behave


def switching(request):
    """The head of a 101 that accepts the upgrade (RFC 6455 4.2.2)."""
    accept = b""
    if request.all("Sec-WebSocket-Key"):
        key = request.all("Sec-WebSocket-Key")[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        digest = base64.b64encode(hashlib.sha1(key).digest())
        accept = b"Sec-WebSocket-Accept: " + digest + b"\r\n"
    upgrade = b"Upgrade: " + request.all("Upgrade")[0] + b"\r\n"
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
    return head + upgrade + accept + b"\r\n"


def echo_upgrade(connection, request):
    """Answers 101 and echoes every byte; ends its direction when the other one ends."""
    connection.send(switching(request))
    try:
        while True:
            if connection.buffer:
                connection.send(connection.take(len(connection.buffer)))
            connection.fill()
    except Closed:
        if connection.closed == "fin":
            connection.half_close()
    connection.close()


def hang(connection, request):
    """Takes the request and never answers; notes when the peer goes away."""
    connection.drain()


class FullBacklog:
    """A port whose connection attempts neither succeed nor fail: the accept queue is full."""

    def __init__(self, name="full"):
        self.name, self.port = name, free_port()

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(0)
        self.fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(filler)
        return self

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.listener.close()
