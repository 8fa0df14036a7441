"""Three agents that hold copies for each other: sessions are served by all, outlive the agent that
owned them, and are never served stale."""
import signal
import subprocess
import threading
import time

import pytest
import redis
from harness import poll, scaled
from harness.agents import Agents
from harness.proxy import BINARY


@pytest.fixture
def agents(tmp_path):
    running = Agents(tmp_path).start()
    yield running
    running.stop()


def take(client, key, value=None):
    """Makes the client's agent the owner, as an application does: it reads, then writes."""
    client.get(key)
    if value is not None:
        client.set(key, value)


def owned(agents):
    return {name: agents.status(name)["sessions"]["owner"] for name in agents.alive()}


def test_what_one_agent_is_told_all_serve(agents):
    a, b, c = (agents.client(name) for name in "abc")
    for i in range(50):
        assert a.set(f"sess:{i}", f"value {i}", ex=600)
    for i in range(50):
        assert b.get(f"sess:{i}") == c.get(f"sess:{i}") == b"value %d" % i
    assert b.get("sess:none") is None
    told = agents.status("a")
    assert told["mode"] == "replicated" and told["replication"]["self"] == "a"
    assert [peer["name"] for peer in told["replication"]["peers"]] == ["b", "c"]
    poll(lambda: sum(owned(agents).values()) == 50, 5, "each session has one owner")


def test_a_killed_owner_loses_nothing(agents, capsys):
    a, b, c = (agents.client(name) for name in "abc")
    for i in range(200):
        take(a, f"sess:{i}", f"first {i}")
        a.set(f"sess:{i}", f"newest {i}")
    agents.kill("a")
    begin = time.monotonic()
    assert b.get("sess:0") == b"newest 0"
    first = time.monotonic() - begin
    for i in range(200):
        assert (b if i % 2 else c).get(f"sess:{i}") == b"newest %d" % i
    took = time.monotonic() - begin
    with capsys.disabled():
        print(f"\nSIGKILL: first session {first * 1e3:.1f} ms later, 200 within {took * 1e3:.1f} ms")
    assert first < scaled(5)
    assert c.set("sess:0", "after") and b.get("sess:0") == b"after"


def test_a_stopped_owner_is_not_waited_for(agents, capsys):
    """Nothing tells that it is gone but its silence; when it wakes it serves nothing old."""
    a, b = agents.client("a"), agents.client("b")
    for i in range(20):
        take(a, f"sess:{i}", "first")
    with agents.stopped("a"):
        begin = time.monotonic()
        assert b.get("sess:0") == b"first"
        took = time.monotonic() - begin
        for i in range(20):
            take(b, f"sess:{i}", "second")
    with capsys.disabled():
        print(f"\nSIGSTOP: the first session is read {took * 1e3:.0f} ms later")
    for i in range(20):
        assert a.get(f"sess:{i}") == b"second"


def test_a_write_to_a_dead_owner_is_done_or_refused(agents):
    """It may have been under way to the owner: then nobody knows, and the client is told so. What
    was answered is there."""
    a, b, c = (agents.client(name) for name in "abc")
    for i in range(40):
        take(a, f"sess:{i}", "first")
    agents.kill("a")
    for i in range(40):
        known = {b"second"}
        try:
            assert b.set(f"sess:{i}", "second")
        except redis.ResponseError as refused:
            assert str(refused).startswith("TRYAGAIN")
            known.add(b"first")
        assert c.get(f"sess:{i}") in known


def test_a_counter_is_never_stale(agents):
    """One session, asked in turns at all agents at once: each sum is seen once, and what is read
    after an answer is at least what that answer told."""
    rounds, seen, lock = 100, [], threading.Lock()
    newest, failures = [0], []

    def visit(name, number):
        client = agents.client(name)
        for _ in range(rounds):
            with lock:
                least = newest[0]
            told = client.hincrby("sess:counter", "visits", 1)
            read = int(client.hget("sess:counter", "visits"))
            with lock:
                seen.append(told)
                newest[0] = max(newest[0], told)
                if told <= least or read < told:
                    failures.append((name, number, least, told, read))

    threads = [
        threading.Thread(target=visit, args=(name, i)) for i, name in enumerate("abcabc")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(scaled(40))
        assert not thread.is_alive()
    assert not failures
    assert sorted(seen) == list(range(1, 6 * rounds + 1))


def test_a_deleted_session_stays_deleted(agents):
    a, b, c = (agents.client(name) for name in "abc")
    take(a, "sess:1", "value")  # sess: is strict: its ids are never used again
    take(a, "PHPREDIS_SESSION:2", "value")
    assert a.delete("sess:1", "PHPREDIS_SESSION:2") == 2
    for client in (b, c, a):
        assert client.get("sess:1") is None and client.get("PHPREDIS_SESSION:2") is None
    assert c.set("sess:1", "late")  # answered as done, and dropped
    assert a.get("sess:1") is None and b.get("sess:1") is None
    assert c.set("PHPREDIS_SESSION:2", "again")
    assert a.get("PHPREDIS_SESSION:2") == b"again"
    agents.kill("a")
    assert b.get("sess:1") is None and c.get("PHPREDIS_SESSION:2") == b"again"


def test_a_planned_end_hands_over(agents, capsys):
    a, b, c = (agents.client(name) for name in "abc")
    for i in range(500):
        take(a, f"sess:{i}", f"value {i}")
    begin = time.monotonic()
    agents.leave("a")
    took = time.monotonic() - begin
    asked = time.monotonic()
    for i in range(500):
        assert (b if i % 2 else c).get(f"sess:{i}") == b"value %d" % i
    with capsys.disabled():
        print(
            f"\nSIGTERM: ended after {took * 1e3:.0f} ms; 500 sessions read in "
            f"{(time.monotonic() - asked) * 1e3:.0f} ms"
        )
    assert "handed over" in agents.agents["a"].stderr()


def test_one_that_joins_serves(tmp_path):
    agents = Agents(tmp_path)
    agents.start("a", "b")
    try:
        a = agents.client("a")
        for i in range(100):
            take(a, f"sess:{i}", f"value {i}")
        agents.start("c")
        c = agents.client("c")
        for i in range(100):
            assert c.get(f"sess:{i}") == b"value %d" % i
        for i in range(100):
            assert c.set(f"sess:{i}", "of c") and a.get(f"sess:{i}") == b"of c"
        agents.kill("b")
        for i in range(100):
            assert c.get(f"sess:{i}") == b"of c"
    finally:
        agents.stop()


def test_one_after_the_other_is_restarted(agents):
    """As an upgrade does it: nothing is lost, whoever owned what."""
    client = agents.client("a")
    for i in range(90):
        take(client, f"sess:{i}", f"value {i}")
    for name in "abc":
        agents.leave(name)
        agents.start(name)
    for name in "abc":
        client = agents.client(name)
        for i in range(90):
            assert client.get(f"sess:{i}") == b"value %d" % i


def test_expiry_moves_with_the_session(agents):
    a, b, c = (agents.client(name) for name in "abc")
    a.set("sess:long", "value", ex=1000)
    a.set("sess:short", "value", px=700)
    a.set("sess:never", "value")
    for client in (b, c, a):
        assert 990 < client.ttl("sess:long") <= 1000
        assert client.ttl("sess:never") == -1
    assert b.get("sess:short") == b"value"
    assert c.expire("sess:long", 2000) and 1990 < a.ttl("sess:long") <= 2000
    poll(lambda: c.get("sess:short") is None, 5, "it expires on another than wrote it")
    assert a.get("sess:short") is None and b.exists("sess:short") == 0
    assert a.persist("sess:long") and b.ttl("sess:long") == -1


def test_hashes_transactions_and_locks(agents):
    a, b, c = (agents.client(name) for name in "abc")
    assert a.hset("spring:session:sessions:1", mapping={"name": "Ada", "visits": 1}) == 2
    assert b.hgetall("spring:session:sessions:1") == {b"name": b"Ada", b"visits": b"1"}
    assert c.hset("spring:session:sessions:1", "visits", 2) == 0
    assert a.hmget("spring:session:sessions:1", "visits", "none") == [b"2", None]
    assert b.hdel("spring:session:sessions:1", "name") == 1
    assert c.hlen("spring:session:sessions:1") == 1

    with b.pipeline(transaction=True) as pipe:
        pipe.set("sess:t", "1").expire("sess:t", 100).get("sess:t")
        assert pipe.execute() == [True, True, b"1"]
    with a.pipeline(transaction=True) as pipe:
        pipe.watch("sess:t")
        c.set("sess:t", "2")
        pipe.multi()
        pipe.set("sess:t", "3")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert b.get("sess:t") == b"2"

    lock = "PHPREDIS_SESSION:1_LOCK"
    assert a.set(lock, "of a", nx=True, px=60000) and b.set(lock, "of b", nx=True) is None
    assert c.set(lock, "of c", nx=True) is None and b.get(lock) == b"of a"
    release = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end'
    assert c.eval(release, 1, lock, "of c") == 0
    assert b.eval(release, 1, lock, "of a") == 1
    assert c.set(lock, "of c", nx=True) and a.set(lock, "of a", nx=True) is None


def test_only_one_takes_a_lock(agents):
    for i in range(30):
        won, threads = [], []

        def attempt(name, key=f"PHPREDIS_SESSION:{i}_LOCK", won=won):
            if agents.client(name).set(key, name, nx=True):
                won.append(name)

        for name in "abc":
            threads.append(threading.Thread(target=attempt, args=(name,)))
            threads[-1].start()
        for thread in threads:
            thread.join(scaled(20))
        assert len(won) == 1


def test_large_values_travel(agents):
    a, b, c = (agents.client(name) for name in "abc")
    for size in (60_000, 70_000, 1 << 20, 5 << 20):
        value = (b"%08d" % size) * (size // 8)
        take(a, f"sess:{size}")
        assert a.set(f"sess:{size}", value)
        assert b.get(f"sess:{size}") == value
        assert c.set(f"sess:{size}", value[::-1]) and a.get(f"sess:{size}") == value[::-1]
    agents.kill("a")
    assert b.get(f"sess:{5 << 20}") == value[::-1]


def test_a_client_that_leaves_early_harms_nothing(agents):
    """Its operation may still happen; nobody else's answer is mixed up."""
    a = agents.client("a")
    for i in range(50):
        take(a, f"sess:{i}", f"value {i}")
    with agents.stopped("a"):
        for i in range(50):
            hasty = redis.Redis(port=agents.agents["b"].port, socket_timeout=0.01)
            with pytest.raises(redis.TimeoutError):
                hasty.set(f"sess:{i}", "hasty") if i % 2 else hasty.get(f"sess:{i}")
            hasty.close()
    b = agents.client("b")
    for i in range(50):
        known = (b"value %d" % i, b"hasty") if i % 2 else (b"value %d" % i,)
        assert b.get(f"sess:{i}") in known


def test_scan_tells_what_is_owned_here(agents):
    a, b = agents.client("a"), agents.client("b")
    take(a, "sess:1", "value")
    take(b, "sess:2", "value")
    assert a.keys("*") == [b"sess:1"] and b.keys("*") == [b"sess:2"]
    assert list(a.scan_iter()) == [b"sess:1"]


def test_metrics_tell_of_peers(agents):
    a, b = agents.client("a"), agents.client("b")
    for i in range(20):
        take(a, f"sess:{i}", "value")
        assert b.get(f"sess:{i}") == b"value"

    def moves():
        told = [agents.agents[name].metrics() for name in "abc"]
        return sum(one.value("holdfast_fabric_moves_total") for one in told) >= 20

    poll(moves, 5, "moves are counted")
    told = agents.agents["b"].metrics()
    assert told.value("holdfast_fabric_ready") == told.value("holdfast_fabric_complete") == 1
    assert told.value("holdfast_peer_links") == 2
    assert told.value("holdfast_fabric_malformed_total") == 0
    assert told.value("holdfast_fabric_protocol_errors_total") == 0


def keys_of(directory, **texts):
    made = {}
    for name, text in texts.items():
        file = directory / f"{name}.key"
        file.write_text(text * 64 + "\n")
        file.chmod(0o600)
        made[name] = {"peer_key_file": str(file)}
    return made


def test_another_key_is_no_peer(tmp_path):
    agents = Agents(tmp_path, own=keys_of(tmp_path, a="1", b="1", c="2"))
    for name in agents.names:
        agents.agents[name].start()
    try:
        poll(lambda: agents.status("a")["replication"]["peers"][0]["linked"], 10, "a and b are linked")
        poll(
            lambda: agents.agents["c"].metrics().value("holdfast_peer_refused_total", reason="key")
            + agents.agents["a"].metrics().value("holdfast_peer_refused_total", reason="key"),
            10,
            "the other key is refused",
        )
        assert not any(peer["linked"] for peer in agents.status("c")["replication"]["peers"])
        assert agents.client("a").set("sess:1", "value")
        assert agents.client("b").get("sess:1") == b"value"
    finally:
        agents.stop()


def test_reload_leaves_peers_as_they_are(agents):
    agent = agents.agents["a"]
    agent.file.write_text(agent.file.read_text().replace('"mode": "replicated"', '"mode": "local"'))
    agent.process.send_signal(signal.SIGHUP)
    poll(lambda: "stay what they are until a restart" in agent.stderr(), 10, "the reload is told")
    assert agents.status("a")["mode"] == "replicated"
    assert agents.client("a").set("sess:1", "v") and agents.client("b").get("sess:1") == b"v"


def test_a_port_that_is_taken(tmp_path, agents):
    other = Agents(tmp_path / "other", count=2)
    agent = other.agents["a"]
    agent.file.write_text(agent.file.read_text().replace(other.peers["a"], agents.peers["a"]))
    done = subprocess.run(
        [BINARY, "agent", "-c", str(agent.file)], capture_output=True, timeout=scaled(20), text=True
    )
    assert done.returncode == 1 and f"peer: cannot listen on {agents.peers['a']}" in done.stderr


def test_alone_it_serves(tmp_path):
    """The others do not run: their ports refuse connections, so nobody is waited for."""
    agents = Agents(tmp_path)
    agents.start("b")
    try:
        b = agents.client("b")
        assert b.set("sess:1", "value") and b.get("sess:1") == b"value"
        assert b.delete("sess:1") == 1 and b.get("sess:1") is None
    finally:
        agents.stop()
