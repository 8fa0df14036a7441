"""Bad and odd responses of servers (RFC 9112 5, 6.3, 8)."""
import pytest
from harness import Gone, poll
from harness.backend import raw
from harness.stages import stage_fixture

stage_process, stage = stage_fixture("stage")

OK = b"HTTP/1.1 200 OK\r\n"


def server_connection_closed(watch):
    """The server connection that carried the exchange is closed, not kept for another client."""
    assert watch.used
    poll(lambda: all(c.closed or c.finished for c in watch.used), what="it is not kept")


@pytest.mark.parametrize(
    "response, statuses",
    [
        (
            OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            {200, 502},
        ),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", {502}),
        (OK + b"Content-Length: 3, 4\r\n\r\nabcd", {502}),
        (OK + b"Content-Length: +3\r\n\r\nabc", {502}),
        (OK + b"Content-Length: x\r\n\r\nabc", {502}),
        (OK + b"Content-Length: 18446744073709551619\r\n\r\nabc", {502}),
        (OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", {502}),
        (OK + b"X: 1\r\n 2\r\nContent-Length: 3\r\n\r\nabc", {502}),
        (OK + b"X: a\0b\r\nContent-Length: 3\r\n\r\nabc", {502}),
        (OK + b"X: a\nContent-Length: 3\r\n\r\nabc", {502}),
        (OK[:-2] + b"\n" + b"Content-Length: 3\n\nabc", {502}),
        (OK + b"X : a\r\nContent-Length: 3\r\n\r\nabc", {200, 502}),
        (OK + b"Content-Length : 3\r\n\r\nabc", {200, 502}),
        (b"HTTP/2.0 200 OK\r\n\r\n", {502}),
        (b"HTTP/1.1 99 Low\r\n\r\n", {502}),
        (b"HTTP/1.1 2000 OK\r\n\r\n", {502}),
        (b"<html>hello</html>\r\n\r\n", {502}),
        (b"\0" * 64 + b"\r\n\r\n", {502}),
        (OK + b"X: " + b"v" * 70000 + b"\r\n\r\n", {502}),
    ],
    ids=[
        "190 both framings",
        "190 two lengths",
        "190 lengths in a list",
        "190 plus",
        "190 letter",
        "190 beyond 64 bits",
        "190 chunked twice",
        "191 fold",
        "191 NUL",
        "191 bare LF",
        "191 bare LF everywhere",
        "191 SP before colon",
        "191 SP before colon of length",
        "191 version",
        "191 two digits",
        "191 four digits",
        "191 not HTTP",
        "191 zeros",
        "191 endless head",
    ],
)
def test_rows_190_191_malformed_response(stage, response, statuses):
    stage.behave = raw(response)
    with stage.watch("190") as watch, stage.client() as client:
        answer = client.get("/r")
        assert answer.status in statuses, answer.head
        if answer.status == 200:
            assert answer.body == b"abc"
        watch.settle()
        assert {m.request.target for m in watch.messages} == {b"/r"} and not watch.rest
    if answer.status == 502:
        server_connection_closed(watch)


def cut_short(framing):
    return {
        "length": OK + b"Content-Length: 10\r\n\r\nabc",
        "chunked": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "within chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
        "before trailers": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    }[framing]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked", "within chunk", "before trailers"])
def test_row_193_the_end_is_unclean_for_the_client_too(stage, framing, how):
    stage.behave = raw(cut_short(framing), how)
    with stage.watch("193") as watch, stage.client() as client:
        with pytest.raises(Gone):
            answer = client.get("/r")
            # a reset may overtake the head: then nothing of the answer was seen, and 502 is honest
            if how == "reset" and answer.status == 502:
                raise Gone("fin")
        watch.settle()
        assert {m.request.target for m in watch.messages} == {b"/r"}


def test_row_193_reset_of_a_close_delimited_answer(stage):
    def slow_reset(connection, request):
        connection.send(OK + b"\r\nabc")
        slow_reset.sent = connection
        poll(lambda: slow_reset.go, 10)
        connection.reset()

    slow_reset.go, slow_reset.sent = False, None
    stage.behave = slow_reset
    with stage.watch("193-close") as watch, stage.client() as client:
        client.ask("/r")
        response = client.head()
        poll(lambda: slow_reset.sent)
        if response.field("Transfer-Encoding"):
            assert client.take(8) == b"3\r\nabc\r\n"
        else:
            assert client.take(3) == b"abc"
        slow_reset.go = True
        how = client.end()
        assert how != "open" and b"0\r\n\r\n" not in client.buffer
        if not response.field("Transfer-Encoding"):
            assert how == "reset"
        watch.settle()


@pytest.mark.parametrize("version, framing", [("1.1", "chunked"), ("1.0", "close")])
def test_a_close_delimited_answer_ends_cleanly(stage, version, framing):
    stage.behave = raw(OK + b"\r\nabc", "close")
    with stage.watch("close") as watch, stage.client() as client:
        answer = client.get("/r", version=version)
        assert (answer.status, answer.body) == (200, b"abc")
        assert answer.framing in (framing, "close")
        watch.settle()


def test_bytes_behind_an_answer_are_never_given_to_anyone(stage):
    """Over-long answers: the connection that carried one is closed, never kept."""
    stage.behave = raw(
        OK + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    )
    with stage.watch("over-long") as watch, stage.client() as client:
        assert client.get("/r").body == b"abc"
        watch.settle()
    server_connection_closed(watch)
