"""The agent as a Redis, to the byte: captured conversations of session libraries, pipelines, refusals,
what is allowed before AUTH. The same cases run against a real redis-server, which checks the cases."""
import re
import socket
import time

import pytest
from harness import poll
from harness.agent import Agent
from harness.proxy import INSTRUMENTED
from harness.redis import RedisServer, Wire, encode, same, words
from redis_conversations import CONVERSATIONS, fresh, HELLO2, HELLO3, NIL, OK, ONE, ZERO, array, bulk, no_command

# A sanitized build is not compared again.
SERVERS = {"agent": Agent} if INSTRUMENTED else {"redis": RedisServer, "agent": Agent}
NO_AUTH = b"-NOAUTH Authentication required.\r\n"
WRONG_PASS = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"


def _running(kind, directory, **keys):
    if kind == "redis" and not RedisServer.installed():
        pytest.skip("no redis-server to check the cases against")
    return SERVERS[kind](directory, **keys).start()


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    running = _running(request.param, tmp_path_factory.mktemp(request.param))
    yield running
    running.stop()


@pytest.fixture(params=SERVERS)
def locked(request, tmp_path):
    """A server that wants a password."""
    running = _running(request.param, tmp_path, password="secret")
    yield running
    running.stop()


@pytest.fixture
def wire(server):
    with Wire(server.port) as connection:
        yield connection


def expected_of(row, server):
    return row[2] if len(row) == 3 and server.kind == "redis" else row[1]


def request_of(row):
    return words(row[0]) if isinstance(row[0], str) else encode(*row[0])


def check_rows(wire, server, rows):
    for row in rows:
        wire.send(request_of(row))
        reply = wire.reply()
        assert same(reply, expected_of(row, server)), (row[0], reply)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(server, name):
    with Wire(server.port) as wire:
        check_rows(wire, server, fresh(name))


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_in_one_segment(server, name):
    """Pipelined: every answer in its place, errors too."""
    rows = fresh(name)
    with Wire(server.port) as wire:
        wire.send(b"".join(map(request_of, rows)))
        replies = [wire.reply() for _ in rows]
    for row, reply in zip(rows, replies):
        assert same(reply, expected_of(row, server)), (row[0], reply)


def test_conversation_byte_by_byte(wire, server):
    rows = fresh("phpredis new")
    wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for row in rows:
        for byte in request_of(row):
            wire.send(bytes([byte]))
        assert same(wire.reply(), expected_of(row, server)), row[0]


@pytest.mark.parametrize("kind", SERVERS)
def test_unix_socket(kind, tmp_path):
    running = _running(kind, tmp_path, unix=True)
    with Wire(running.unix) as wire:
        assert wire.ask("SET unix v") == OK
        assert wire.ask("GETDEL unix") == bulk("v")
    running.stop()


def test_long_pipeline_in_order(wire):
    """Many more answers than a socket takes at once, before the first is read."""
    count, value = 3000, "v" * 1000
    wire.ask("SET long " + value)
    wire.send(b"".join(encode("GET", "long") + encode("ECHO", i) for i in range(count)))
    for number in range(count):
        assert wire.reply() == bulk(value)
        assert wire.reply() == bulk(str(number))


def test_large_value_both_ways(wire):
    value = bytes(range(256)) * 4096 * 3
    assert wire.ask("SETEX", "large", 60, value) == OK
    assert wire.ask("GET large") == bulk(value)
    wire.send(b"".join(encode("GET", "large") for _ in range(4)))
    for _ in range(4):
        assert wire.reply() == bulk(value)
    assert wire.ask("DEL large") == ONE


def test_slow_reader_does_not_stop_others(wire, server):
    value = b"x" * 1000000
    wire.ask("SET", "slow", value)
    wire.send(encode("GET", "slow") * 50)
    with Wire(server.port) as other:
        for _ in range(100):
            assert other.ask("PING") == b"+PONG\r\n"
    for _ in range(50):
        assert wire.reply() == bulk(value)


# ---- transactions ----

TRANSACTIONS = {
    "in order": [
        ("MULTI", OK),
        ("SET t1 a", b"+QUEUED\r\n"),
        ("GET t1", b"+QUEUED\r\n"),
        ("HSET t1 f v", b"+QUEUED\r\n"),
        ("DEL t1 t2", b"+QUEUED\r\n"),
        ("MGET t1 t2", b"+QUEUED\r\n"),
        ("EXEC", b"*5\r\n+OK\r\n" + bulk("a")
         + b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n" + ONE + array(None, None)),
        ("EXEC", b"-ERR EXEC without MULTI\r\n"),
    ],
    "refused inside": [
        ("MULTI", OK),
        ("GET", b"-ERR wrong number of arguments for 'get' command\r\n"),
        ("SET t1 a", b"+QUEUED\r\n"),
        ("EXEC", b"-EXECABORT Transaction discarded because of previous errors.\r\n"),
        ("GET t1", NIL),
    ],
    "unknown inside": [
        ("MULTI", OK),
        ("NOSUCH a", no_command("NOSUCH", "a")),
        ("EXEC", b"-EXECABORT Transaction discarded because of previous errors.\r\n"),
    ],
    "options are looked at by EXEC": [
        ("MULTI", OK),
        ("SET t1 a EX 0", b"+QUEUED\r\n"),
        ("SET t1 b", b"+QUEUED\r\n"),
        ("GETDEL t1", b"+QUEUED\r\n"),
        ("EXEC", b"*3\r\n-ERR invalid expire time in 'set' command\r\n+OK\r\n" + bulk("b")),
    ],
    "discarded": [
        ("MULTI", OK),
        ("SET t1 a", b"+QUEUED\r\n"),
        ("DISCARD", OK),
        ("DISCARD", b"-ERR DISCARD without MULTI\r\n"),
        ("GET t1", NIL),
    ],
    "nested": [
        ("MULTI", OK),
        ("MULTI", b"-ERR MULTI calls can not be nested\r\n"),
        ("WATCH t1", b"-ERR WATCH inside MULTI is not allowed\r\n"),
        ("PING", b"+QUEUED\r\n"),
        ("ECHO x", b"+QUEUED\r\n"),
        ("EXEC", b"*2\r\n+PONG\r\n" + bulk("x")),
    ],
    "empty": [("MULTI", OK), ("EXEC", b"*0\r\n")],
    "reset": [
        ("MULTI", OK),
        ("SET t1 a", b"+QUEUED\r\n"),
        ("RESET", b"+RESET\r\n"),
        ("EXEC", b"-ERR EXEC without MULTI\r\n"),
        ("GET t1", NIL),
    ],
    "watched, untouched": [
        ("SET t1 a", OK),
        ("WATCH t1 t2", OK),
        ("GET t1", bulk("a")),
        ("MULTI", OK),
        ("SET t1 b", b"+QUEUED\r\n"),
        ("EXEC", b"*1\r\n+OK\r\n"),
        ("GETDEL t1", bulk("b")),
    ],
    "watched, changed by itself": [
        ("SET t1 a", OK),
        ("WATCH t1", OK),
        ("SET t1 b", OK),
        ("MULTI", OK),
        ("GET t1", b"+QUEUED\r\n"),
        ("EXEC", b"*-1\r\n"),
        ("UNWATCH", OK),
        ("GETDEL t1", bulk("b")),
    ],
    "unwatched": [
        ("WATCH t1", OK),
        ("SET t1 b", OK),
        ("UNWATCH", OK),
        ("MULTI", OK),
        ("DEL t1", b"+QUEUED\r\n"),
        ("EXEC", b"*1\r\n:1\r\n"),
    ],
    "a script inside": [
        ("SET t1 token", OK),
        ("MULTI", OK),
        (("EVAL", 'if redis.call("get",KEYS[1])==ARGV[1] then return redis.call("del",KEYS[1]) '
          "else return 0 end", 1, "t1", "token"), b"+QUEUED\r\n"),
        ("EXISTS t1", b"+QUEUED\r\n"),
        ("EXEC", b"*2\r\n:1\r\n:0\r\n"),
    ],
    "resp3": [
        ("HELLO 3", HELLO3),
        ("WATCH t1", OK),
        ("SET t1 b", OK),
        ("MULTI", OK),
        ("HGETALL t2", b"+QUEUED\r\n"),
        ("EXEC", b"_\r\n"),
        ("MULTI", OK),
        ("HGETALL t2", b"+QUEUED\r\n"),
        ("GET t2", b"+QUEUED\r\n"),
        ("DEL t1", b"+QUEUED\r\n"),
        ("EXEC", b"*3\r\n%0\r\n_\r\n:1\r\n"),
    ],
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_transaction(wire, server, name):
    check_rows(wire, server, TRANSACTIONS[name])


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_transaction_in_one_segment(wire, server, name):
    rows = TRANSACTIONS[name]
    wire.send(b"".join(map(request_of, rows)))
    for row in rows:
        reply = wire.reply()
        assert same(reply, expected_of(row, server)), (row[0], reply)


@pytest.mark.parametrize("change", ["SET w b", "DEL w", "HSET w2 f v", "SETEX w 10 b", "GETDEL w"])
def test_watched_key_that_another_connection_changed(wire, server, change):
    wire.ask("DEL w w2")
    wire.ask("SETEX w 1000 a")
    assert wire.ask("WATCH w w2") == OK
    with Wire(server.port) as other:
        assert not other.ask(change).startswith(b"-")
    wire.ask("MULTI")
    wire.ask("GET w")
    assert wire.ask("EXEC") == b"*-1\r\n"
    wire.ask("MULTI")
    wire.ask("EXISTS nosuch")
    assert wire.ask("EXEC") == b"*1\r\n:0\r\n"
    wire.ask("DEL w w2")


def test_transaction_that_is_left_open(wire, server):
    """Nothing of it happens, and the connection's watch is gone."""
    with Wire(server.port) as other:
        other.ask("WATCH left")
        other.ask("MULTI")
        other.ask("SET left a")
    assert wire.ask("GET left") == NIL


def test_transaction_with_too_much(wire, server):
    """It is bounded; what is too much aborts it, and the connection goes on."""
    if server.kind == "redis":
        pytest.skip("the bound is ours")
    wire.ask("MULTI")
    replies = [wire.ask("SET", "much", b"x" * 1000000) for _ in range(80)]
    assert replies[0] == b"+QUEUED\r\n" and replies[-1].startswith(b"-")
    assert wire.ask("EXEC") == b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    assert wire.ask("GET much") == NIL


# ---- the connection ----

HANDSHAKES = {
    "hello": [
        ("HELLO", HELLO2),
        ("HELLO 2", HELLO2),
        ("HELLO 3", HELLO3),
        ("HELLO", HELLO3),
        ("HELLO 4", b"-NOPROTO unsupported protocol version\r\n"),
        ("HELLO x", b"-ERR Protocol version is not an integer or out of range\r\n"),
        ("HELLO 3 NOSUCH", b"-ERR Syntax error in HELLO option 'NOSUCH'\r\n"),
        ("HELLO 2", HELLO2),
        ("GET nosuch", NIL),
    ],
    "names": [
        ("CLIENT GETNAME", NIL),
        ("CLIENT SETNAME web", OK),
        ("CLIENT GETNAME", bulk("web")),
        (("CLIENT", "SETNAME", "a b"),
         b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
        ("CLIENT GETNAME", bulk("web")),
        (("CLIENT", "SETNAME", ""), OK),
        ("CLIENT GETNAME", NIL),
        ("HELLO 2 SETNAME again", HELLO2),
        ("RESET", b"+RESET\r\n"),
        ("CLIENT GETNAME", NIL),
    ],
    "select": [
        ("SELECT 0", OK),
        ("SELECT 15", OK),
        ("SELECT 16", b"-ERR DB index is out of range\r\n"),
        ("SELECT -1", b"-ERR DB index is out of range\r\n"),
        ("SELECT x", b"-ERR value is not an integer or out of range\r\n"),
    ],
    "others": [
        ("PING", b"+PONG\r\n"),
        ("PING hello", bulk("hello")),
        ("ECHO hello", bulk("hello")),
        ("COMMAND COUNT", re.compile(rb":\d+\r\n")),
        ("COMMAND DOCS nosuch", b"*0\r\n"),
        ("CONFIG GET nosuch", b"*0\r\n"),
        ("AUTH x", b"-ERR AUTH <password> called without any password configured for the default "
                   b"user. Are you sure your configuration is correct?\r\n"),
        ("NOSUCH", no_command("NOSUCH")),
        ("CLIENT NOSUCH x", b"-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"),
        ("SCRIPT EXISTS 0000000000000000000000000000000000000000", b"*1\r\n:0\r\n"),
        ("SCRIPT FLUSH", OK),
        ("SCRIPT FLUSH ASYNC", OK),
        ("TIME", re.compile(rb"\*2\r\n\$10\r\n\d{10}\r\n\$\d\r\n\d+\r\n")),
    ],
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_handshake(wire, server, name):
    check_rows(wire, server, HANDSHAKES[name])


def test_quit_answers_what_came_before(wire):
    wire.send(words("PING") + words("QUIT"))
    assert wire.reply() == b"+PONG\r\n"
    assert wire.reply() == OK
    wire.closed()


def test_inline_health_checks(wire):
    wire.send(b"PING\r\n")
    assert wire.reply() == b"+PONG\r\n"
    wire.send(b"INFO replication\r\n")
    assert b"role:master" in wire.reply()
    wire.send(b"QUIT\r\n")
    assert wire.reply() == OK
    wire.closed()


BAD_BYTES = {
    "no array": (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    "no bulk": (b"*1\r\n+x\r\n", re.compile(rb"-ERR Protocol error: expected '\$'.*\r\n")),
    "bulk size": (b"*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_bytes_end_the_connection(wire, name):
    """After the answers to what came before."""
    bad, answer = BAD_BYTES[name]
    wire.send(words("PING") + bad + words("PING"))
    assert wire.reply() == b"+PONG\r\n"
    assert same(wire.reply(), answer)
    wire.closed()


def test_a_browser_learns_nothing(server):
    if server.kind == "redis":
        pytest.skip("it reads the first line as a command")
    with Wire(server.port) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + words("PING"))
        wire.closed()


def test_peer_that_leaves_in_the_middle(server):
    with Wire(server.port) as wire:
        wire.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100\r\nabc")
        wire.socket.shutdown(socket.SHUT_WR)
        wire.closed()
    with Wire(server.port) as wire:
        assert wire.ask("GET half") == NIL


# ---- AUTH ----

def test_nothing_before_auth(locked):
    with Wire(locked.port) as wire:
        for line in ["GET k", "PING", "INFO", "CLIENT SETNAME x", "MULTI", "SCAN 0", "FLUSHDB"]:
            assert wire.ask(line) == NO_AUTH, line
        assert wire.ask("NOSUCH a") == no_command("NOSUCH", "a")
        assert wire.ask("HELLO 3").startswith(b"-NOAUTH HELLO must be called with the client already")
        assert wire.ask("AUTH wrong") == WRONG_PASS
        assert wire.ask("AUTH nobody secret") == WRONG_PASS
        assert wire.ask("HELLO 3 AUTH default wrong") == WRONG_PASS
        assert wire.ask("GET k") == NO_AUTH
        assert wire.ask("AUTH secret") == OK
        assert wire.ask("GET k") == NIL


def test_auth_forms(locked):
    for line, answer in [
        ("AUTH default secret", OK),
        ("HELLO 2 AUTH default secret", HELLO2),
        ("HELLO 3 AUTH default secret SETNAME web", HELLO3),
    ]:
        with Wire(locked.port) as wire:
            assert same(wire.ask(line), answer)
            assert wire.ask("PING") == b"+PONG\r\n"
            assert wire.ask("AUTH wrong") == WRONG_PASS  # and it stays who it was
            assert wire.ask("PING") == b"+PONG\r\n"
            assert wire.ask("RESET") == b"+RESET\r\n"
            assert wire.ask("PING") == NO_AUTH


def test_auth_pipelined(locked):
    with Wire(locked.port) as wire:
        wire.send(words("PING") + words("AUTH x") + words("AUTH secret") + words("SET p v"))
        assert [wire.reply() for _ in range(4)] == [NO_AUTH, WRONG_PASS, OK, OK]


def test_limits_before_auth(locked):
    """CVE-2021-32675: who has not authenticated may not make the server keep much."""
    value = b"x" * 16385
    for request in [encode(*["GET"] * 11), encode("GET", value), b"*11\r\n", b"*2\r\n$3\r\nGET\r\n$16385\r\n"]:
        with Wire(locked.port) as wire:
            wire.send(request)
            assert wire.reply().startswith(b"-ERR Protocol error: ")
            wire.closed()
    with Wire(locked.port) as wire:
        wire.ask("AUTH secret")
        assert wire.ask("SET", "k", value) == OK
        assert wire.ask(*["DEL"] + ["k"] * 11) == ONE


# ---- all sessions ----

def test_scan_sees_every_key_once_at_least(wire):
    names = {f"scan:{number}" for number in range(500)}
    for name in names:
        wire.ask(f"SET {name} v EX 100")
    seen, cursor = set(), "0"
    while True:
        reply = wire.ask(f"SCAN {cursor} MATCH scan:* COUNT 50").split(b"\r\n")
        cursor = reply[2].decode()
        seen.update(reply[5::2])
        if cursor == "0":
            break
    assert seen - {b""} == {name.encode() for name in names}
    listed = wire.ask("KEYS scan:*").split(b"\r\n")
    assert set(listed[2::2]) == {name.encode() for name in names}
    assert wire.ask(*["DEL", *names]) == b":500\r\n"
    assert wire.ask("KEYS scan:*") == b"*0\r\n"


def test_scan_by_type(wire):
    wire.ask("SET kind:s v")
    wire.ask("HSET kind:h f v")
    def found(kind):
        reply = wire.ask(f"SCAN 0 MATCH kind:* COUNT 100000 TYPE {kind}")
        return sorted(reply.split(b"\r\n")[5::2])
    assert found("string") == [b"kind:s"]
    assert found("hash") == [b"kind:h"]
    assert found("list") == []
    wire.ask("DEL kind:s kind:h")


def test_dbsize(wire):
    def size():
        return int(wire.ask("DBSIZE")[1:])
    before = size()
    for number in range(10):
        wire.ask(f"SET size:{number} v")
    assert size() == before + 10
    wire.ask("DEL " + " ".join(f"size:{number}" for number in range(10)))
    assert size() == before


def test_flush_is_denied(wire, server):
    if server.kind == "redis":
        pytest.skip("it flushes")
    wire.ask("SET kept v")
    for name in ["FLUSHDB", "FLUSHALL", "flushdb"]:
        assert wire.ask(name) == f"-ERR '{name.lower()}' is switched off here\r\n".encode()
    assert wire.ask("FLUSHALL ASYNC") == b"-ERR 'flushall' is switched off here\r\n"
    assert wire.ask("GETDEL kept") == bulk("v")


def test_flush_where_it_is_allowed(tmp_path):
    agent = Agent(tmp_path, flush="allow").start()
    with Wire(agent.port) as wire:
        for name in ["FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC"]:
            wire.ask("SET gone v")
            assert wire.ask(name) == b"+OK\r\n"
            assert wire.ask("GET gone") == b"$-1\r\n" and wire.ask("DBSIZE") == b":0\r\n"
    agent.stop()


def test_unknown_scripts(wire, server):
    if server.kind == "redis":
        pytest.skip("it has Lua")
    error = b"-ERR only the scripts of docs/agent-protocols.md are understood here, no Lua at large\r\n"
    assert wire.ask("EVAL", "return 1", 0) == error
    assert wire.ask("SCRIPT", "LOAD", "return 1") == error
    assert wire.ask("PING") == b"+PONG\r\n"


def test_scripts_stay_loaded(wire, server):
    """A body with blanks of its own gets a hash of its own, known to all connections until FLUSH."""
    body = "if  redis.call('get', KEYS[1]) == ARGV[1]  then return redis.call('del', KEYS[1]) else return 0 end"
    wire.ask("SCRIPT FLUSH")
    loaded = wire.ask("SCRIPT", "LOAD", body).split(b"\r\n")[1].decode()
    with Wire(server.port) as other:
        other.ask("SET lock token")
        assert other.ask(f"SCRIPT EXISTS {loaded} {loaded.upper()}") == b"*2\r\n:1\r\n:1\r\n"
        assert other.ask(f"EVALSHA {loaded} 1 lock other") == ZERO
        assert other.ask(f"EVALSHA {loaded.upper()} 1 lock token") == ONE
        assert other.ask("SCRIPT FLUSH SYNC") == OK
    assert wire.ask(f"SCRIPT EXISTS {loaded}") == b"*1\r\n:0\r\n"
    assert wire.ask(f"EVALSHA {loaded} 1 lock token") == b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
    assert wire.ask("EVAL", body, 1, "lock", "token") == ZERO
    assert wire.ask(f"EVALSHA {loaded} 1 lock token") == ZERO


def test_rename_of_sessions(wire):
    wire.ask("SETEX sess_old 1000 v")
    assert wire.ask("RENAME sess_old sess_new") == OK
    assert wire.ask("GET sess_old") == NIL
    assert wire.ask("GET sess_new") == bulk("v")
    assert wire.ask("TTL sess_new") == b":1000\r\n"
    wire.ask("HSET sess_hash f v")
    assert wire.ask("RENAMENX sess_hash sess_new") == ZERO
    assert wire.ask("RENAME sess_hash sess_new") == OK
    assert wire.ask("HGETALL sess_new") == array("f", "v")
    assert wire.ask("RENAME sess_new sess_new") == OK
    assert wire.ask("RENAMENX sess_new sess_new") == ZERO
    assert wire.ask("RENAMENX sess_new sess_newer") == ONE
    assert wire.ask("DEL sess_newer sess_new") == ONE
    assert wire.ask("RENAME sess_new sess_old") == b"-ERR no such key\r\n"


def test_expiry_is_seen(wire):
    assert wire.ask("PSETEX short 30 v") == OK
    poll(lambda: wire.ask("GET short") == NIL, 5, "the key is gone")
    assert wire.ask("TTL short") == b":-2\r\n"
    assert wire.ask("PTTL short") == b":-2\r\n"
    assert wire.ask("EXPIRE short 10") == ZERO
    wire.ask("SET past v")
    assert wire.ask("EXPIREAT past 1000") == ONE
    assert wire.ask("EXISTS past") == ZERO


def test_absolute_expiry(wire):
    at = int(time.time()) + 1000
    wire.ask(f"SET at v EXAT {at}")
    assert 990 <= int(wire.ask("TTL at")[1:]) <= 1000
    wire.ask(f"GETEX at PXAT {(at + 1000) * 1000}")
    assert 1990000 <= int(wire.ask("PTTL at")[1:]) <= 2000000
    assert wire.ask(f"PEXPIREAT at {at * 1000} GT") == ZERO
    assert wire.ask(f"PEXPIREAT at {at * 1000} LT") == ONE
    assert wire.ask("PERSIST at") == ONE
    assert wire.ask("TTL at") == b":-1\r\n"
    assert wire.ask("PERSIST at") == ZERO
    assert wire.ask("GETDEL at") == bulk("v")


def test_many_connections(server):
    connections = [Wire(server.port) for _ in range(200)]
    for number, connection in enumerate(connections):
        connection.send(words(f"ECHO {number}"))
    for number, connection in enumerate(connections):
        assert connection.reply() == bulk(str(number))
        connection.socket.close()
