"""HTTP/1.1 as a proxy must speak it: connections, framing, interim answers, fields."""
import random
import threading

import pytest
from harness import poll
from harness.backend import raw
from harness.rows import Forward
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage", limits={"request_head": "32KiB"})
trusting_stage_process, trusting_stage = stage_fixture(
    "trusting_stage", trusted_proxies=["127.0.0.0/8"]
)

MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"


# --- connections ---------------------------------------------------------------------------------
def test_keep_alive_towards_clients_and_servers(stage):
    before = len(stage.connections())
    with stage.client() as client:
        for number in range(50):
            assert client.get(f"/{number}").json()["target"] == f"/{number}"
    opened = len(stage.connections()) - before
    assert opened <= 1, f"{opened} server connections for 50 requests of one client"


def test_connection_close_is_honoured(stage):
    with stage.client() as client:
        answer = client.get("/x", fields=[("Connection", "close")])
        assert answer.status == 200 and answer.field("Connection") == "close"
        assert client.end() == "fin"


@pytest.mark.parametrize("count", [2, 10, 40])
def test_pipelining_answers_in_order(stage, count):
    with stage.watch("pipe") as watch, stage.client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(count)))
        assert [client.response().json()["target"] for _ in range(count)] == [
            f"/{n}" for n in range(count)
        ]
        watch.settle()
        assert len(watch.messages) == count


def test_pipelining_with_content_and_odd_cuts(stage):
    """Heads and contents cut at every place of a seeded random split."""
    generator = random.Random(1)
    data, expected = b"", []
    for number in range(10):
        body = generator.randbytes(generator.randrange(2000))
        expected.append((f"/{number}", len(body)))
        if number % 2:
            data += b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
                number,
                len(body),
                body,
            )
        else:
            data += b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % number
            data += (
                b"".join(
                    b"%x\r\n%b\r\n" % (len(part), part)
                    for part in (body[i : i + 700] for i in range(0, len(body), 700))
                )
                + b"0\r\n\r\n"
            )
    with stage.client() as client:
        sender = threading.Thread(target=lambda: send_in_pieces(client, data, generator))
        sender.start()
        answers = [client.response().json() for _ in range(10)]
        sender.join()
    assert [(answer["target"], answer["size"]) for answer in answers] == expected


def send_in_pieces(client, data, generator):
    at = 0
    while at < len(data):
        size = generator.randrange(1, 400)
        client.send(data[at : at + size])
        at += size


def test_a_head_byte_by_byte(stage):
    with stage.watch("bytes") as watch, stage.client() as client:
        head = b"POST /r HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"
        for byte in head + b"3\r\nabc\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.response().json()["size"] == 3
        watch.settle()
        watch.check(
            [
                Forward(
                    method="POST",
                    fields=(("host", "a"), ("x", "y")),
                    body=b"abc",
                    framing="chunked",
                )
            ]
        )


def test_an_answer_byte_by_byte(stage):
    def trickle(connection, request):
        content = b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        for byte in OK + b"X: y\r\nTransfer-Encoding: chunked\r\n\r\n" + content:
            connection.send(bytes([byte]))

    stage.behave = trickle
    with stage.client() as client:
        for _ in range(2):
            assert client.get("/r").body == b"abc0123456789abcdef"


# --- answers without content ---------------------------------------------------------------------
def test_head_carries_the_length_and_no_content(stage):
    with stage.client() as client:
        answer = client.get("/r", method="HEAD")
        assert answer.status == 200 and int(answer.field("Content-Length")) > 0
        assert client.get("/next").json()["target"] == "/next"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_statuses_without_content(stage, status, method):
    stage.behave = raw(b'HTTP/1.1 %d X\r\nETag: "e"\r\n\r\n' % status)
    with stage.client() as client:
        for _ in range(2):
            answer = client.get("/r", method=method)
            assert answer.status == status and answer.field("ETag") == '"e"'
            assert answer.field("Transfer-Encoding") is None
            assert status != 204 or answer.field("Content-Length") is None


def test_304_keeps_the_announced_length(stage):
    stage.behave = raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n")
    with stage.client() as client:
        for _ in range(2):
            answer = client.get("/r")
            assert answer.status == 304 and answer.field("Content-Length") in ("500", None)


def test_an_empty_answer(stage):
    stage.behave = raw(OK + b"Content-Length: 0\r\n\r\n")
    with stage.client() as client:
        for _ in range(2):
            assert client.get("/r").body == b""


# --- chunked -------------------------------------------------------------------------------------
def test_chunked_both_ways_is_framed_anew(stage):
    stage.behave = raw(
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n00002\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    )
    with stage.watch("chunked") as watch, stage.client() as client:
        client.send(
            b"POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;ext=1\r\nxyz\r\n0002\r\n12\r\n0\r\nX-T: 1\r\n\r\n"
        )
        answer = client.response()  # the reader takes neither extensions nor trailers
        assert answer.body == b"abcde" and answer.framing == "chunked"
        watch.settle()
        watch.check([Forward(method="POST", body=b"xyz12", framing="chunked")])
        assert b"ext" not in watch.messages[0].raw and b"X-T" not in watch.messages[0].raw


@pytest.mark.parametrize("keep", [False, True])
def test_a_1_0_client_never_gets_chunks(stage, keep):
    stage.behave = raw(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    with stage.client() as client:
        fields = [("Connection", "keep-alive")] if keep else []
        answer = client.get("/r", version="1.0", fields=fields)
        assert answer.body == b"abcde" and answer.framing == "close"


def test_the_server_version_is_ours(stage):
    stage.behave = raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "close")
    with stage.client() as client:
        answer = client.get("/r")
        assert answer.minor == 1 and answer.body == b"ok"
        assert client.get("/again").body == b"ok"


# --- interim answers -----------------------------------------------------------------------------
def expecting(stage, behave):
    stage.behave = behave
    client = stage.client()
    client.send(b"POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    return client


def test_expect_gets_100_exactly_once_from_a_server_that_says_it(stage):
    def says(connection, request):
        if request.all("Expect"):
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.read_body(request)
        connection.respond(200, request.body)

    with expecting(stage, says) as client:
        assert client.head().status == 100
        answer = client.send(b"hello").response()
        assert (answer.status, answer.body, answer.interim) == (200, b"hello", [])


def test_expect_gets_100_exactly_once_from_a_server_that_says_nothing(stage):
    def silent(connection, request):
        connection.read_body(request)
        connection.respond(200, request.body)

    with expecting(stage, silent) as client:
        assert client.head().status == 100
        answer = client.send(b"hello").response()
        assert (answer.status, answer.body, answer.interim) == (200, b"hello", [])


def test_expect_and_content_at_once(stage):
    with stage.client() as client:
        client.send(
            b"POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
        )
        answer = client.response()
        assert answer.status == 200 and len(answer.interim) <= 1 and answer.json()["size"] == 5
        assert client.get("/next").status == 200


def test_103_goes_through(stage):
    def hints(connection, request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n")
        connection.respond(200, b"ok")

    stage.behave = hints
    with stage.client() as client:
        for _ in range(2):
            answer = client.get("/r")
            assert [(i.status, i.field("Link")) for i in answer.interim] == [
                (103, "</a.css>"),
                (103, "</b.css>"),
            ]
            assert answer.body == b"ok" and all(not interim.pins() for interim in answer.interim)


def test_1xx_never_goes_to_a_1_0_client(stage):
    stage.behave = raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    )
    with stage.client() as client:
        assert client.get("/r", version="1.0").interim == []


# --- fields --------------------------------------------------------------------------------------
def test_order_and_duplicates_are_kept(stage):
    stage.behave = raw(
        OK + b"Set-Cookie: a=1\r\nX-B: 1\r\nSet-Cookie: b=2\r\nX-A: 2\r\nX-B: 3\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    with stage.watch("order") as watch, stage.client() as client:
        sent = [("X-Z", "1"), ("X-A", "2"), ("X-Z", "3"), ("Accept", "a, b")]
        answer = client.get("/r", fields=sent)
        own = [(n, v) for n, v in answer.fields if n in ("x-a", "x-b") or v in ("a=1", "b=2")]
        assert own == [
            ("set-cookie", "a=1"),
            ("x-b", "1"),
            ("set-cookie", "b=2"),
            ("x-a", "2"),
            ("x-b", "3"),
        ]
        watch.settle()
        watch.check([Forward(fields=(("host", "a"), *((n.lower(), v) for n, v in sent)))])


def test_hop_by_hop_fields_end_here(stage):
    stage.behave = raw(
        OK + b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n"
        b"X-End: 2\r\nTrailer: T\r\nContent-Length: 0\r\n\r\n"
    )
    with stage.watch("hop") as watch, stage.client() as client:
        answer = client.get(
            "/r",
            fields=[
                ("Connection", "X-Hop, close-not"),
                ("X-Hop", "1"),
                ("Keep-Alive", "5"),
                ("Proxy-Connection", "keep-alive"),
                ("X-End", "2"),
                ("Trailer", "T"),
            ],
        )
        assert answer.field("X-End") == "2"
        for name in ("X-Hop", "Keep-Alive", "Proxy-Connection"):
            assert answer.all(name) == [], name
        watch.settle()
        watch.check([Forward(fields=(("host", "a"), ("x-end", "2")))])


@pytest.mark.parametrize("name", ["Content-Length", "Host", "Cookie", "X-Forwarded-For"])
def test_connection_cannot_name_away_what_matters(stage, name):
    with stage.watch("named") as watch, stage.client() as client:
        client.send(
            f"POST /r HTTP/1.1\r\nHost: a\r\nCookie: k=v\r\nContent-Length: 3\r\n"
            f"Connection: {name}\r\n\r\nabc"
        )
        answer = client.response()
        watch.settle()
        if answer.status == 400:
            watch.check(())
            return
        (message,) = watch.messages
        assert message.body == b"abc" and message.framing == "length"
        assert message.request.field("Host") == "a"
        assert message.request.field("X-Forwarded-For") == "127.0.0.1"


def test_our_own_answers_are_small_and_honest(stage):
    with stage.client() as client:
        answer = client.send("GET  /bad HTTP/1.1\r\n\r\n").response()
        assert answer.status == 400 and answer.framing == "length" and 0 < len(answer.body) < 1024
        assert answer.field("Date") and answer.field("Content-Type").startswith("text/")


def test_forwarding_fields_of_a_trusted_chain(trusting_stage):
    """The client is the last address that no trusted proxy wrote (right to left)."""
    with trusting_stage.watch("trust") as watch, trusting_stage.client() as client:
        assert client.get("/r", fields=[("X-Forwarded-For", "1.1.1.1, 127.0.0.9")]).status == 200
        assert client.get("/r", fields=[("X-Forwarded-For", "not an address")]).status == 200
        assert client.get("/r").status == 200
        watch.settle()
        chains = [b", ".join(m.request.all("X-Forwarded-For")) for m in watch.messages]
    assert chains[0] == b"1.1.1.1, 127.0.0.9, 127.0.0.1"
    assert chains[1].endswith(b"127.0.0.1")
    assert chains[2] == b"127.0.0.1"
    clients = [
        row["client"]
        for row in poll(lambda: trusting_log(trusting_stage, 3), what="the access log")
    ]
    assert clients == ["1.1.1.1", "127.0.0.1", "127.0.0.1"]


def trusting_log(stage, count):
    rows = [row for row in stage.proxy.access_log() if row["path"] == "/r"]
    return rows if len(rows) >= count else None
