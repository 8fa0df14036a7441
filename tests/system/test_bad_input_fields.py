"""Bad and odd fields and Host (RFC 9110 5, 7.2; RFC 9112 3.2, 5)."""
import pytest
from harness.rows import Forward, Row, accepted, refused, run_row
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")


def get(*lines, host=b"Host: a"):
    return (
        b"GET /r HTTP/1.1\r\n"
        + b"".join(x + b"\r\n" for x in ([host] if host else []) + list(lines))
        + b"\r\n"
    )


def post(*lines, body=b"abc"):
    return (
        b"POST /r HTTP/1.1\r\nHost: a\r\n" + b"".join(x + b"\r\n" for x in lines) + b"\r\n" + body
    )


def with_fields(*fields, **keys):
    return accepted(Forward(fields=(("host", "a"), *fields), **keys))


OLD = b"GET /r HTTP/1.0\r\n\r\n"
ROWS = [
    Row(34, "two Host lines equal", get(b"Host: a")),
    Row(35, "two Host lines different", get(b"Host: b")),
    Row(35, "no Host in 1.1", get(host=None)),
    Row(37, "Host with SP", get(host=b"Host: a b")),
    Row(37, "Host with slash", get(host=b"Host: a/b")),
    Row(37, "Host with at", get(host=b"Host: u@a")),
    Row(37, "Host with byte 0x80", get(host=b"Host: a\x80")),
    Row(38, "Host joined", get(host=b"Host: a,b")),
    *[
        Row(41, f"{space_name} before colon of {name.decode()}", message)
        for space_name, space in (("SP", b" "), ("HTAB", b"\t"))
        for name, message in (
            (b"X-Any", get(b"X-Any" + space + b": 1")),
            (b"Content-Length", post(b"Content-Length" + space + b": 3")),
            (
                b"Transfer-Encoding",
                post(b"Transfer-Encoding" + space + b": chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
            ),
        )
    ],
    Row(43, "no colon", get(b"X-Any")),
    Row(43, "empty name", get(b": 1")),
    Row(44, "NUL in name", get(b"X\0Y: 1")),
    Row(44, "NUL in value", get(b"X: a\0b")),
    Row(46, "one bare LF", b"GET /r HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n"),
    Row(46, "all bare LF", b"GET /r HTTP/1.1\nHost: a\n\n"),
    Row(46, "bare LF ends the head", b"GET /r HTTP/1.1\r\nHost: a\r\n\n"),
    Row(46, "bare CR in value", get(b"X: a\rb")),
    Row(47, "0x01 in value", get(b"X: a\x01b")),
    Row(47, "DEL in value", get(b"X: a\x7fb")),
    Row(47, "HTAB and 0x80 in value are fine", get(b"X: a\tb\x80"), with_fields(("x", "a\tb\x80"))),
    Row(49, "0x80 in name", get(b"X\x80: 1")),
    Row(49, "parenthesis in name", get(b"X(: 1")),
    Row(50, "X_Forwarded_For", get(b"X_Forwarded_For: 9.9.9.9"), with_fields()),
    Row(50, "Content_Length", get(b"Content_Length: 3"), with_fields()),
    Row(52, "SP line after the request line", b"GET /r HTTP/1.1\r\n \r\nHost: a\r\n\r\n"),
    Row(52, "HTAB line after the request line", b"GET /r HTTP/1.1\r\n\t\r\nHost: a\r\n\r\n"),
    Row(52, "indented first field", b"GET /r HTTP/1.1\r\n Host: a\r\n\r\n"),
    Row(
        53,
        "fold in Transfer-Encoding",
        post(b"Transfer-Encoding:", b" chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    ),
    Row(53, "fold in Content-Length", post(b"Content-Length: 3", b" 3")),
    Row(53, "fold in any field", get(b"X: 1", b"\t2")),
    Row(55, "200 fields", get(*[b"X: 1"] * 200), refused(431)),
    Row(55, "128 fields are fine", get(*[b"X: 1"] * 127), with_fields(*[("x", "1")] * 127)),
    Row(55, "129 fields", get(*[b"X: 1"] * 128), refused(431)),
    Row(
        55, "33 KiB of fields", get(*[b"X%d: " % i + b"v" * 3000 for i in range(11)]), refused(431)
    ),
    Row(55, "9 KiB line", get(b"X: " + b"v" * 9000), refused(431)),
    Row(55, "9 KiB target", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", refused(414)),
    Row(56, "CR CR X ends the head", b"GET /r HTTP/1.1\r\nHost: a\r\n\rX"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(stage, row):
    run_row(stage, row)


def test_row_40_no_host_in_1_0(stage):
    with stage.watch("40") as watch, stage.client() as client:
        answer = client.send(OLD).response()
        assert answer.status == 200 and answer.json()["target"] == "/r"
        assert client.end() == "fin"
        watch.settle()
        (message,) = watch.messages
        assert message.request.target == b"/r" and not watch.rest
        # none, or the server's own name: never one that the client could have chosen
        assert message.request.all("Host") in (
            [],
            [b""],
            [f"127.0.0.1:{stage.backend.port}".encode()],
        )
        assert message.request.all("X-Forwarded-Host") == []
