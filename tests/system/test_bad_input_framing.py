"""Bad and odd message framing (RFC 9112 6, 7): what two parsers could read differently."""
import pytest
from harness.rows import Forward, Outcome, Row, accepted, refused, run_row
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")
small_stage_process, small_stage = stage_fixture("small_stage", limits={"request_body": "1KiB"})

CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"


def post(*lines, body=b"abc", version=b"1.1"):
    return (
        b"POST /r HTTP/"
        + version
        + b"\r\nHost: a\r\n"
        + b"".join(x + b"\r\n" for x in lines)
        + b"\r\n"
        + body
    )


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


LENGTH = [Forward(method="POST", body=b"abc", framing="length")]
CHUNKED = [Forward(method="POST", body=b"abc", framing="chunked")]
CUT = refused(400, cut=True)


def coding(number, name, value, outcomes=None, body=CHUNKS, extra=()):
    return Row(
        number,
        name,
        post(b"Transfer-Encoding:" + value, *extra, body=body),
        outcomes or refused(400),
    )


ROWS = [
    Row(
        58,
        "two equal",
        post(b"Content-Length: 3", b"Content-Length: 3"),
        [*refused(400), *accepted(*LENGTH)],
    ),
    Row(58, "equal in a list", post(b"Content-Length: 3, 3"), [*refused(400), *accepted(*LENGTH)]),
    Row(59, "two different", post(b"Content-Length: 3", b"Content-Length: 4")),
    Row(59, "different in a list", post(b"Content-Length: 3, 4")),
    Row(61, "empty", post(b"Content-Length:")),
    Row(61, "empty then valid", post(b"Content-Length:", b"Content-Length: 3")),
    Row(61, "plus sign", post(b"Content-Length: +3")),
    Row(61, "minus sign", post(b"Content-Length: -3")),
    Row(61, "hexadecimal", post(b"Content-Length: 0x3")),
    Row(61, "inner space", post(b"Content-Length: 3 3")),
    Row(62, "leading zeros", post(b"Content-Length: 0003"), accepted(*LENGTH)),
    Row(64, "2 to the 63", post(b"Content-Length: 9223372036854775808"), refused(400, 413)),
    Row(65, "2 to the 64 and 3", post(b"Content-Length: 18446744073709551619")),
    Row(
        67,
        "1.0 GET with length",
        b"GET /r HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        [*refused(400, 413), *accepted(Forward(body=b"abc", framing="length"), end="closed")],
    ),
    Row(
        70, "both framings", post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=CHUNKS)
    ),
    Row(
        70,
        "both framings, other order",
        post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=CHUNKS),
    ),
    Row(71, "chunked in 1.0", post(b"Transfer-Encoding: chunked", body=CHUNKS, version=b"1.0")),
    coding(73, "chunked twice in a list", b" chunked, chunked"),
    coding(73, "chunked twice in lines", b" chunked", extra=[b"Transfer-Encoding: chunked"]),
    coding(74, "identity", b" identity", refused(400, 501)),
    coding(
        74, "identity with length", b" identity", refused(400, 501), b"abc", [b"Content-Length: 3"]
    ),
    coding(76, "chunked then gzip", b" chunked, gzip"),
    coding(76, "cow", b" cow"),
    coding(76, "xchunked", b" xchunked"),
    coding(77, "quoted", b' "chunked"'),
    coding(77, "leading comma", b" ,chunked"),
    coding(77, "trailing comma", b" chunked,"),
    coding(77, "empty", b""),
    coding(77, "parameter", b" chunked;a=b"),
    coding(79, "mixed case", b" cHuNkEd", accepted(*CHUNKED)),
    coding(79, "no space", b"chunked", accepted(*CHUNKED)),
    Row(82, "open quote in extension", chunked(b'3;a="b\r\nabc\r\n0\r\n\r\n'), CUT),
    Row(82, "extension is dropped", chunked(b'3;a="b"\r\nabc\r\n0;x\r\n\r\n'), accepted(*CHUNKED)),
    Row(83, "LF in extension", chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(83, "CR in extension", chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(85, "64 KiB extension", chunked(b"3;" + b"a" * 65536 + b"\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "0x3", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "+3", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "-1", chunked(b"-1\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "0_3", chunked(b"0_3\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "space first", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(86, "empty size", chunked(b"\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(88, "LF after size", chunked(b"3\nabc\r\n0\r\n\r\n"), CUT),
    Row(88, "LF after content", chunked(b"3\r\nabc\n0\r\n\r\n"), CUT),
    Row(88, "LF after last chunk", chunked(b"3\r\nabc\r\n0\n\r\n"), CUT),
    Row(88, "LF at the very end", chunked(b"3\r\nabc\r\n0\r\n\n"), CUT),
    Row(89, "no CRLF after content", chunked(b"3\r\nabcXX0\r\n\r\n"), CUT),
    Row(91, "size 2 to the 63", chunked(b"8000000000000000\r\nabc"), CUT),
    Row(91, "17 digits", chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(92, "200 leading zeros", chunked(b"0" * 200 + b"3\r\nabc\r\n0\r\n\r\n"), CUT),
    Row(
        92,
        "15 leading zeros are fine",
        chunked(b"0" * 15 + b"3\r\nabc\r\n0\r\n\r\n"),
        accepted(*CHUNKED),
    ),
    Row(94, "trailer field", chunked(b"3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"), accepted(*CHUNKED)),
    *[
        Row(
            95,
            f"trailer {field.partition(b':')[0].decode()}",
            chunked(b"3\r\nabc\r\n0\r\n" + field + b"\r\n\r\n"),
            accepted(*CHUNKED),
        )
        for field in (
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            b"Host: evil",
            b"Cookie: a=b",
            b"Authorization: x",
        )
    ],
    Row(
        95,
        "trailer beyond 4 KiB",
        chunked(b"3\r\nabc\r\n0\r\nX: " + b"v" * 5000 + b"\r\n\r\n"),
        refused(400, 431, cut=True),
    ),
    Row(
        97,
        "junk after the last chunk",
        chunked(b"3\r\nabc\r\n0\r\nXXGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        CUT,
    ),
    Row(
        98,
        "FIN within a chunk",
        chunked(b"5\r\nabc"),
        [Outcome((400,), "closed", "cut"), Outcome((), "closed", "cut")],
        half_close=True,
    ),
    Row(
        98,
        "FIN within a length",
        post(b"Content-Length: 5"),
        [Outcome((400,), "closed", "cut"), Outcome((), "closed", "cut")],
        half_close=True,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_row(stage, row):
    run_row(stage, row)


TOO_MUCH = [
    Row(
        68, "length beyond the limit", post(b"Content-Length: 1025", body=b"x" * 1025), refused(413)
    ),
    Row(
        68,
        "length far beyond, no content",
        post(b"Content-Length: 1000000", body=b""),
        refused(413),
    ),
    Row(
        68,
        "chunks beyond the limit",
        chunked(b"400\r\n" + b"x" * 1024 + b"\r\n1\r\ny\r\n0\r\n\r\n"),
        refused(413, cut=True),
    ),
    Row(
        68,
        "the limit itself",
        post(b"Content-Length: 1024", body=b"x" * 1024),
        accepted(Forward(method="POST", body=b"x" * 1024, framing="length")),
    ),
]


@pytest.mark.parametrize("row", TOO_MUCH, ids=lambda row: row.id)
def test_too_much_content(small_stage, row):
    run_row(small_stage, row)


def test_row_80_te(stage):
    with stage.watch("80") as watch, stage.client() as client:
        answer = client.get("/r", fields=[("TE", "trailers, chunked"), ("Connection", "TE")])
        assert answer.status == 200
        watch.settle()
        (message,) = watch.messages
        assert message.request.all("TE") in ([], [b"trailers"]) and not watch.rest
        if not message.request.all("TE"):
            assert message.request.all("Connection") == []
