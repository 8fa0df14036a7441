"""The agent before a real Redis: what stands in the store, and what happens while it is away."""
import json
import random
import signal

import pytest
from harness import poll
from harness.agent import Agent
from harness.external import BeforeStore
from harness.redis import RedisServer, Wire, encode

OK, NIL = b"+OK\r\n", b"$-1\r\n"
needs_redis = pytest.mark.skipif(not RedisServer.installed(), reason="no redis-server")
pytestmark = needs_redis


def bulk(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def ask(wire, *words):
    wire.send(encode(*words))
    return wire.reply()


class Pair(BeforeStore):
    """An agent and its store."""

    def __init__(self, directory, write="through", password=None, unix=False, **keys):
        self.redis = self.behind = RedisServer(directory / "redis", password=password, unix=unix)
        url = f"redis://{self.redis.unix}?db=3" if unix else f"redis://127.0.0.1:{self.redis.port}/3"
        external = {"url": url, "write": write}
        if password:
            secret = directory / "store.pass"
            secret.write_text(password + "\n")
            secret.chmod(0o600)
            external["password_file"] = str(secret)
        self.agent = Agent(directory / "agent", mode="external", external=external, **keys)

    def start(self):
        self.redis.start()
        self.agent.start()
        poll(lambda: self.metric("store_connections_total") >= 1, 10, "the agent reaches the store")
        return self

    def client(self):
        return Wire(self.agent.address)

    def store(self):
        """A connection to the store itself."""
        wire = Wire(self.redis.address)
        if self.redis.password:
            assert ask(wire, "AUTH", self.redis.password) == OK
        assert ask(wire, "SELECT", "3") == OK
        return wire

    def metric(self, name, **labels):
        return self.agent.metric("holdfast_agent_" + name, **labels)


@pytest.fixture
def pair(tmp_path):
    running = Pair(tmp_path).start()
    yield running
    running.stop()


def answers(client, key, value):
    return ask(client, "GET", key) == bulk(value)


def test_what_the_agent_writes_is_what_the_library_would_have_written(pair):
    with pair.client() as client, pair.store() as store:
        assert ask(client, "SET", "sess:1", b"\x00v\r\n", "EX", "100") == OK
        assert ask(store, "GET", "sess:1") == bulk(b"\x00v\r\n")
        assert 99000 < int(ask(store, "PTTL", "sess:1")[1:]) <= 100000
        assert ask(client, "PEXPIRE", "sess:1", "5000") == b":1\r\n"
        assert 4000 < int(ask(store, "PTTL", "sess:1")[1:]) <= 5000
        assert ask(client, "PERSIST", "sess:1") == b":1\r\n"
        assert ask(store, "PTTL", "sess:1") == b":-1\r\n"
        assert ask(client, "GETEX", "sess:1", "EX", "50") == bulk(b"\x00v\r\n")
        assert 49000 < int(ask(store, "PTTL", "sess:1")[1:]) <= 50000
        assert ask(client, "DEL", "sess:1", "sess:2") == b":1\r\n"
        assert ask(store, "EXISTS", "sess:1") == b":0\r\n"
        assert ask(client, "SET", "sess:9", "short", "PX", "30") == OK
        poll(lambda: ask(client, "GET", "sess:9") == NIL, 5, "it expires")
        assert ask(store, "EXISTS", "sess:9") == b":0\r\n"


def test_hashes_are_hashes(pair):
    with pair.client() as client, pair.store() as store:
        assert ask(client, "HSET", "spring:session:sessions:1", "a", "1", "b", "2") == b":2\r\n"
        assert ask(store, "TYPE", "spring:session:sessions:1") == b"+hash\r\n"
        assert ask(store, "HGET", "spring:session:sessions:1", "b") == bulk("2")
        assert ask(store, "HSET", "spring:session:sessions:1", "c", "3") == b":1\r\n"
        assert ask(client, "HLEN", "spring:session:sessions:1") == b":3\r\n"
        assert ask(client, "HINCRBY", "spring:session:sessions:1", "a", "4") == b":5\r\n"
        assert ask(store, "HGET", "spring:session:sessions:1", "a") == bulk("5")
        assert ask(client, "HDEL", "spring:session:sessions:1", "b") == b":1\r\n"
        assert ask(client, "PEXPIRE", "spring:session:sessions:1", "60000") == b":1\r\n"
        assert ask(store, "HEXISTS", "spring:session:sessions:1", "b") == b":0\r\n"
        assert int(ask(store, "PTTL", "spring:session:sessions:1")[1:]) > 50000
        assert ask(client, "RENAME", "spring:session:sessions:1", "spring:session:sessions:2") == OK
        assert ask(store, "EXISTS", "spring:session:sessions:1") == b":0\r\n"
        assert ask(store, "HGET", "spring:session:sessions:2", "c") == bulk("3")
        assert int(ask(store, "PTTL", "spring:session:sessions:2")[1:]) > 50000
        assert ask(client, "GET", "spring:session:sessions:2").startswith(b"-WRONGTYPE")
        assert ask(client, "HDEL", "spring:session:sessions:2", "a", "c") == b":2\r\n"
        assert ask(store, "EXISTS", "spring:session:sessions:2") == b":0\r\n"


def test_what_others_do_in_the_store_is_seen(pair):
    with pair.client() as client, pair.store() as store:
        assert ask(store, "SET", "sess:1", "theirs", "PX", "60000") == OK
        assert answers(client, "sess:1", "theirs")
        assert 50 < int(ask(client, "TTL", "sess:1")[1:]) <= 60
        assert ask(store, "SET", "sess:1", "changed") == OK
        assert answers(client, "sess:1", "changed")
        assert ask(client, "TTL", "sess:1") == b":-1\r\n"
        assert ask(store, "DEL", "sess:1") == b":1\r\n"
        assert ask(client, "GET", "sess:1") == NIL
        assert ask(client, "EXPIRE", "sess:1", "10") == b":0\r\n"
        assert ask(store, "SET", "sess:1_LOCK", "other") == OK
        assert ask(client, "SET", "sess:1_LOCK", "mine", "NX", "PX", "1000") == NIL
        assert ask(store, "LPUSH", "list", "x") == b":1\r\n"
        assert ask(client, "GET", "list").startswith(b"-WRONGTYPE")


@pytest.mark.parametrize("unix", [False, True])
def test_password_database_and_socket(tmp_path, unix):
    running = Pair(tmp_path, password="hunter2", unix=unix).start()
    with running.client() as client, running.store() as store:
        assert ask(client, "SET", "sess:1", "v") == OK
        assert ask(store, "GET", "sess:1") == bulk("v")
        assert ask(store, "SELECT", "0") == OK
        assert ask(store, "DBSIZE") == b":0\r\n"
    running.stop()


def test_a_wrong_password_is_told_and_no_miss_is_answered(tmp_path):
    running = Pair(tmp_path, password="hunter2")
    (tmp_path / "store.pass").write_text("wrong\n")
    running.redis.start()
    running.agent.start()
    poll(lambda: "WRONGPASS" in running.agent.stderr(), 10, "it is told")
    with running.client() as client:
        assert ask(client, "GET", "sess:1").startswith(b"-")
    running.stop()


def test_only_so_many_keys_are_owed(pair):
    """What is refused then is a new key; those that are owed already go on."""
    limit, batch = 100000, 1000
    with pair.client() as client:
        assert ask(client, "SET", "sess:0", "before") == OK
        pair.redis.stop()
        pair.away()
        for first in range(0, limit, batch):
            client.send(b"".join(encode("SET", f"sess:{first + i}", "v") for i in range(batch)))
            assert all(client.reply() == OK for _ in range(batch))
        poll(lambda: pair.metric("store_dirty_keys") == limit, 5, "all are owed")
        assert ask(client, "SET", "sess:new", "v").startswith(b"-OOM")
        assert ask(client, "SET", "sess:7", "again") == OK
        assert ask(client, "GET", "sess:new").startswith(b"-")
        poll(lambda: pair.metric("store_refused_total") == 1, 5, "it is counted")
        pair.redis.start()
        pair.back()
        with pair.store() as store:
            assert ask(store, "DBSIZE") == b":%d\r\n" % limit
            assert ask(store, "GET", "sess:7") == bulk("again")
        assert ask(client, "SET", "sess:new", "v") == OK


def test_sessions_go_on_while_the_store_is_away_and_nothing_is_lost(pair):
    """Killed, it loses all it had: it keeps nothing on disk."""
    with pair.client() as client:
        for i in range(200):
            assert ask(client, "SET", f"sess:{i}", f"before{i}", "EX", "1000") == OK
        assert ask(client, "HSET", "spring:session:sessions:h", "a", "1") == b":1\r\n"
        pair.redis.stop()
        pair.away()
        assert answers(client, "sess:7", "before7")
        assert ask(client, "SET", "sess:7", "during", "EX", "1000") == OK
        assert ask(client, "DEL", "sess:8") == b":1\r\n"
        assert ask(client, "GET", "sess:8") == NIL
        assert ask(client, "SET", "sess:new", "login", "NX", "EX", "1000") == OK
        assert ask(client, "HSET", "spring:session:sessions:h", "b", "2") == b":1\r\n"
        assert ask(client, "GET", "sess:unknown").startswith(b"-")  # never a miss
        assert ask(client, "EXISTS", "sess:unknown").startswith(b"-")
        poll(lambda: pair.metric("store_dirty_keys") == 4, 5, "dirty keys are counted")
        pair.redis.start()
        pair.back()
        with pair.store() as store:
            poll(lambda: ask(store, "DBSIZE") == b":201\r\n", 10, "all are put back")
            assert ask(store, "GET", "sess:7") == bulk("during")
            assert ask(store, "EXISTS", "sess:8") == b":0\r\n"
            assert ask(store, "GET", "sess:new") == bulk("login")
            assert ask(store, "HGET", "spring:session:sessions:h", "a") == bulk("1")
            assert ask(store, "HGET", "spring:session:sessions:h", "b") == bulk("2")
            for i in set(range(200)) - {7, 8}:
                assert ask(store, "GET", f"sess:{i}") == bulk(f"before{i}")
            assert int(ask(store, "TTL", "sess:3")[1:]) > 900
        assert ask(client, "GET", "sess:unknown") == NIL
        assert pair.metric("store_outages_total") >= 1
        assert pair.metric("store_restored_total") >= 198
        assert pair.metric("store_lost_total") == 0


def test_a_store_that_is_not_there_at_the_start(tmp_path):
    """What the log says is so when it says it: nothing is reconciled before the store answers."""
    pair = Pair(tmp_path)
    try:
        pair.agent.start()
        pair.away()
        with pair.client() as client:
            assert ask(client, "GET", "sess:unknown").startswith(b"-")
            poll(lambda: pair.metric("store_unsure_total") == 1, 10, "it has gone on for a tick")
            assert "reconciled" not in pair.agent.stderr()
            assert ask(client, "SET", "sess:1", "v", "EX", "1000") == OK
            pair.redis.start()
            pair.back()
            poll(lambda: "reconciled; since" in pair.agent.stderr(), 10, "it is told")
            with pair.store() as store:
                assert ask(store, "GET", "sess:1") == bulk("v")
        told = pair.agent.stderr()
        assert told.count("sessions go on in this agent until it answers") == 1
        assert told.index("it answers; 1 keys are") < told.index("reconciled; since the beginning 1 keys")
        assert told.count("reconciled; since") == 1
    finally:
        pair.stop()


def test_a_session_is_never_missed_while_copies_are_put_back(pair):
    count = 3000
    with pair.client() as client:
        client.send(b"".join(encode("SET", f"sess:{i}", "v" * 100) for i in range(count)))
        for _ in range(count):
            assert client.reply() == OK
        pair.redis.stop()
        pair.away()
        pair.redis.start()
        poll(lambda: pair.metric("store_up") == 1, 10, "the breaker closes")
        client.send(b"".join(encode("GET", f"sess:{i}") for i in reversed(range(count))))
        for i in range(count):
            assert client.reply() == bulk("v" * 100), i


def test_a_store_that_stands_still(pair):
    with pair.client() as client, pair.client() as other:
        assert ask(client, "SET", "sess:1", "before", "EX", "1000") == OK
        pair.redis.process.send_signal(signal.SIGSTOP)
        assert ask(client, "SET", "sess:1", "during", "EX", "1000") == OK
        assert answers(other, "sess:1", "during")
        for i in range(5):
            assert ask(client, "SET", f"sess:a{i}", "during") == OK
        pair.away()
        assert ask(client, "SET", "sess:1", "last", "EX", "1000") == OK
        poll(lambda: pair.metric("store_kept_total") >= 2, 5, "kept writes are counted")
        pair.redis.process.send_signal(signal.SIGCONT)
        pair.back()
        with pair.store() as store:
            assert ask(store, "GET", "sess:1") == bulk("last")
            assert ask(store, "DBSIZE") == b":6\r\n"
        assert pair.metric("store_conflicts_total") == 0
        assert ask(client, "SET", "sess:1", "after") == OK
        with pair.store() as store:
            assert ask(store, "GET", "sess:1") == bulk("after")


def test_of_two_writers_the_later_deadline_wins_and_it_is_counted(pair):
    with pair.client() as client:
        for key in ("sess:ours", "sess:theirs", "sess:deleted"):
            assert ask(client, "SET", key, "before", "EX", "1000") == OK
        pair.redis.process.send_signal(signal.SIGSTOP)
        for key in ("sess:ours", "sess:theirs"):
            assert ask(client, "SET", key, "agent", "EX", "1100") == OK
        assert ask(client, "DEL", "sess:deleted") == b":1\r\n"
        pair.away()
        # What waits at the store's socket comes before what the agent sends when it is back.
        with Wire(pair.redis.address) as late:
            late.send(encode("SELECT", "3"))
            late.send(encode("SET", "sess:ours", "other", "EX", "1050"))
            late.send(encode("SET", "sess:theirs", "other", "EX", "1200"))
            late.send(encode("SET", "sess:deleted", "other", "EX", "1200"))
            pair.redis.process.send_signal(signal.SIGCONT)
            for _ in range(4):
                assert late.reply() == OK
            pair.back()
        with pair.store() as store:
            values = {key: ask(store, "GET", key) for key in ("sess:ours", "sess:theirs")}
            assert values["sess:theirs"] == bulk("other")
            assert values["sess:ours"] == bulk("agent")
            assert ask(store, "EXISTS", "sess:deleted") == b":0\r\n"
        assert answers(client, "sess:theirs", "other")


def test_the_agent_ends_with_all_written(tmp_path):
    running = Pair(tmp_path, write="behind").start()
    with running.client() as client, running.store() as store:
        client.send(b"".join(encode("SET", f"sess:{i}", "v" * 100) for i in range(2000)))
        for _ in range(2000):
            assert client.reply() == OK
        running.agent.stop()
        assert ask(store, "DBSIZE") == b":2000\r\n"
    running.redis.stop()


def test_behind(tmp_path):
    running = Pair(tmp_path, write="behind").start()
    with running.client() as client, running.store() as store:
        running.redis.process.send_signal(signal.SIGSTOP)
        assert ask(client, "SET", "sess:1", "v", "EX", "100") == OK  # answered by nobody else
        assert answers(client, "sess:1", "v")
        running.redis.process.send_signal(signal.SIGCONT)
        poll(lambda: ask(store, "GET", "sess:1") == bulk("v"), 5, "it is written")
        running.back()
        assert ask(client, "DEL", "sess:1") == b":1\r\n"
        poll(lambda: ask(store, "EXISTS", "sess:1") == b":0\r\n", 5, "it is deleted")
        assert ask(store, "SET", "sess:2", "theirs") == OK
        assert answers(client, "sess:2", "theirs")
    running.stop()


def test_deleting_a_strict_session_deletes_its_keys_in_the_store(tmp_path):
    keys = {"session_keys": ["app:{id}", "app:{id}:flash"], "tombstones": {"strict": ["app:"]}}
    running = Pair(tmp_path, **keys).start()
    with running.client() as client, running.store() as store:
        assert ask(client, "SET", "app:1", "v") == OK
        assert ask(client, "SET", "app:1:flash", "v") == OK
        assert ask(store, "DBSIZE") == b":2\r\n"
        assert ask(client, "DEL", "app:1") == b":1\r\n"
        poll(lambda: ask(store, "DBSIZE") == b":0\r\n", 5, "both are gone")
        assert ask(client, "SET", "app:1", "late") == OK  # told so, and dropped
        assert ask(store, "EXISTS", "app:1") == b":0\r\n"
    running.stop()


def test_a_client_that_leaves_at_once_has_written(pair):
    with pair.store() as store:
        for i in range(50):
            with pair.client() as client:
                client.send(encode("SET", f"sess:{i}", "v") + encode("EXPIRE", f"sess:{i}", "100"))
        poll(lambda: ask(store, "DBSIZE") == b":50\r\n", 5, "all are written")


def test_status(pair):
    told = pair.agent.status()
    assert told["mode"] == "external"
    assert told["store"] == {"url": f"redis://127.0.0.1:{pair.redis.port}/3", "up": True, "dirty": 0}


class Faults:
    """What happens to the store, one thing at a time, while a client goes on."""

    def __init__(self, pair, dice):
        self.pair, self.dice, self.healed = pair, dice, None

    def next(self):
        if self.healed is not None:
            self.healed()
            self.healed = None
            return
        redis = self.pair.redis
        fault = self.dice.choice(["kill", "stop", "cut"])
        if fault == "kill":
            redis.stop()
            self.healed = redis.start
        elif fault == "stop":
            redis.process.send_signal(signal.SIGSTOP)
            self.healed = lambda: redis.process.send_signal(signal.SIGCONT)
        else:
            with self.pair.store() as store:
                ask(store, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def end(self):
        if self.healed is not None:
            self.healed()


@pytest.mark.parametrize("write, seed", [("through", 1), ("through", 2), ("behind", 3)])
def test_whatever_happens_to_the_store_what_was_answered_holds(tmp_path, write, seed):
    running = Pair(tmp_path, write=write).start()
    dice, model = random.Random(seed), {}
    faults = Faults(running, dice)
    with running.client() as client:
        for step in range(900):
            if step % 100 == 50:
                faults.next()
            key = f"PHPREDIS_SESSION:{dice.randrange(40)}"  # ids that may be used again
            what = dice.choice(["get", "get", "set", "touch", "delete"])
            if what == "set":
                assert ask(client, "SET", key, f"{step}", "EX", "1000") == OK
                model[key] = f"{step}"
                continue
            words = {"get": ["GET", key], "touch": ["PEXPIRE", key, "900000"], "delete": ["DEL", key]}
            told = ask(client, *words[what])
            if told.startswith(b"-"):
                assert key not in model, (step, what, told)  # what it never saw, or deleted
                continue
            if what == "get":
                assert told == (bulk(model[key]) if key in model else NIL), (step, key, seed)
            else:
                assert told == (b":1\r\n" if key in model else b":0\r\n"), (step, what, key, seed)
            if what == "delete":
                model.pop(key, None)
        faults.end()
        running.back()
        with running.store() as store:
            poll(lambda: ask(store, "DBSIZE") == b":%d\r\n" % len(model), 10, "all is written")
            for key, value in model.items():
                assert ask(store, "GET", key) == bulk(value), (key, seed)
                assert answers(client, key, value)
        assert running.metric("store_lost_total") == 0
    running.stop()


def test_a_local_agent_gets_a_store_by_a_reload(tmp_path):
    """What it holds is put there, but for what is there already, and clients notice nothing."""
    store = RedisServer(tmp_path / "redis").start()
    agent = Agent(tmp_path / "agent").start()
    with Wire(agent.address) as client, Wire(store.address) as there:
        for i in range(300):
            assert ask(client, "SET", f"sess:{i}", f"v{i}", "EX", "1000") == OK
        assert ask(there, "SET", "sess:5", "later", "EX", "2000") == OK
        config = json.loads(agent.file.read_text())
        config["agent"]["mode"] = "external"
        config["agent"]["external"] = {"url": f"redis://127.0.0.1:{store.port}/0"}
        agent.file.write_text(json.dumps(config))
        agent.process.send_signal(signal.SIGHUP)
        poll(lambda: "mode: external, before local" in agent.stderr(), 10, "it has switched")
        assert answers(client, "sess:7", "v7")
        poll(lambda: ask(there, "DBSIZE") == b":300\r\n", 10, "all is there")
        assert ask(there, "GET", "sess:8") == bulk("v8")
        assert ask(there, "GET", "sess:5") == bulk("later")
        assert ask(client, "SET", "sess:8", "new", "EX", "1000") == OK
        assert ask(there, "GET", "sess:8") == bulk("new")
        config["agent"]["mode"] = "local"
        del config["agent"]["external"]
        agent.file.write_text(json.dumps(config))
        agent.process.send_signal(signal.SIGHUP)
        poll(lambda: "mode stays external" in agent.stderr(), 10, "it is told")
        assert answers(client, "sess:8", "new")
    agent.stop()
    store.stop()
