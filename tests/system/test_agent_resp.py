"""The agent as a Redis, through redis-py: what each command does, hashes, locks, transactions. The same
cases run against a real redis-server, which checks the cases, and against agents that hold copies for
each other, where each command of a case is sent to another one."""
import itertools
import time

import pytest
from harness import poll
from harness.agent import Agent
from harness.agents import Agents
from harness.proxy import INSTRUMENTED
from harness.redis import RedisServer

redis = pytest.importorskip("redis")
from redis.exceptions import LockError, ResponseError, WatchError  # noqa: E402

# A sanitized build is not compared again.
SERVERS = {"agent": Agent, "agents": Agents}
SERVERS |= {} if INSTRUMENTED else {"redis": RedisServer}
NUMBERS = itertools.count()


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    if request.param == "redis" and not RedisServer.installed():
        pytest.skip("no redis-server to check the cases against")
    running = SERVERS[request.param](tmp_path_factory.mktemp(request.param)).start()
    yield running
    running.stop()


@pytest.fixture
def r(server):
    scattered = getattr(server, "scattered", None)
    with scattered() if scattered else redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def own(server):
    """A client of one server: for what tells of that alone."""
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def k():
    """A key of this test alone."""
    return f"test:{next(NUMBERS)}"


# ---- strings ----

@pytest.mark.parametrize("value", [b"", b"\0", b"a\r\nb", bytes(range(256)) * 40, b"x" * 5000000])
def test_values_are_bytes(r, k, value):
    assert r.get(k) is None
    assert r.set(k, value) is True
    assert r.get(k) == value
    assert r.exists(k) == 1
    assert r.delete(k) == 1
    assert r.get(k) is None


def test_keys_are_bytes(r, k):
    for key in [b"\0", b"a|b:{c}", "ключ".encode(), k.encode() + b"\r\n", b"x" * 1000]:
        r.set(key, key)
        assert r.get(key) == key
        assert r.delete(key) == 1


def test_an_empty_key(r, server):
    if server.kind == "agent":
        with pytest.raises(ResponseError):
            r.set("", "v")
    else:
        assert r.set("", "v") and r.delete("") == 1


def test_set_conditions(r, k):
    assert r.set(k, "a", xx=True) is None
    assert r.set(k, "a", nx=True) is True
    assert r.set(k, "b", nx=True) is None
    assert r.set(k, "b", xx=True) is True
    assert r.set(k, "c", get=True) == b"b"
    assert r.get(k) == b"c"
    assert r.set(k, "d", nx=True, get=True) == b"c"
    assert r.get(k) == b"c"
    assert r.set(k + "x", "d", nx=True, get=True) is None
    assert r.get(k + "x") == b"d"
    assert r.set(k + "y", "d", xx=True, get=True) is None
    assert r.get(k + "y") is None


def test_set_expiry(r, k):
    r.set(k, "a", ex=100)
    assert r.ttl(k) == 100
    r.set(k, "b", keepttl=True)
    assert r.ttl(k) == 100
    r.set(k, "c")
    assert r.ttl(k) == -1
    r.set(k, "d", px=100500)
    assert 100000 < r.pttl(k) <= 100500
    assert r.set(k, "e", keepttl=True, get=True) == b"d"
    assert r.ttl(k) in (100, 101)
    r.set(k, "f", exat=int(time.time()) + 50)
    assert 48 <= r.ttl(k) <= 50
    r.set(k, "g", pxat=1)
    assert r.get(k) is None


def test_setex_setnx(r, k):
    assert r.setex(k, 100, "v") is True
    assert r.ttl(k) == 100
    assert r.psetex(k, 5000, "w") is True
    assert 4000 < r.pttl(k) <= 5000
    assert r.setnx(k, "x") is False
    assert r.get(k) == b"w"
    assert r.setnx(k + "n", "x") is True
    assert r.ttl(k + "n") == -1


def test_getex_getdel(r, k):
    assert r.getex(k, ex=10) is None
    r.set(k, "v")
    assert r.getex(k, ex=100) == b"v"
    assert r.ttl(k) == 100
    assert r.getex(k) == b"v"
    assert r.ttl(k) == 100
    assert r.getex(k, persist=True) == b"v"
    assert r.ttl(k) == -1
    assert r.getex(k, pxat=1) == b"v"
    assert r.get(k) is None
    assert r.getdel(k) is None
    r.set(k, "v")
    assert r.getdel(k) == b"v"
    assert r.exists(k) == 0


def test_many_keys(r, k):
    r.set(k + "a", "1")
    r.hset(k + "h", "f", "v")
    assert r.mget([k + "a", k + "nosuch", k + "h", k + "a"]) == [b"1", None, None, b"1"]
    assert r.exists(k + "a", k + "a", k + "nosuch", k + "h") == 3
    assert r.touch(k + "a", k + "nosuch") == 1
    assert r.delete(k + "a", k + "a", k + "h") == 2
    r.set(k + "a", "1")
    assert r.unlink(k + "a", k + "nosuch") == 1


def test_many_keys_of_one_session(r, k):
    names = [f"PHPREDIS_SESSION:{k}", f"PHPREDIS_SESSION:{k}_LOCK", f"{k}-other"]
    for name in names:
        r.set(name, name)
    assert r.mget(names) == [name.encode() for name in names]
    assert r.delete(names[1]) == 1
    assert r.exists(*names) == 2
    assert r.delete(*names) == 2


def test_type(r, k):
    assert r.type(k) == b"none"
    r.set(k, "v")
    assert r.type(k) == b"string"
    r.delete(k)
    r.hset(k + "h", "f", "v")
    assert r.type(k + "h") == b"hash"


def test_expire(r, k):
    assert r.expire(k, 10) is False
    r.set(k, "v")
    assert r.expire(k, 100) is True
    assert r.ttl(k) == 100
    assert r.pexpire(k, 102500) is True
    assert 102000 < r.pttl(k) <= 102500
    assert r.expireat(k, int(time.time()) + 50) is True
    assert 48 <= r.ttl(k) <= 50
    assert r.pexpireat(k, int(time.time() * 1000) + 50000) is True
    assert 48000 <= r.pttl(k) <= 50000
    assert r.persist(k) is True
    assert r.persist(k) is False
    assert r.expire(k, -1) is True
    assert r.get(k) is None


def test_expire_conditions(r, k):
    r.set(k, "v")

    def expire(seconds, *options):
        return r.execute_command("EXPIRE", k, seconds, *options)

    assert expire(100, "XX") == 0
    assert expire(100, "GT") == 0  # none is the latest
    assert expire(100, "NX") == 1
    assert expire(200, "NX") == 0
    assert expire(50, "GT") == 0
    assert expire(200, "XX", "GT") == 1
    assert expire(300, "LT") == 0
    assert expire(50, "LT") == 1
    assert r.ttl(k) == 50
    assert r.execute_command("PERSIST", k) == 1
    assert expire(100, "LT") == 1


def test_wrong_type(r, k):
    r.set(k, "v")
    r.hset(k + "h", "f", "v")
    for call in [
        lambda: r.get(k + "h"),
        lambda: r.getex(k + "h"),
        lambda: r.getdel(k + "h"),
        lambda: r.set(k + "h", "v", get=True),
        lambda: r.hget(k, "f"),
        lambda: r.hgetall(k),
        lambda: r.hset(k, "f", "v"),
        lambda: r.hdel(k, "f"),
        lambda: r.hincrby(k, "f"),
        lambda: r.hmget(k, "f"),
        lambda: r.hlen(k),
        lambda: r.hkeys(k),
        lambda: r.hvals(k),
        lambda: r.hexists(k, "f"),
        lambda: r.hsetnx(k, "f", "v"),
    ]:
        with pytest.raises(ResponseError, match="^WRONGTYPE Operation against a key holding the wrong kind of value$"):
            call()
    assert r.get(k) == b"v"
    assert r.hgetall(k + "h") == {b"f": b"v"}
    assert r.set(k + "h", "now a string") is True
    assert r.get(k + "h") == b"now a string"


# ---- hashes ----

def test_hash(r, k):
    assert r.hgetall(k) == {}
    assert r.hset(k, mapping={"a": "1", "b": "2", "": "empty name"}) == 3
    assert r.hset(k, mapping={"a": "one", "c": ""}) == 1
    assert r.hget(k, "a") == b"one"
    assert r.hget(k, "nosuch") is None
    assert r.hget(k + "x", "a") is None
    assert r.hmget(k, "c", "nosuch", "a", "a") == [b"", None, b"one", b"one"]
    assert r.hmget(k + "x", "a", "b") == [None, None]
    assert r.hgetall(k) == {b"a": b"one", b"b": b"2", b"": b"empty name", b"c": b""}
    assert sorted(r.hkeys(k)) == [b"", b"a", b"b", b"c"]
    assert sorted(r.hvals(k)) == [b"", b"2", b"empty name", b"one"]
    assert r.hlen(k) == 4
    assert r.hlen(k + "x") == 0
    assert r.hexists(k, "a") is True
    assert r.hexists(k, "nosuch") is False
    assert r.hsetnx(k, "a", "x") == 0
    assert r.hsetnx(k, "n", "x") == 1
    assert r.hdel(k, "a", "b", "nosuch") == 2
    assert r.hdel(k, "", "c", "n") == 3
    assert r.exists(k) == 0
    assert r.hdel(k, "a") == 0


def test_hash_numbers(r, k):
    assert r.hincrby(k, "n", 5) == 5
    assert r.hincrby(k, "n", -7) == -2
    assert r.hget(k, "n") == b"-2"
    r.hset(k, "text", "x")
    with pytest.raises(ResponseError, match="^hash value is not an integer$"):
        r.hincrby(k, "text", 1)
    r.hset(k, "max", 2**63 - 1)
    with pytest.raises(ResponseError, match="^increment or decrement would overflow$"):
        r.hincrby(k, "max", 1)
    with pytest.raises(ResponseError, match="^value is not an integer or out of range$"):
        r.execute_command("HINCRBY", k, "n", "x")


def test_hmset_and_arity(r, k):
    assert r.execute_command("HMSET", k, "a", "1", "b", "2") is True
    assert r.execute_command("HSET", k, "a", "3") == 0
    for name in ["HSET", "HMSET"]:
        with pytest.raises(ResponseError, match=f"^wrong number of arguments for '{name.lower()}' command$"):
            r.execute_command(name, k, "a", "1", "b")


def test_hash_with_many_fields(r, k):
    fields = {f"field{number}": "v" * (number % 50) for number in range(500)}
    assert r.hset(k, mapping=fields) == 500
    assert r.hgetall(k) == {name.encode(): value.encode() for name, value in fields.items()}
    assert r.hmget(k, list(fields)) == [value.encode() for value in fields.values()]
    assert r.hlen(k) == 500


def test_hash_expires(r, k):
    r.hset(k, "f", "v")
    r.pexpire(k, 30)
    poll(lambda: r.hget(k, "f") is None, 5, "the hash is gone")
    assert r.hgetall(k) == {}


def test_rename_keeps_value_and_expiry(r, k):
    r.hset(k, mapping={"a": "1", "b": "2"})
    r.expire(k, 1000)
    r.rename(k, k + "new")
    assert r.hgetall(k + "new") == {b"a": b"1", b"b": b"2"}
    assert r.ttl(k + "new") == 1000
    assert r.exists(k) == 0
    with pytest.raises(ResponseError, match="^no such key$"):
        r.rename(k, k + "new")


# ---- transactions, locks ----

def test_pipeline_with_transaction(r, k):
    with r.pipeline(transaction=True) as pipe:
        pipe.set(k, "v").expire(k, 100).get(k).hset(k, "f", "v").ttl(k)
        answers = pipe.execute(raise_on_error=False)
    assert answers[:3] == [True, True, b"v"]
    assert isinstance(answers[3], ResponseError)
    assert answers[4] == 100


def test_watch(server, k):
    with redis.Redis(port=server.port) as one, redis.Redis(port=server.port) as two:
        one.set(k, "0")
        with one.pipeline() as pipe:
            pipe.watch(k)
            value = int(pipe.get(k))
            two.set(k, "10")
            pipe.multi()
            pipe.set(k, str(value + 1))
            with pytest.raises(WatchError):
                pipe.execute()
            pipe.watch(k)
            value = int(pipe.get(k))
            pipe.multi()
            pipe.set(k, str(value + 1))
            assert pipe.execute() == [True]
        assert one.get(k) == b"11"


def test_transaction_helper_under_contention(server, k):
    """One client counts, another disturbs it: no count is lost."""
    with redis.Redis(port=server.port) as one, redis.Redis(port=server.port) as two:
        one.set(k, "0")

        disturbances = iter([True, False, False] * 20)

        def count(pipe):
            value = int(pipe.get(k))
            if next(disturbances):
                two.set(k, str(value))
            pipe.multi()
            pipe.set(k, str(value + 1))

        for _ in range(20):
            one.transaction(count, k)
        assert one.get(k) == b"20"


def test_lock(r, k):
    lock = r.lock(k, timeout=100)
    assert lock.acquire(blocking=False)
    assert not r.lock(k, timeout=100).acquire(blocking=False)
    assert lock.reacquire() is True
    assert 99000 < r.pttl(k) <= 100000
    lock.release()
    assert r.exists(k) == 0
    with pytest.raises(LockError):
        lock.release()


def test_lock_of_another(r, k):
    lock = r.lock(k, timeout=100)
    assert lock.acquire(blocking=False)
    r.set(k, "somebody else's")
    with pytest.raises(LockError):
        lock.release()
    assert r.get(k) == b"somebody else's"


# ---- all sessions, the server ----

def test_scan_iter(own, k):
    for number in range(50):
        own.set(f"{k}:{number}", number)
    assert set(own.scan_iter(match=f"{k}:*", count=7)) == {f"{k}:{n}".encode() for n in range(50)}
    assert len(own.keys(f"{k}:1?")) == 10
    assert own.keys(f"{k}:[12]") and own.keys(f"{k}:nosuch") == []


def test_info(own):
    info = own.info()
    assert info["loading"] == 0
    assert info["role"] == "master"
    assert info["redis_mode"] == "standalone"
    assert info["redis_version"].count(".") == 2
    assert info["used_memory"] > 0
    assert "maxmemory" in info and "uptime_in_seconds" in info and "connected_clients" in info
    own.set("info:one", "v")
    assert own.info("keyspace")["db0"]["keys"] >= 1
    assert "role" in own.info("replication") and "redis_version" not in own.info("replication")
    assert own.info("nosuch") == {}
    own.delete("info:one")


def test_server_calls(own):
    assert own.ping() is True
    assert own.echo("x") == b"x"
    assert abs(own.time()[0] - time.time()) < 10
    assert own.client_setname("web") is True
    assert own.client_getname() in (b"web", "web")
    assert own.client_id() > 0
    assert own.config_get("nosuch") == {}
    assert own.command_count() >= 0
    assert own.dbsize() >= 0


def test_databases(server):
    """Django and others choose one by number."""
    with redis.Redis(port=server.port, db=3, client_name="web") as client:
        client.set("in db 3", "v")
        assert client.get("in db 3") == b"v"
        client.delete("in db 3")
