"""The harness against itself, without a proxy: what it calls broken is broken, and only that."""
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Browser, Client, Gone, ProtocolError, poll, ports
from harness.apps import User, crowd, join
from harness.backend import echo_upgrade, raw
from harness.child import DIES_WITH_US
from harness.ports import FIRST, LAST
from harness.proxy import Metrics
from harness.rows import split_messages


def test_application_counts_sessions(backends):
    browser = Browser(backends("app1").port)
    assert [browser.request("/x").json()["count"] for _ in range(3)] == [1, 2, 3]
    assert browser.servers == ["app1"] * 3 and browser.errors == []


def test_requests_and_bytes_are_recorded(backends):
    backend = backends("app1")
    with Client(backend.port) as client:
        assert client.get("/a", "POST", body=b"12345").json()["size"] == 5
        client.send("POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert client.response().json()["size"] == 3
    assert backend.targets() == ["/a", "/b"]
    messages, rest = split_messages(bytes(backend.connections[0].received))
    assert [(m.body, m.framing) for m in messages] == [(b"12345", "length"), (b"abc", "chunked")]
    assert rest == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=["length", "chunked", "head", "silence"],
)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_unclean_end_is_seen(backends, answer, how):
    backend = backends("app1", behave=raw(answer, how))
    with Client(backend.port) as client, pytest.raises(Gone):
        client.get()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ],
    ids=["line feed", "space before colon", "two framings", "chunk end", "trailer"],
)
def test_a_malformed_response_is_seen(backends, answer):
    backend = backends("app1", behave=raw(answer, "close"))
    with Client(backend.port) as client, pytest.raises(ProtocolError):
        client.get()


def test_close_delimited_content_ends_with_fin_only(backends):
    fine = backends("app1", behave=raw(b"HTTP/1.1 200 OK\r\n\r\nabc", "close"))
    with Client(fine.port) as client:
        assert client.get().body == b"abc"
    broken = backends("app2", behave=raw(b"HTTP/1.1 200 OK\r\n\r\nabc", "reset"))
    with Client(broken.port) as client, pytest.raises(Gone):
        client.get()


def test_a_broken_behaviour_is_kept_as_failure(backends):
    backend = backends("app1")
    with Client(backend.port) as client:
        client.send("GET / HTTP/1.1\r\nbad line\r\n\r\n")
        assert client.end() == "fin"
    assert "not a field line" in backend.failures.pop()


def test_upgrade_echo_and_half_close(backends):
    with Client(backends("app1", behave=echo_upgrade).port) as client:
        client.ask(fields=[("Connection", "upgrade"), ("Upgrade", "x")])
        assert client.head().status == 101
        client.send(b"hello")
        assert client.take(5) == b"hello"
        client.half_close()
        assert client.end() == "fin"


def test_stop_refuses_and_start_comes_back(backends):
    backend = backends("app1")
    backend.stop()
    with pytest.raises(ConnectionRefusedError):
        Client(backend.port)
    backend.start()
    assert Client(backend.port).get().status == 200


def test_exposition_rows():
    rows = Metrics.parse('# HELP a b\na{x="1",y="2"} 3\na{x="2",y="2"} 4\nb 5\n')
    assert rows.value("a") == 7 and rows.value("a", x="1") == 3 and rows.value("b") == 5


def test_application_process_users_and_journal(apps):
    (app,) = apps("app1")
    made = [User(app.port, number) for number in range(20)]
    threads, failures = crowd(
        made, lambda user: [user.visit("POST" if n % 2 else "GET", "?delay=1") for n in range(5)]
    )
    join(threads, failures)
    assert all(
        user.errors == [] and user.wrong == [] and user.servers == ["app1"] * 5 for user in made
    )
    assert len(set(app.journal())) == 100 == len(app.journal())
    app.kill()
    assert not made[0].visit()
    assert len(app.journal()) == 100


def test_a_lost_session_is_seen(apps):
    (app,) = apps("app1")
    user = User(app.port, 1)
    assert user.visit() and user.visit()
    user.jar["APP"] = "app1-unknown"
    assert user.visit()
    assert user.sessions == ["app1-0", "app1-1"] and user.wrong == []
    user.expected["app1-1"] = 5
    user.visit()
    assert user.wrong[0]["count"] == 2


def test_a_child_ends_with_tests_that_are_killed():
    command = f"subprocess.Popen({[*DIES_WITH_US, 'cat']}, stdin=subprocess.PIPE).pid"
    script = f"import subprocess, sys; print({command}, flush=True); sys.stdin.read()"
    tests = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with tests:
        child = os.pidfd_open(int(tests.stdout.readline()))
        try:
            os.kill(tests.pid, 9)
            assert tests.wait() == -9
            poll(lambda: select.select([child], [], [], 0)[0], 10, "the child ended too")
        finally:
            os.close(child)


def test_processes_at_once_are_given_different_ports():
    processes, each = 4, 100
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from harness.ports import free_port\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"print(*(free_port() for _ in range({each})))"
    )
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    assert [process.stdout.readline() for process in asking] == ["ready\n"] * processes
    for process in asking:
        process.stdin.write("\n")
        process.stdin.flush()
    given = [int(port) for process in asking for port in process.communicate()[0].split()]
    assert len(given) == processes * each == len(set(given))
    assert all(FIRST <= port <= LAST for port in given)


@pytest.mark.parametrize("found", ["", "nonsense", "1", str(LAST + 1)])
def test_a_spoilt_counter_of_ports_begins_anew(tmp_path, monkeypatch, found):
    monkeypatch.setattr(ports, "COUNTER", str(tmp_path / "counter"))
    (tmp_path / "counter").write_text(found)
    assert ports._next_port() == FIRST and ports._next_port() == FIRST + 1
