"""Bad and odd request lines and targets (RFC 9112 3, RFC 9110 4, 7, 9)."""
import pytest
from harness import pool
from harness.rows import Forward, Outcome, Row, accepted, refused, run_row
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")


def line(text):
    return text + b"\r\nHost: a\r\n\r\n"


FINE = line(b"GET /r HTTP/1.1")


def verbatim(method):
    return [Outcome((501,), "any"), *accepted(Forward(method=method))]


def opaque(target):
    return [*refused(400), *accepted(Forward(target=target))]


ROWS = [
    Row(1, "one CRLF first", b"\r\n" + FINE, accepted(Forward())),
    Row(2, "50 CRLFs first", b"\r\n" * 50 + FINE),
    Row(2, "4 CRLFs first", b"\r\n" * 4 + FINE, accepted(Forward())),
    Row(2, "5 CRLFs first", b"\r\n" * 5 + FINE),
    Row(4, "two SP before target", line(b"GET  /r HTTP/1.1")),
    Row(4, "two SP before version", line(b"GET /r  HTTP/1.1")),
    Row(4, "HTAB before target", line(b"GET\t/r HTTP/1.1")),
    Row(4, "HTAB before version", line(b"GET /r\tHTTP/1.1")),
    Row(5, "SP after version", line(b"GET /r HTTP/1.1 ")),
    Row(5, "HTAB after version", line(b"GET /r HTTP/1.1\t")),
    Row(7, "HTTP 0.9", line(b"GET /r HTTP/0.9"), refused(505)),
    Row(8, "HTTP 2.0", line(b"GET /r HTTP/2.0"), refused(505)),
    Row(10, "HTTP 1.10", line(b"GET /r HTTP/1.10")),
    Row(10, "HTTP 11", line(b"GET /r HTTP/11")),
    Row(10, "lower-case http", line(b"GET /r http/1.1")),
    Row(11, "lower-case get", line(b"get /r HTTP/1.1"), verbatim("get")),
    Row(13, "rare token", line(b"G!T /r HTTP/1.1"), verbatim("G!T")),
    Row(13, "method with a parenthesis", line(b"G(T /r HTTP/1.1")),
    Row(14, "65 byte method", line(b"M" * 65 + b" /r HTTP/1.1"), refused(400, 501)),
    Row(14, "64 byte method", line(b"M" * 64 + b" /r HTTP/1.1"), verbatim("M" * 64)),
    Row(16, "GET asterisk", line(b"GET * HTTP/1.1")),
    Row(
        17,
        "OPTIONS asterisk",
        line(b"OPTIONS * HTTP/1.1"),
        [
            Outcome((200,), "kept"),
            Outcome((204,), "kept"),
            *accepted(Forward(method="OPTIONS", target="*")),
        ],
    ),
    Row(19, "CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", refused(405, 501)),
    Row(20, "CONNECT with path", line(b"CONNECT /r HTTP/1.1")),
    Row(20, "CONNECT without port", line(b"CONNECT a HTTP/1.1")),
    Row(22, "NUL in target", line(b"GET /r\0x HTTP/1.1")),
    Row(22, "DEL in target", line(b"GET /r\x7fx HTTP/1.1")),
    Row(22, "SP in target", line(b"GET /r x HTTP/1.1")),
    Row(22, "CR in target", line(b"GET /r\rx HTTP/1.1")),
    Row(22, "byte 0x80 in target", line(b"GET /r\x80x HTTP/1.1")),
    Row(23, "LF in target", line(b"GET /r\nx HTTP/1.1")),
    Row(25, "fragment", line(b"GET /r#frag HTTP/1.1")),
    Row(26, "absolute-form", line(b"GET http://a/r?q HTTP/1.1"), accepted(Forward(target="/r?q"))),
    Row(
        26,
        "absolute-form without path",
        line(b"GET http://a HTTP/1.1"),
        accepted(Forward(target="/")),
    ),
    Row(
        26,
        "absolute-form and another Host",
        b"GET http://a/r HTTP/1.1\r\nHost: b\r\n\r\n",
        [*refused(400), *accepted(Forward())],
    ),
    Row(28, "userinfo", line(b"GET http://user@a/r HTTP/1.1")),
    Row(28, "userinfo with password", line(b"GET http://user:pass@a/r HTTP/1.1")),
    Row(29, "ftp", line(b"GET ftp://a/r HTTP/1.1")),
    Row(31, "escaped NUL", line(b"GET /r%00x HTTP/1.1"), opaque("/r%00x")),
    Row(31, "bad escape", line(b"GET /r%zz HTTP/1.1"), opaque("/r%zz")),
    Row(31, "cut escape", line(b"GET /r% HTTP/1.1"), opaque("/r%")),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(stage, row):
    run_row(stage, row)


def routed(backends):
    return [
        pool(b, name=n, affinity=None) for n, b in (("api", backends[:1]), ("web", backends[1:]))
    ]


routed_stage_process, routed_stage = stage_fixture(
    "routed_stage",
    pools=routed,
    names=("api1", "web1"),
    routes=[{"path": "/api/", "pool": "api"}, {"path": "/", "pool": "web"}],
)


@pytest.mark.parametrize(
    "target, owner",
    [
        ("/api/x", "api1"),
        ("/web", "web1"),
        ("/apix", "web1"),
        ("/api/../web", "web1"),
        ("/api/./../web", "web1"),
        ("/a/../../web", "web1"),
        ("/a/../../api/x", "api1"),
        ("/x/../api/y", "api1"),
        ("//api/x", "api1"),
        ("/.//api/x", "api1"),
        ("/api;p=1/x", "api1"),
        ("/%61pi/x", "api1"),
        ("/api/%2e%2e/web", "web1"),
        ("/%2e%2e/api/x", "api1"),
        ("/web?q=/api/", "web1"),
        ("/api/x?q=/../../web", "api1"),
    ],
)
def test_row_32_routes_on_the_normalised_path(routed_stage, target, owner):
    with routed_stage.watch("32") as watch, routed_stage.client() as client:
        answer = client.get(target)
        if answer.status == 400:
            watch.settle()
            watch.check(())
            assert client.end() == "fin"
            return
        assert answer.json() == {**answer.json(), "server": owner, "target": target}
        watch.settle()
        watch.check([Forward(target=target)])
