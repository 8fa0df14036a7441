"""Bad and odd use of a connection: pipelining, expectations, upgrades, other protocols."""
import base64
import os

import pytest
from harness import Gone, poll
from harness.backend import Closed, echo_upgrade
from harness.rows import Forward, Outcome, Row, accepted, refused, run_row
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")
slow_stage_process, slow_stage = stage_fixture(
    "slow_stage",
    timeouts={
        "client_head": "1s",
        "client_idle": "1s",
        "response_idle": "1s",
        "response_head": "10s",  # a server makes up 64 MiB first; no row here waits for this one
    },
)

FINE = b"GET /r HTTP/1.1\r\nHost: a\r\n\r\n"
KEY = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
WEBSOCKET = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    KEY,
    ("Sec-WebSocket-Version", "13"),
]


def any_answer_then_closed(*statuses):
    return [*refused(*statuses), Outcome((), "closed")]


def post(expect):
    return b"POST /r HTTP/1.1\r\nHost: a\r\nExpect: " + expect + b"\r\nContent-Length: 3\r\n\r\n"


CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + os.urandom(32) + b"\x20" + os.urandom(160)
H2C = (
    b"GET /r HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
)
ROWS = [
    Row(
        100,
        "good then bad",
        FINE + b"GET  /bad HTTP/1.1\r\nHost: a\r\n\r\n",
        [Outcome((200, 400), "closed", [Forward()])],
    ),
    Row(
        100,
        "two good then bad",
        FINE * 2 + b"nonsense\r\n\r\n",
        [Outcome((200, 200, 400), "closed", [Forward(), Forward()])],
    ),
    Row(104, "Expect foo", post(b"foo"), [Outcome((417,), "any")]),
    Row(104, "Expect y 100-continue", post(b"y 100-continue"), [Outcome((417,), "any")]),
    Row(106, "h2c", H2C, accepted(Forward())),
    Row(
        106,
        "h2c beside websocket",
        H2C.replace(b"h2c", b"h2c, websocket"),
        [*accepted(Forward()), *refused(400)],
    ),
    Row(
        116,
        "tunnel bytes after CONNECT",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        refused(405, 501),
    ),
    Row(122, "TLS", CLIENT_HELLO, any_answer_then_closed(400)),
    Row(122, "all bytes", bytes(range(256)) + b"\r\n\r\n", any_answer_then_closed(400)),
    Row(
        122,
        "all bytes backwards",
        bytes(range(255, -1, -1)) + b"\r\n\r\n",
        any_answer_then_closed(400),
    ),
    Row(
        122,
        "PRI",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        any_answer_then_closed(400, 505),
    ),
    Row(181, "PROXY v1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + FINE),
    Row(181, "PROXY v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\1\2\3\4\5\6\7\x08\0\1\0\2" + FINE),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(stage, row):
    run_row(stage, row)


def test_row_101_keep_alive_in_1_0(stage):
    with stage.watch("101") as watch, stage.client() as client:
        for _ in range(3):
            answer = client.get("/r", fields=[("Connection", "keep-alive")], version="1.0")
            assert answer.status == 200 and answer.field("Connection").lower() == "keep-alive"
        watch.settle()
        watch.check([Forward()] * 3)


def test_row_101_without_keep_alive(stage):
    with stage.watch("101-close") as watch, stage.client() as client:
        assert client.get("/r", version="1.0").status == 200
        assert client.end() == "fin"
        watch.settle()
        watch.check([Forward()])


def test_row_103_expect(stage):
    with stage.watch("103") as watch, stage.client() as client:
        client.send(post(b"100-continue"))
        assert client.head().status == 100
        client.send(b"abc")
        answer = client.response()
        assert answer.status == 200 and answer.interim == []
        assert client.get("/kept").json()["target"] == "/kept"
        watch.settle()
        first = watch.messages.pop(0).request
        assert first.method == b"POST" and first.all("Expect") in ([], [b"100-continue"])
        watch.check([Forward(target="/kept")])


def websocket_request(target="/r", change=()):
    """An upgrade request; a change replaces the field of that name, or drops it (None)."""
    fields = {**dict(WEBSOCKET), **dict(change)}
    rows = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n{rows}\r\n".encode()


UPGRADE_FIELDS = (("host", "a"), ("connection", "Upgrade"), ("upgrade", "websocket"))


def test_row_107_bytes_before_101_are_requests_when_there_is_none(stage):
    with stage.watch("107") as watch, stage.client() as client:
        client.send(websocket_request() + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.response().json()["target"] for _ in range(2)] == ["/r", "/next"]
        watch.settle()
        targets = [m.request.target for m in watch.messages]
        bodies = [m.body for m in watch.messages]
        assert targets == [b"/r", b"/next"] and bodies == [b"", b""] and not watch.rest


def test_row_107_bytes_before_101_are_held(stage):
    def late(connection, request):
        seen = len(connection.received)
        late.asked = connection
        while not late.go:
            connection.sock.settimeout(0.01)
            try:
                connection.fill()
            except Closed:
                assert connection.closed == "reset", "closed before 101"
                connection.closed = None
        late.before = len(connection.received) - seen
        connection.sock.settimeout(60)
        echo_upgrade(connection, request)

    late.go, late.asked, late.before = False, None, None
    stage.behave = late
    with stage.watch("107-held") as watch, stage.client() as client:
        client.send(websocket_request() + b"early")
        poll(lambda: late.asked, what="the upgrade request arrives")
        watch.settle()  # the second client is served meanwhile
        late.go = True
        assert client.head().status == 101
        assert client.take(5) == b"early"
        assert late.before == 0, "bytes went on before 101"
        client.send(b"later")
        assert client.take(5) == b"later"


def test_row_109_unknown_upgrade(stage):
    with stage.watch("109") as watch, stage.client() as client:
        request = b"GET /r HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo/1\r\n\r\n"
        assert client.send(request).response().status == 200
        assert client.get("/kept").json()["target"] == "/kept"
        watch.settle()
        assert [m.request.target for m in watch.messages] == [b"/r", b"/kept"] and not watch.rest


def test_row_110_a_200_with_upgrade_opens_no_tunnel(stage):
    def answer(connection, request):
        connection.read_body(request)
        connection.send(
            b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Content-Length: 2\r\n\r\nno"
        )

    stage.behave = answer
    with stage.watch("110") as watch, stage.client() as client:
        response = client.send(websocket_request()).response()
        assert (response.status, response.body) == (200, b"no") and response.all("Upgrade") == []
        again = client.get("/again")  # a request again, not tunnel bytes
        assert (again.status, again.body) == (200, b"no")
        watch.settle()
        assert [(m.request.target, m.body) for m in watch.messages] == [
            (b"/r", b""),
            (b"/again", b""),
        ]


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "abc",
        "dGhlIHNhbXBsZSBub25jZQ",
        "!" * 24,
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(20)).decode(),
    ],
    ids=["none", "empty", "short", "unpadded", "alphabet", "15 bytes", "20 bytes"],
)
def test_row_112_websocket_key(stage, key):
    run_row(
        stage,
        Row(
            112,
            f"key {key}",
            websocket_request(change=[("Sec-WebSocket-Key", key)]),
            [Outcome((400,), "any")],
        ),
    )


def test_row_113_websocket_version(stage):
    with stage.watch("113") as watch, stage.client() as client:
        response = client.send(
            websocket_request(change=[("Sec-WebSocket-Version", "8")])
        ).response()
        assert response.status in (200, 426)
        watch.settle()
        if response.status == 426:
            assert response.field("Sec-WebSocket-Version") == "13"
            watch.check(())
        else:  # forwarded, and no tunnel without 101
            assert client.get("/kept").json()["target"] == "/kept"


FRAMES = {
    "unmasked": b"\x81\x02hi",
    "reserved bit": b"\xf1\x82\0\0\0\0hi",
    "long ping": b"\x89\xfe\0\x80\0\0\0\0" + b"p" * 128,
    "bad UTF-8": b"\x81\x82\0\0\0\0\xc3\x28",
    "not a frame": bytes(range(256)),
    "HTTP": FINE,
}


@pytest.mark.parametrize("name", FRAMES)
def test_row_115_tunnels_are_byte_transparent(stage, name):
    stage.behave = echo_upgrade
    with stage.watch("115") as watch, stage.client() as client:
        client.send(websocket_request())
        assert client.head().status == 101
        client.send(FRAMES[name])
        assert client.take(len(FRAMES[name])) == FRAMES[name]
        client.half_close()
        assert client.end() == "fin" and not client.buffer
        watch.settle()
        (message,) = watch.messages
        assert message.body == FRAMES[name]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_row_118_slow_body(slow_stage, framing):
    head = {
        "length": b"Content-Length: 9\r\n\r\nab",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n9\r\nab",
    }
    with slow_stage.watch("118") as watch, slow_stage.client() as client:
        client.send(b"POST /r HTTP/1.1\r\nHost: a\r\n" + head[framing])
        try:
            assert client.response().status == 408
        except Gone as gone:
            assert gone.how in ("fin", "reset") and not gone.partial
        assert client.end() != "open"
        watch.settle()
        watch.check("cut")


def test_row_119_slow_reader(slow_stage):
    size = 64 * 1024 * 1024
    done = []

    def large(connection, request):
        try:
            connection.respond(200, bytes(size))
        except Closed:
            done.append(connection)
            raise

    slow_stage.behave = large
    with slow_stage.watch("119") as watch, slow_stage.client(receive_buffer=4096) as client:
        client.ask("/r")
        client.take(1000)  # and nothing more
        watch.settle()  # others are served meanwhile
        poll(lambda: done, 10, "the server is released")
        with pytest.raises(Gone):
            while True:
                client.fill()
        assert slow_stage.proxy.metric("holdfast_deadlines_total", phase="client_read") >= 1
