"""Content that streams: large bodies in bounded memory, back-pressure, early answers, aborts."""
import hashlib
import random
import threading

import pytest
from harness import Client, Gone, poll, scaled
from harness.backend import Closed, hang
from harness.stages import stage_fixture

stage_process, stage = stage_fixture()

MIB = 1024 * 1024


def kernel_holds_max():
    """Bytes that the kernel may take for two connections in a row, when nobody reads at the end."""
    most = 0
    for side in ("rmem", "wmem"):
        with open(f"/proc/sys/net/ipv4/tcp_{side}", encoding="ascii") as limits:
            most += int(limits.read().split()[2])
    return 2 * most


FLOOD = -(-2 * kernel_holds_max() // MIB) * MIB  # far more than can hide in socket buffers
HELD = kernel_holds_max() + 8 * MIB  # and what the proxy and the test itself may hold
OK = b"HTTP/1.1 200 OK\r\n"


# --- large content -------------------------------------------------------------------------------
def digest_upload(connection, request):
    """Reads content as it comes; answers its size and hash."""
    digest, size = hashlib.sha256(), 0
    if request.all("Transfer-Encoding"):
        while piece := connection.read_chunk():
            digest.update(piece)
            size += len(piece)
    else:
        left = int(request.field("Content-Length"))
        while left:
            if not connection.buffer:
                connection.fill(262144)
            piece = connection.take(min(left, len(connection.buffer)))
            digest.update(piece)
            size, left = size + len(piece), left - len(piece)
        connection.received.clear()
    connection.respond(200, {"size": size, "hash": digest.hexdigest()})


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_64_mib_up(stage, framing):
    stage.behave = digest_upload
    block = random.Random(2).randbytes(MIB)
    digest = hashlib.sha256()
    before = stage.proxy.rss()
    with stage.client() as client:
        head = (
            b"Content-Length: %d\r\n" % (64 * MIB)
            if framing == "length"
            else b"Transfer-Encoding: chunked\r\n"
        )
        client.send(b"POST /r HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        for _ in range(64):
            digest.update(block)
            client.send(block if framing == "length" else b"%x\r\n%b\r\n" % (MIB, block))
        if framing == "chunked":
            client.send(b"0\r\n\r\n")
        assert client.response().json() == {"size": 64 * MIB, "hash": digest.hexdigest()}
    assert stage.proxy.grew_less(before, 8 * MIB)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_64_mib_down(stage, framing):
    block = random.Random(3).randbytes(MIB)

    def send(connection, request):
        head = {
            "length": b"Content-Length: %d\r\n" % (64 * MIB),
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "close": b"Connection: close\r\n",
        }[framing]
        connection.send(OK + head + b"\r\n")
        for _ in range(64):
            connection.send(b"%x\r\n%b\r\n" % (MIB, block) if framing == "chunked" else block)
        if framing == "chunked":
            connection.send(b"0\r\n\r\n")
        if framing == "close":
            connection.close()

    stage.behave = send
    digest, before = hashlib.sha256(block * 64).digest(), stage.proxy.rss()
    with stage.client() as client:
        assert hashlib.sha256(client.get("/r").body).digest() == digest
    assert stage.proxy.grew_less(before, 8 * MIB)


def test_back_pressure_of_a_slow_reader(stage):
    """A server can hand over what buffers hold and no more while the client does not read."""
    sent = []

    def flood(connection, request):
        connection.send(OK + b"Content-Length: %d\r\n\r\n" % FLOOD)
        for _ in range(FLOOD // 65536):
            connection.send(bytes(65536))
            sent.append(65536)

    stage.behave = flood
    before = stage.proxy.rss()
    with stage.client(receive_buffer=16384) as client:
        client.ask("/r")
        assert client.head().status == 200

        def stalled():
            now = sum(sent)
            stalled.same = stalled.same + 1 if now == stalled.last else 0
            stalled.last = now
            return stalled.same > 40

        stalled.same, stalled.last = 0, -1
        poll(stalled, 20, "the server is held back", interval=0.01)
        assert sum(sent) < HELD, "the server was not held back"
        assert stage.proxy.grew_less(before, 4 * MIB)
        left = FLOOD - len(client.buffer)
        client.buffer.clear()
        while left:
            left -= len(client.fill(1 << 20))
            client.buffer.clear()


def test_back_pressure_of_a_slow_server(stage):
    """A client can hand over what buffers hold and no more while the server does not read."""
    go = threading.Event()

    def wait(connection, request):
        go.wait(scaled(30))
        digest_upload(connection, request)

    stage.behave = wait
    before = stage.proxy.rss()
    with stage.client() as client:
        client.ask("/r", "POST", fields=[("Content-Length", FLOOD)])
        client.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < FLOOD:
                sent += client.sock.send(bytes(65536))
        except TimeoutError:
            pass
        assert sent < HELD, "the client was not held back"
        assert stage.proxy.grew_less(before, 4 * MIB)
        go.set()
        client.sock.settimeout(scaled(15))
        while sent < FLOOD:
            sent += client.sock.send(bytes(min(65536, FLOOD - sent)))
        assert client.response().json()["size"] == FLOOD


# --- early answers and aborts --------------------------------------------------------------------
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_early_answer_reaches_a_client_that_still_uploads(stage, framing):
    def early(connection, request):
        connection.respond(413, b"too much", [("Connection", "close")], "Too Large")
        connection.drain()

    stage.behave = early
    with stage.watch("early") as watch, stage.client() as client:
        head = b"Content-Length: 1000000" if framing == "length" else b"Transfer-Encoding: chunked"
        client.send(b"POST /r HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
        answer = client.response()
        assert (answer.status, answer.body) == (413, b"too much")
        # what is left of the upload can only be thrown away: the connection ends
        piece = b"400\r\n" + bytes(1024) + b"\r\n" if framing == "chunked" else bytes(1024)
        poll(lambda: not client.try_send(piece) or client.end(0.01) != "open", 10, "the end")
        watch.settle()
        assert not watch.messages
    poll(lambda: all(c.closed or c.finished for c in watch.used), what="it is not kept")


def test_a_client_that_leaves_while_waiting(stage):
    stage.behave = hang
    client = stage.client()
    client.ask("/gone")
    connection = poll(
        lambda: next(
            (c for c in stage.connections() for r in c.requests if r.target == b"/gone"), None
        )
    )
    client.close()
    poll(lambda: connection.closed, 5, "the server sees that the client left")


def test_a_client_that_leaves_within_its_upload(stage):
    def read(connection, request):
        connection.read_body(request)
        connection.respond(200, b"complete")

    stage.behave = read
    client = stage.client()
    client.send(b"POST /leaves HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    connection = poll(
        lambda: next(
            (c for c in stage.connections() for r in c.requests if r.target == b"/leaves"), None
        )
    )
    client.reset()
    poll(lambda: connection.closed, 5, "the server sees that the client left")


def test_a_client_that_leaves_within_the_answer(stage):
    ended = []

    def endless(connection, request):
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.send(b"400\r\n" + bytes(1024) + b"\r\n")
        except Closed:
            ended.append(connection)

    stage.behave = endless
    client = stage.client()
    client.ask("/endless")
    assert client.head().status == 200
    client.reset()
    poll(lambda: ended, 10, "the server sees that the client left")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_server_that_dies_within_its_answer(stage, how):
    """Seen with content already delivered: the end is unclean whatever the framing."""
    go = threading.Event()

    def die(connection, request):
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        go.wait(scaled(20))
        getattr(connection, how)()

    stage.behave = die
    with stage.client() as client:
        client.ask("/r")
        assert client.head().status == 200
        assert client.take_until(b"hello\r\n")
        go.set()
        with pytest.raises(Gone):
            while client.fill():
                assert b"0\r\n\r\n" not in client.buffer


def test_content_streams_and_is_not_collected(stage):
    """Each piece arrives while the server still holds back the next one."""
    steps = threading.Semaphore(0)

    def stepwise(connection, request):
        connection.send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            assert steps.acquire(timeout=scaled(20))
            connection.send(b"1\r\n%d\r\n" % number)
        connection.send(b"0\r\n\r\n")

    stage.behave = stepwise
    with stage.client() as client:
        client.ask("/r")
        assert client.head().status == 200
        for number in range(5):
            steps.release()
            assert client.take_until(b"\r\n") == b"1\r\n" and client.take(3) == b"%d\r\n" % number
        assert client.take(5) == b"0\r\n\r\n"


def test_uploads_stream_and_are_not_collected(stage):
    def each(connection, request):
        while piece := connection.read_chunk():
            each.pieces.append(piece)
        connection.respond(200, b"done")

    each.pieces = []
    stage.behave = each
    with stage.client() as client:
        client.send(b"POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            client.send(b"1\r\n%d\r\n" % number)
            poll(
                lambda: b"".join(each.pieces) == b"01234"[: number + 1],
                what="the piece arrives alone",
            )
        assert client.send(b"0\r\n\r\n").response().body == b"done"


def test_two_hundred_connections_at_once(stage):
    clients = [Client(stage.proxy.port) for _ in range(200)]
    for number, client in enumerate(clients):
        client.ask(f"/{number}")
    for number, client in enumerate(clients):
        assert client.response().json()["target"] == f"/{number}"
        client.close()
