"""Deadlines and limits: what is too slow, too large or too many is cut, and harms no one else."""
import time

import pytest
from harness import Backend, Client, Gone, SLOWNESS, checks, poll, scaled
from harness.backend import Closed, FullBacklog, application, echo_upgrade, hang
from harness.client import Response
from harness.stages import stage_fixture

SECOND = {
    "client_head": "1s",
    "client_idle": "1s",
    "connect": "500ms",
    "response_head": "1s",
    "response_idle": "1s",
    "tunnel_idle": "1s",
}
stage_process, stage = stage_fixture("stage", timeouts=SECOND)
# For a test whose server makes up a large answer first, which takes a busy machine a second.
large_stage_process, large_stage = stage_fixture(
    "large_stage", timeouts=SECOND | {"response_head": "10s"}
)
OK = b"HTTP/1.1 200 OK\r\n"
UPGRADE = [
    ("Connection", "upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


class Took:
    """Time between entering and leaving, which must be about a second: the deadline under test."""

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        self.seconds = time.monotonic() - self.start
        if kind is None:
            assert 0.8 <= self.seconds <= scaled(3), f"cut after {self.seconds:.2f} s"


def small_and_honest(answer, status):
    assert answer.status == status, answer.head
    assert answer.framing == "length" and 0 < len(answer.body) < 512
    assert str(status).encode() in answer.body and answer.field("Content-Type").startswith("text/")


def closed_with(client, status):
    small_and_honest(client.response(), status)
    assert client.end() == "fin"


def cuts(stage, phase):
    return stage.proxy.metric("holdfast_deadlines_total", phase=phase)


# --- clients -------------------------------------------------------------------------------------
def test_a_slow_head_is_cut_with_408(stage):
    before = cuts(stage, "client_head")
    with stage.watch("head") as watch, stage.client() as client, Took():
        client.send("GET / HTTP/1.1\r\nHost:")
        closed_with(client, 408)
        watch.settle()
        watch.check(())
    assert cuts(stage, "client_head") == before + 1


def test_a_trickled_head_is_cut_too(stage):
    """The deadline is for the whole head: single bytes do not put it off."""
    with stage.client() as client, Took():
        client.send("GET / HTTP/1.1\r\nX: ")
        client.sock.settimeout(0.05)
        while True:
            try:
                client.fill()
                break
            except TimeoutError:
                if not client.try_send("x"):
                    break
        head = client.buffer[: client.buffer.find(b"\r\n\r\n") + 4]
        assert Response(bytes(head)).status == 408


@pytest.mark.parametrize("first", [False, True], ids=["before any request", "between requests"])
def test_an_idle_connection_is_closed_in_silence(stage, first):
    with stage.client() as client:
        if first:
            assert client.get("/").status == 200
        with Took():
            assert client.end() == "fin" and not client.buffer


def test_a_stalled_upload_is_cut(stage):
    before = cuts(stage, "client_body")
    with stage.watch("body") as watch, stage.client() as client, Took():
        client.send("POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        closed_with(client, 408)
        watch.settle()
        watch.check("cut")
    assert cuts(stage, "client_body") == before + 1


def test_a_slow_but_moving_upload_is_not_cut(stage):
    """2.5 deadlines long, each piece well within one, at a fair rate."""
    with stage.client() as client:
        size, pieces = 2000, 10
        client.send(f"POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: {size * pieces}\r\n\r\n")
        for number in range(pieces):
            client.send(bytes(size))
            assert client.end(0.25 / SLOWNESS) == "open", f"cut after {number + 1} pieces"
        assert client.response().json()["size"] == size * pieces


def test_a_slow_but_moving_reader_is_not_cut(large_stage):
    """Ten MiB a second for 2.5 deadlines: the buffers between us are full all the time."""
    size, paced = 64 << 20, 25
    content = bytes(size)
    large_stage.behave = lambda connection, request: connection.respond(200, content)
    with large_stage.client(receive_buffer=262144) as client:
        client.ask("/r")
        assert client.head().status == 200
        left = size - len(client.buffer)
        client.buffer.clear()
        for _ in range(paced):
            client.take(1 << 20)
            left -= (1 << 20) + len(client.buffer)
            client.buffer.clear()
            time.sleep(0.1)  # the pace under test, not a wait
        while left:
            left -= len(client.fill(1 << 20))
            client.buffer.clear()


# --- servers -------------------------------------------------------------------------------------
def test_a_silent_server_is_504(stage):
    before = cuts(stage, "response_head")
    stage.behave = hang
    with stage.watch("silent") as watch, stage.client() as client:
        client.ask("/r")
        with Took():
            small_and_honest(client.response(), 504)
        watch.settle()
        stage.behave = application
        assert client.get("/kept").status == 200, "the client's connection is kept"
    poll(lambda: any(r.target == b"/r" for c in watch.used if c.closed for r in c.requests))
    assert cuts(stage, "response_head") == before + 1


def test_a_504_is_never_tried_elsewhere(stage):
    stage.behave = hang
    with stage.client() as client:
        before = len([t for t in stage.backend.targets() if t == "/once"])
        assert client.get("/once").status == 504
        assert len([t for t in stage.backend.targets() if t == "/once"]) == before + 1


def test_a_stalled_answer_ends_uncleanly(stage):
    before = cuts(stage, "response_idle")

    def stall(connection, request):
        connection.send(OK + b"Content-Length: 10\r\n\r\nabc")
        connection.drain()

    stage.behave = stall
    with stage.client() as client:
        client.ask("/r")
        assert client.head().status == 200
        with Took(), pytest.raises(Gone):
            client.take(10)
    assert cuts(stage, "response_idle") == before + 1


def test_a_slow_but_moving_answer_is_not_cut(stage):
    def trickle(connection, request):
        connection.send(OK + b"Content-Length: 10\r\n\r\n")
        for _ in range(10):
            connection.sock.settimeout(0.25)
            try:
                connection.fill()
            except Closed:
                assert connection.closed == "reset"  # our own timeout: nothing came
                connection.closed = None
            connection.send(b"x")
        connection.sock.settimeout(scaled(60))

    stage.behave = trickle
    with stage.client() as client:
        start = time.monotonic()
        assert client.get("/r").body == b"x" * 10
        assert time.monotonic() - start > 2


def test_a_connect_that_hangs_is_given_up(run_proxy):
    with FullBacklog() as full:
        proxy = run_proxy([full], timeouts=SECOND)
        with proxy.client() as client:
            start = time.monotonic()
            answer = client.get("/")
            assert answer.status in (502, 503, 504)
            small_and_honest(answer, answer.status)
            assert 0.4 <= time.monotonic() - start <= scaled(3)
        assert proxy.metric("holdfast_deadlines_total", phase="connect") == 1


def test_a_connect_that_hangs_goes_to_another_server(run_proxy, backends):
    with FullBacklog() as full:
        proxy = run_proxy(
            [full, backends("app1")],
            workers=1,
            timeouts=SECOND,
            pool_keys={"affinity": None, "balance": "round_robin"},
        )
        for _ in range(4):
            assert proxy.get("/", method="POST", body=b"abc").json()["server"] == "app1"


def test_no_server_at_all_is_503_at_once(run_proxy, backends):
    backend = backends("app1")
    backend.stop()
    proxy = run_proxy([backend], timeouts=SECOND)
    start = time.monotonic()
    small_and_honest(proxy.get("/"), 503)
    assert time.monotonic() - start < scaled(0.5)


def test_all_servers_down_is_503_at_once(run_proxy, backends):
    dead = backends("app1", "app2", health=500)
    proxy = run_proxy(
        dead,
        pool_keys={"health": checks()},
    )
    for backend in dead:
        proxy.wait_state(backend.name, "down")
    start = time.monotonic()
    small_and_honest(proxy.get("/"), 503)
    assert time.monotonic() - start < scaled(0.5)
    assert not dead[0].targets() and not dead[1].targets()


# --- tunnels -------------------------------------------------------------------------------------
def test_an_idle_tunnel_is_closed_on_both_sides(stage):
    before = cuts(stage, "tunnel_idle")
    stage.behave = echo_upgrade
    with stage.client() as client:
        client.ask("/tunnel", fields=UPGRADE)
        assert client.head().status == 101
        with Took():
            assert client.end() in ("fin", "reset")
    tunnel = next(
        c for c in stage.connections() if c.requests and c.requests[-1].target == b"/tunnel"
    )
    poll(lambda: tunnel.closed, what="the server's side is closed")
    assert cuts(stage, "tunnel_idle") == before + 1


def test_a_tunnel_that_moves_stays_open(stage):
    stage.behave = echo_upgrade
    with stage.client() as client:
        client.ask("/tunnel", fields=UPGRADE)
        assert client.head().status == 101
        for _ in range(10):
            client.send(b"x")
            assert client.take(1) == b"x"
            assert client.end(0.25 / SLOWNESS) == "open"


# --- many ----------------------------------------------------------------------------------------
def test_the_connection_limit_holds_and_lets_go(run_proxy, backends):
    proxy = run_proxy([backends("app1")], workers=1, limits={"connections": 8})
    clients = [proxy.client() for _ in range(8)]
    for client in clients:
        assert client.get("/").status == 200
    late = proxy.client()
    late.ask("/late")
    assert late.end(0.3) == "open" and not late.buffer, "answered beyond the limit"
    clients[0].close()
    assert late.response().json()["target"] == "/late"
    for client in clients[1:]:
        assert client.get("/still").json()["target"] == "/still"
    assert proxy.metric("holdfast_client_connections_total") >= 9


def slow_army(proxy, count):
    """Heads, contents and readers, a third each, all of them stuck."""
    army = []
    for number in range(count):
        client = Client(proxy.port, receive_buffer=4096 if number % 3 == 2 else None)
        if number % 3 == 0:
            client.send("GET /slow HTTP/1.1\r\nX-Slow: ")
        elif number % 3 == 1:
            client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nabc")
        else:
            client.ask("/large")
        army.append(client)
    return army


def test_400_slow_clients_harm_no_one(run_proxy):
    large = bytes(8 << 20)

    def behave(connection, request):
        if request.target == b"/large":
            connection.respond(200, large)
            return
        connection.read_body(request)
        connection.respond(200, request.target)

    with Backend("app1", behave=behave) as backend:
        proxy = run_proxy([backend], timeouts={"client_head": "3s", "client_idle": "3s"})
        idle = proxy.rss()
        army = slow_army(proxy, 400)
        times = []
        for number in range(100):
            start = time.monotonic()
            assert proxy.get(f"/{number}").body == f"/{number}".encode()
            times.append(time.monotonic() - start)
        assert sorted(times)[95] < scaled(0.25), f"p95 {sorted(times)[95]:.3f} s"
        assert proxy.grew_less(idle, 96 << 20)
        # without our help they all end
        poll(
            lambda: proxy.metric("holdfast_client_connections") <= 1, 20, "every slow client is cut"
        )
        for client in army:
            client.close()
        poll(
            lambda: proxy.server("app1")["active"] == 0, what="every server connection is released"
        )
        backend.check()
