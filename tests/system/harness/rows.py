"""Bad-input rows: input, allowed outcomes, and the three assertions that each row gets.

1. What the client got: the statuses, and whether the connection was closed or kept.
2. Which bytes the server saw: nothing, exactly the re-serialised requests, or (for content that
   turns out bad while it streams) a message that was cut, never completed.
3. A second client's request on another connection, directly after, gets its own answer.
"""
from dataclasses import dataclass, field

from .backend import Backend, Request, application
from .client import Client, Gone
from .clock import poll
from .config import configuration, pool
from .proxy import Proxy

FORWARDED = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"}
FRAMING = {b"content-length", b"transfer-encoding"}


@dataclass
class Forward:
    """A request as the server must see it. fields: in order, without framing and X-Forwarded-*;
    where Host and Cookie stand among them is the proxy's choice (RFC 9110 5.3)."""

    method: str = "GET"
    target: str = "/r"
    fields: tuple = (("host", "a"),)
    body: bytes = b""
    framing: str = "none"  # none, length, chunked

    def check(self, message):
        request = message.request
        assert (request.method, request.target) == (self.method.encode(), self.target.encode())
        assert request.version == b"HTTP/1.1"
        own = [(n, v) for n, v in request.fields if n not in FORWARDED | FRAMING]
        expected = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in self.fields]
        placed = (b"host", b"cookie")
        assert [f for f in own if f[0] not in placed] == [f for f in expected if f[0] not in placed]
        assert sorted(f for f in own if f[0] in placed) == sorted(
            f for f in expected if f[0] in placed
        )
        for line in request.lines:
            name, _, value = line.partition(b": ")
            assert line == name + b": " + value.strip(b" \t"), f"not re-serialised: {line!r}"
        assert request.all("X-Forwarded-For") == [b"127.0.0.1"]
        assert request.all("X-Forwarded-Proto") == [b"http"]
        assert message.framing == self.framing and message.body == self.body


@dataclass
class Outcome:
    """One allowed ending. answers: statuses in order, () = closed without a word.
    end: closed, kept, any. seen: Forwards, or "cut"."""

    answers: tuple
    end: str = "closed"
    seen: object = ()


def refused(*statuses, cut=False):
    """Any of these statuses and the connection closed."""
    return [Outcome((status,), "closed", "cut" if cut else ()) for status in statuses]


def accepted(*forwards, end="kept"):
    return [Outcome((200,) * len(forwards), end, forwards)]


@dataclass
class Row:
    number: int
    name: str
    send: bytes
    outcomes: list = field(default_factory=lambda: refused(400))
    half_close: bool = False

    @property
    def id(self):
        return f"{self.number}-{self.name}".replace(" ", "_")


@dataclass
class Message:
    request: Request
    body: bytes
    framing: str
    raw: bytes
    arrival: int = 0


def split_messages(data):
    """Complete requests in what a server received on one connection, and the incomplete rest."""
    messages, at = [], 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        request = Request(data[at : end + 4])
        start, body, framing, position = at, b"", "none", end + 4
        if request.all("Transfer-Encoding"):
            framing = "chunked"
            position, body = _split_chunked(data, position)
            if position is None:
                return messages, data[start:]
        elif request.field("Content-Length") is not None:
            framing = "length"
            length = int(request.field("Content-Length"))
            body = data[position : position + length]
            if len(body) < length:
                return messages, data[start:]
            position += length
        elif request.all("Upgrade"):
            body, position = data[position:], len(data)
        messages.append(Message(request, body, framing, data[start:position]))
        at = position
    return messages, data[at:]


def _split_chunked(data, position):
    parts = []
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].decode("ascii"), 16)
        parts.append(data[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
        if position > len(data):
            return None, None
        assert data[position - 2 : position] == b"\r\n"
        if size == 0:
            return position, b"".join(parts)
    return None, None


class Watch:
    """What the servers saw of a conversation, the canary's request left out."""

    def __init__(self, stage, label):
        self.stage, self.canary = stage, f"/canary-{label}"
        self.messages, self.rest = [], []  # complete, in order of arrival; and what is not
        self.used = []  # server connections that carried them
        self.settled = False

    def __enter__(self):
        self.marks = {id(c): (len(c.received), len(c.requests)) for c in self.stage.connections()}
        return self

    def __exit__(self, kind, *_):
        if kind is None and not self.settled:
            self.settle()

    def settle(self):
        """Asks as the second client, then reads what the servers saw before that."""
        self.settled = True
        self.stage.proxy.alive()
        with Client(self.stage.proxy.port) as other:
            answer = other.get(self.canary)
        assert answer.status == 200 and answer.json()["target"] == self.canary, (
            answer.head,
            answer.body,
        )
        canaries = 0
        for connection in self.stage.connections():
            start, known = self.marks.get(id(connection), (0, 0))
            messages, rest = split_messages(bytes(connection.received[start:]))
            for message, request in zip(messages, connection.requests[known:]):
                message.arrival = request.arrival
            if rest or any(m.request.target != self.canary.encode() for m in messages):
                self.used.append(connection)
            canaries += sum(m.request.target == self.canary.encode() for m in messages)
            self.messages += [m for m in messages if m.request.target != self.canary.encode()]
            if rest:
                self.rest.append((connection, rest))
        self.messages.sort(key=lambda message: message.arrival)
        assert canaries == 1, f"the canary reached servers {canaries} times"

    def check(self, seen):
        if seen == "cut":
            assert not self.messages, f"completed: {[m.raw for m in self.messages]}"
            for connection, rest in self.rest:
                poll(
                    lambda c=connection: c.closed,
                    5,
                    f"the server's connection is closed: {rest[:300]!r}",
                )
            return
        assert not self.rest, f"incomplete: {[rest for _, rest in self.rest]}"
        assert len(self.messages) == len(seen), [m.raw for m in self.messages]
        for message, forward in zip(self.messages, seen):
            forward.check(message)


class Stage:
    """A proxy with servers whose behaviour a test may change; one for a whole module."""

    def __init__(self, directory, pools=None, names=("app1",), pool_keys=None, **keys):
        self.backends = [Backend(name, behave=self._dispatch) for name in names]
        self.behave = application
        made = pools(self.backends) if pools else pool(self.backends, **(pool_keys or {}))
        self.proxy = Proxy(directory, configuration(made, **keys))

    def _dispatch(self, connection, request):
        if request.target.startswith(b"/canary"):
            return application(connection, request)
        return self.behave(connection, request)

    @property
    def backend(self):
        return self.backends[0]

    def connections(self):
        return [c for backend in self.backends for c in list(backend.connections)]

    def watch(self, label):
        return Watch(self, label)

    def client(self, **keys):
        return self.proxy.client(**keys)

    def __enter__(self):
        for backend in self.backends:
            backend.start()
        self.proxy.start()
        return self

    def check_nothing_left(self):
        """When all clients have gone, no count, tunnel or server connection of theirs is left."""

        def counts():
            metrics = self.proxy.metrics()
            names = ("client_connections", "tunnels", "server_active_requests")
            return {name: metrics.value(f"holdfast_{name}") for name in names}

        poll(lambda: not any(counts().values()), 10, "every count is back at zero")

        def kept():
            seen = sum(len(backend.open_connections()) for backend in self.backends)
            return seen <= self.proxy.metric("holdfast_server_connections")

        poll(kept, 10, "only kept connections are open at the servers")

    def __exit__(self, *_):
        try:
            self.check_nothing_left()
            self.proxy.stop()
        finally:
            for backend in self.backends:
                backend.stop()

    def after_test(self):
        self.behave = application
        self.proxy.alive()
        for backend in self.backends:
            failures, backend.failures = backend.failures, []
            assert not failures, failures[0]


def read_statuses(client, outcomes):
    """Statuses until the connection ends or as many came as any outcome has."""
    most = max(len(outcome.answers) for outcome in outcomes)
    statuses, responses = [], []
    while len(statuses) < most:
        try:
            response = client.response()
        except Gone as gone:
            assert gone.how == "fin" or not statuses, f"reset after {statuses}"
            break
        responses.append(response)
        statuses.append(response.status)
        if response.field("Connection") == "close":
            break
    return tuple(statuses), responses


def check_any(watch, outcomes):
    """What the server saw fits one of the outcomes that fit the answers."""
    for outcome in outcomes[:-1]:
        try:
            return watch.check(outcome.seen)
        except AssertionError:
            continue
    return watch.check(outcomes[-1].seen)


def run_row(stage, row):
    with stage.watch(row.id) as watch, stage.client() as client:
        client.try_send(row.send)
        if row.half_close:
            client.half_close()
        statuses, responses = read_statuses(client, row.outcomes)
        fitting = [outcome for outcome in row.outcomes if outcome.answers == statuses]
        assert fitting, f"answers {statuses}, allowed {[o.answers for o in row.outcomes]}"
        if fitting[0].end == "closed":
            assert client.end() != "open", "the connection stayed open"
            assert not client.buffer, f"more came: {bytes(client.buffer)!r}"
            for response in responses[-1:]:
                assert response.field("Connection") == "close", response.fields
        for response in responses:
            if response.status >= 400:  # the proxy's own word: small and honest
                assert response.framing == "length" and 0 < len(response.body) < 512
        watch.settle()
        check_any(watch, fitting)
        if fitting[0].end == "kept":
            again = client.get("/kept")
            assert again.status == 200 and again.json()["target"] == "/kept"
    return responses
