"""The agent as a process: what it refuses to start with, signals, reload, what the admin side tells."""
import json
import signal
import subprocess
import urllib.error
import urllib.request

import pytest
from harness import poll, scaled
from harness.agent import Agent
from harness.proxy import BINARY
from harness.redis import Wire, encode

OK, NIL = b"+OK\r\n", b"$-1\r\n"


@pytest.fixture
def agent(tmp_path):
    running = Agent(tmp_path).start()
    yield running
    running.stop()


def ask(wire, *words):
    wire.send(encode(*words))
    return wire.reply()


def rewrite(agent, **keys):
    config = json.loads(agent.file.read_text())
    config["agent"].update(keys)
    agent.file.write_text(json.dumps(config, indent=1))
    agent.process.send_signal(signal.SIGHUP)


def refusal(agent):
    """What a file that cannot run ends with."""
    done = subprocess.run(
        [BINARY, "agent", "-c", str(agent.file)], capture_output=True, timeout=scaled(20), text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    return done.stderr


def test_status_and_metrics(agent):
    with Wire(agent.port) as wire:
        assert ask(wire, "SET", "sess:1", "value") == OK
        assert ask(wire, "GET", "sess:1") == b"$5\r\nvalue\r\n"
        assert ask(wire, "GET", "sess:2") == NIL
        poll(lambda: agent.status()["sessions"]["owner"] == 1, 5, "the session is counted")
        poll(lambda: agent.metric("holdfast_agent_reads_total") == 2, 5, "reads are counted")
        told = agent.status()
        assert told["node"] == "app1" and told["mode"] == "local" and told["generation"] == 1
        assert told["listeners"] == [
            {"front": "redis", "bind": f"127.0.0.1:{agent.port}", "connections": 1}
        ]
        assert told["keys"] == 1 and told["memory"]["limit"] == 1 << 30
        assert agent.metric("holdfast_agent_reads_total", result="hit") == 1
        assert agent.metric("holdfast_agent_operations_total", operation="set") == 1
        assert agent.metric("holdfast_agent_connections", front="redis") == 1
        assert agent.metric("holdfast_agent_sessions", role="owner") == 1


def test_an_agent_has_no_servers(agent):
    for path in ("/", "/v1/servers"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            agent.admin(path)
        assert refused.value.code == 404


def test_expired_sessions_are_counted(agent):
    with Wire(agent.port) as wire:
        assert ask(wire, "SET", "sess:1", "value", "PX", "20") == OK
        poll(lambda: ask(wire, "GET", "sess:1") == NIL, 5, "it expires")
        gone = "holdfast_agent_sessions_expired_total"
        poll(lambda: agent.metric(gone) == 1 and agent.status()["keys"] == 0, 5, "it is gone")


def test_reload(agent):
    with Wire(agent.port) as wire:
        assert ask(wire, "SET", "sess:1", "value") == OK
        rewrite(agent, memory="64MiB", when_full="evict", session_keys=["app:{id}"])
        poll(lambda: agent.status()["memory"]["limit"] == 64 << 20, 5, "the limit is another one")
        assert agent.status()["generation"] == 2
        poll(lambda: "session_keys and tombstones stay" in agent.stderr(), 5, "the rest is told")
        rewrite(agent, memory="1KiB")
        poll(lambda: "the configuration in force stays" in agent.stderr(), 5, "a mistake is told")
        assert agent.status()["memory"]["limit"] == 64 << 20
        assert ask(wire, "GET", "sess:1") == b"$5\r\nvalue\r\n"


def test_the_password_may_change(tmp_path):
    running = Agent(tmp_path, password="first").start()
    with Wire(running.port) as before:
        assert ask(before, "AUTH", "first") == OK
        (tmp_path / "password").write_text("second\n")
        running.process.send_signal(signal.SIGHUP)
        poll(lambda: running.status()["generation"] == 2, 5, "it reloads")
        assert ask(before, "SET", "sess:1", "value") == OK  # who is in stays in
        with Wire(running.port) as after:
            assert ask(after, "AUTH", "first").startswith(b"-WRONGPASS")
            assert ask(after, "AUTH", "second") == OK
    running.stop()


def test_sigterm_answers_what_was_asked(tmp_path):
    running = Agent(tmp_path).start()
    idle, busy = Wire(running.port), Wire(running.port)
    asked = 2000
    busy.send(encode("SET", "sess:1", "v" * 1000) + encode("GET", "sess:1") * asked)
    assert busy.reply() == OK  # it is at work
    running.process.send_signal(signal.SIGTERM)
    for _ in range(asked):
        assert busy.reply() == b"$1000\r\n" + b"v" * 1000 + b"\r\n"
    assert busy.socket.recv(1) == b"" and idle.socket.recv(1) == b""
    running.stop()


def test_a_client_that_does_not_read_delays_no_end(tmp_path):
    running = Agent(tmp_path).start()
    wire = Wire(running.port)
    assert ask(wire, "SET", "sess:1", "v" * 1000000) == OK
    wire.send(encode("GET", "sess:1") * 40)
    poll(lambda: running.metric("holdfast_agent_sent_bytes_total") > 1000000, 5, "it sends")
    running.process.send_signal(signal.SIGTERM)
    poll(lambda: "SIGTERM" in running.stderr(), 5, "it is ending")
    running.process.send_signal(signal.SIGTERM)
    running.stop()


def test_who_sees_a_killed_agent_end_is_refused(tmp_path):
    """Clients connect again at once. A connection that the dying process still took would be reset
    in the middle of their handshake, which node-redis never recovers from."""
    running = Agent(tmp_path).start()
    wires = [Wire(running.port) for _ in range(50)]
    assert all(ask(wire, "PING") == b"+PONG\r\n" for wire in wires)
    running.process.kill()
    for wire in reversed(wires):  # the youngest is closed first
        assert wire.socket.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            Wire(running.port)
    running.process.wait()


def test_one_agent_an_address(agent, tmp_path):
    second = Agent(tmp_path / "second", redis=f"127.0.0.1:{agent.port}")
    told = refusal(second)
    assert f"cannot listen on 127.0.0.1:{agent.port}" in told and "stop the other program" in told


def test_a_unix_socket_goes_with_its_agent(tmp_path):
    running = Agent(tmp_path, unix=True).start()
    with Wire(running.unix) as wire:
        assert ask(wire, "PING") == b"+PONG\r\n"
    running.stop()
    assert not (tmp_path / "agent.sock").exists()


@pytest.mark.parametrize(
    "keys, told",
    [
        ({"mode": "external", "external": {"url": "redis://a:1"}}, "'url' has 'a:1': write a numeric"),
        ({"mode": "external", "memcached": "127.0.0.1:1", "external": {"url": "redis://127.0.0.1:1"}},
         "serves Redis alone"),
        ({"redis": "0.0.0.0:6380"}, "'redis' is not on loopback and there is no 'password_file'"),
        ({"password_file": "/nowhere"}, "cannot be read"),
        ({"memory": "1MiB"}, "out of range: write 4MiB"),
        ({"session_keys": ["a:{id}", "a:{id}"]}, "has 'a:{id}' twice"),
        ({"tombstones": {"strict": ["a:"], "miss": ["a:"]}}, "is in both 'strict' and 'miss'"),
    ],
)
def test_mistakes_have_lines(tmp_path, keys, told):
    broken = Agent(tmp_path, **keys)
    text = refusal(broken)
    assert told in text and text.startswith(f"{broken.file}:")


def test_tombstones_of_the_file(tmp_path):
    running = Agent(tmp_path, tombstones={"strict": ["shop:"], "miss": ["sess:"]}).start()
    with Wire(running.port) as wire:
        for prefix, kept in (("shop", NIL), ("sess", b"$1\r\nv\r\n")):
            assert ask(wire, "SET", f"{prefix}:{prefix}1", "v") == OK
            assert ask(wire, "DEL", f"{prefix}:{prefix}1") == b":1\r\n"
            assert ask(wire, "SET", f"{prefix}:{prefix}1", "v") == OK  # a late one
            assert ask(wire, "GET", f"{prefix}:{prefix}1") == kept
    running.stop()


def test_a_lock_does_not_bring_a_strict_session_back(tmp_path):
    keys = ["shop:{id}", "shop:{id}_LOCK"]
    running = Agent(tmp_path, session_keys=keys, tombstones={"strict": ["shop:", "PHPREDIS_SESSION:"]}).start()
    with Wire(running.port) as wire:
        for name in ("shop:1", "PHPREDIS_SESSION:2"):
            assert ask(wire, "SET", name, "v") == OK
            assert ask(wire, "DEL", name) == b":1\r\n"
            ask(wire, "SET", f"{name}_LOCK", "token", "NX")
            assert ask(wire, "SET", name, "late") == OK
            assert ask(wire, "GET", name) == NIL
    running.stop()
