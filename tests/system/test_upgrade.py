"""Upgrades: WebSocket through the proxy, byte transparency, half-close, ends of either side."""
import asyncio
import random
import threading

import pytest
import websockets
from harness import Gone, free_port, poll, scaled
from harness.backend import Closed, application, echo_upgrade, switching
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")
MIB = 1024 * 1024
REQUEST = (
    b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class EchoServer:
    """python3-websockets' own server on a thread, echoing messages."""

    def __init__(self):
        self.name, self.port = "ws1", free_port()
        self.paths = []

    async def _serve(self):
        async def echo(socket):
            self.paths.append(socket.path)
            async for message in socket:
                await socket.send(message)

        self.loop, self.done = asyncio.get_running_loop(), asyncio.Event()
        async with websockets.serve(
            echo, "127.0.0.1", self.port, max_size=4 * MIB, ping_interval=None
        ):
            self.ready.set()
            await self.done.wait()

    def __enter__(self):
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self.ready.wait(scaled(10))
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.done.set)
        self.thread.join(scaled(10))


def test_websocket_echo_with_a_real_client_and_server(run_proxy):
    async def talk(port):
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/chat", max_size=4 * MIB, ping_interval=None
        ) as socket:
            assert "HOLDFAST=" in socket.response_headers.get("Set-Cookie", "")
            for message in [
                "hello",
                "\u00fc" * 1000,
                bytes(70000),
                random.Random(4).randbytes(MIB),
                "",
            ]:
                await socket.send(message)
                assert await asyncio.wait_for(socket.recv(), scaled(10)) == message
            await (await socket.ping())
        assert socket.close_code == 1000

    async def all_at_once(port):
        await asyncio.wait_for(asyncio.gather(*(talk(port) for _ in range(20))), scaled(60))

    with EchoServer() as server:
        proxy = run_proxy([server])
        asyncio.run(all_at_once(proxy.port))
        assert server.paths == ["/chat"] * 20
        assert proxy.metric("holdfast_tunnels_total") == 20
        poll(lambda: proxy.metric("holdfast_tunnels") == 0, what="no tunnel is left")


def upgraded(stage, client):
    client.send(REQUEST)
    answer = client.head()
    assert answer.status == 101 and answer.field("Upgrade") == "websocket"
    assert answer.field("Connection").lower() == "upgrade"


def test_random_bytes_both_ways(stage):
    stage.behave = echo_upgrade
    generator = random.Random(5)
    data = generator.randbytes(8 * MIB)
    with stage.client() as client:
        upgraded(stage, client)
        sender = threading.Thread(target=lambda: (client.send(data), client.half_close()))
        sender.start()
        assert client.take(len(data)) == data
        sender.join()
        assert client.end() == "fin" and not client.buffer


def test_bytes_right_behind_the_101(stage):
    def behave(connection, request):
        connection.send(switching(request) + b"hello")
        connection.drain()

    stage.behave = behave
    with stage.client() as client:
        upgraded(stage, client)
        assert client.take(5) == b"hello"


def test_client_half_close_leaves_the_other_direction_open(stage):
    def behave(connection, request):
        connection.send(switching(request))
        connection.drain()
        assert connection.closed == "fin"
        for number in range(100):
            connection.send(b"%02d" % number)
        connection.close()

    stage.behave = behave
    with stage.client() as client:
        upgraded(stage, client)
        client.half_close()
        assert client.take(200) == b"".join(b"%02d" % n for n in range(100))
        assert client.end() == "fin"


def test_server_half_close_leaves_the_other_direction_open(stage):
    got = []

    def behave(connection, request):
        connection.send(switching(request))
        connection.half_close()
        got.append(connection.take(5))
        connection.drain()
        got.append(connection.closed)

    stage.behave = behave
    with stage.client() as client:
        upgraded(stage, client)
        assert client.end() == "fin"
        client.send(b"after")
        client.half_close()
        poll(lambda: got == [b"after", "fin"], what="the server got what came after its own end")


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_reset_of_one_side_ends_the_other(stage, side):
    go = threading.Event()

    def behave(connection, request):
        behave.connection = connection
        connection.send(switching(request))
        if side == "server":
            go.wait(scaled(20))
            connection.reset()
        else:
            connection.drain()

    stage.behave = behave
    with stage.client() as client:
        upgraded(stage, client)
        go.set()
        if side == "client":
            client.reset()
            poll(lambda: behave.connection.closed, what="the server sees the end")
        else:
            with pytest.raises(Gone):
                client.fill()


def test_tunnel_back_pressure(stage):
    """A flood into a tunnel whose client does not read is held back, in bounded memory."""
    sent = []

    def flood(connection, request):
        connection.send(switching(request))
        try:
            for _ in range(512):
                connection.send(bytes(65536))
                sent.append(65536)
        except Closed:
            pass
        connection.close()

    stage.behave = flood
    before = stage.proxy.rss()
    with stage.client(receive_buffer=16384) as client:
        upgraded(stage, client)
        marks = []

        def stalled():
            marks.append(sum(sent))
            return len(marks) > 50 and marks[-1] == marks[-40]

        poll(stalled, 20, "the server is held back", interval=0.01)
        assert sum(sent) < 24 * MIB
        assert stage.proxy.grew_less(before, 4 * MIB)
        total = len(client.buffer)
        try:
            while True:
                client.buffer.clear()
                total += len(client.fill(1 << 20))
        except Gone as gone:
            assert gone.how == "fin"
        assert total == 32 * MIB


def test_the_next_connection_is_a_fresh_one(stage):
    """A server connection that was a tunnel is never used again."""
    stage.behave = echo_upgrade
    with stage.client() as client:
        upgraded(stage, client)
        client.half_close()
        assert client.end() == "fin"
    stage.behave = application
    tunnels = [c for c in stage.connections() if any(r.target == b"/tunnel" for r in c.requests)]
    for _ in range(5):
        assert stage.proxy.get("/plain").json()["target"] == "/plain"
    for tunnel in tunnels:
        assert tunnel.requests[-1].target == b"/tunnel"


def test_two_hundred_idle_tunnels_cost_little(stage):
    stage.behave = echo_upgrade
    clients = [stage.client() for _ in range(20)]
    for client in clients:
        upgraded(stage, client)
    before = stage.proxy.rss()
    more = [stage.client() for _ in range(200)]
    for client in more:
        upgraded(stage, client)
    for client in more:
        client.send(b"ping")
        assert client.take(4) == b"ping"
    assert stage.proxy.grew_less(before, 4 * MIB)
    for client in clients + more:
        client.close()
    poll(lambda: stage.proxy.metric("holdfast_tunnels") == 0, 10, "every tunnel ended")
