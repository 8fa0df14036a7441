"""The agent as a memcached, by exact bytes. Cases that take a `port` run beside it against the real
memcached, which shows that they ask for what is so; those that take an `agent` are about what is
the agent's own."""
import re
import struct
import subprocess
import time

import pytest

from harness import poll, scaled
from harness.agent import Agent
from harness.agents import Agents
from harness.memcached import (
    INVALID,
    MISSING,
    NOT_NUMERIC,
    NOT_STORED,
    NOT_SUPPORTED,
    PRESENT,
    TOO_LARGE,
    UNKNOWN_COMMAND,
    Memcached,
    Wire,
    counted,
    packet,
    stored,
)
from harness.proxy import INSTRUMENTED

MISS = b"END\r\n"
NEVER_CREATE = 0xFFFFFFFF


@pytest.fixture
def agent(tmp_path):
    """An agent that serves memcached alone."""
    server = Agent(tmp_path, "memcached").start()
    yield server
    server.stop()


@pytest.fixture
def real():
    """The real memcached."""
    server = Memcached().start()
    yield server
    server.stop()


@pytest.fixture
def agents(tmp_path):
    """Three of them that hold copies for each other."""
    servers = Agents(tmp_path, front="memcached").start()
    yield servers
    servers.stop()


# A sanitized build is not compared again.
@pytest.fixture(params=["agent", "agents"] if INSTRUMENTED else ["agent", "agents", "real"])
def port(request):
    """Of an agent, of one among three, and of a memcached."""
    return request.getfixturevalue(request.param).port


@pytest.fixture
def wire(port):
    with Wire(port) as connection:
        yield connection


def deadline_binary(seconds):
    return struct.pack(">I", seconds)


# ---- text -----------------------------------------------------------------------------------------

TEXT = {
    "storage": [
        (b"set k 5 0 3\r\nabc\r\n", b"STORED\r\n"),
        (b"get k\r\n", b"VALUE k 5 3\r\nabc\r\nEND\r\n"),
        (b"add k 0 0 1\r\nx\r\n", b"NOT_STORED\r\n"),
        (b"replace k 6 0 2\r\nde\r\n", b"STORED\r\n"),
        (b"append k 9 9 1\r\nf\r\n", b"STORED\r\n"),
        (b"prepend k 9 9 1\r\nc\r\n", b"STORED\r\n"),
        (b"get k\r\n", b"VALUE k 6 4\r\ncdef\r\nEND\r\n"),
        (b"delete k\r\n", b"DELETED\r\n"),
        (b"delete k\r\n", b"NOT_FOUND\r\n"),
        (b"get k\r\n", MISS),
        (b"replace k 0 0 1\r\nx\r\n", b"NOT_STORED\r\n"),
        (b"append k 0 0 1\r\nx\r\n", b"NOT_STORED\r\n"),
        (b"prepend k 0 0 1\r\nx\r\n", b"NOT_STORED\r\n"),
        (b"add k 0 0 1\r\nx\r\n", b"STORED\r\n"),
    ],
    "values of any bytes": [
        (b"set k 4294967295 0 9\r\n\r\n\0END\r\n\xff\r\n", b"STORED\r\n"),
        (b"get k\r\n", b"VALUE k 4294967295 9\r\n\r\n\0END\r\n\xff\r\nEND\r\n"),
        (b"set k 0 0 0\r\n\r\n", b"STORED\r\n"),
        (b"get k\r\n", b"VALUE k 0 0\r\n\r\nEND\r\n"),
    ],
    "counting": [
        (b"incr n 1\r\n", b"NOT_FOUND\r\n"),
        (b"set n 3 0 2\r\n10\r\n", b"STORED\r\n"),
        (b"incr n 5\r\n", b"15\r\n"),
        (b"decr n 20\r\n", b"0\r\n"),
        (b"incr n 18446744073709551615\r\n", b"18446744073709551615\r\n"),
        (b"incr n 2\r\n", b"1\r\n"),
        (b"set n 0 0 1\r\nx\r\n", b"STORED\r\n"),
        (b"incr n 1\r\n", b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        (b"incr n x\r\n", b"CLIENT_ERROR invalid numeric delta argument\r\n"),
    ],
    "many keys, one twice, some missing": [
        (b"set a 1 0 1\r\n1\r\n", b"STORED\r\n"),
        (b"set c 3 0 1\r\n3\r\n", b"STORED\r\n"),
        (
            b"get a b c a\r\n",
            b"VALUE a 1 1\r\n1\r\nVALUE c 3 1\r\n3\r\nVALUE a 1 1\r\n1\r\nEND\r\n",
        ),
    ],
    "touching": [
        (b"touch k 100\r\n", b"NOT_FOUND\r\n"),
        (b"gat 100 k\r\n", MISS),
        (b"set k 7 0 1\r\nx\r\n", b"STORED\r\n"),
        (b"touch k 100\r\n", b"TOUCHED\r\n"),
        (b"mg k t\r\n", b"HD t100\r\n"),
        (b"gat 200 k j\r\n", b"VALUE k 7 1\r\nx\r\nEND\r\n"),
        (b"mg k t\r\n", b"HD t200\r\n"),
        (b"touch k 0\r\n", b"TOUCHED\r\n"),
        (b"mg k t\r\n", b"HD t-1\r\n"),
        (b"touch k -1\r\n", b"TOUCHED\r\n"),
        (b"get k\r\n", MISS),
    ],
    "expiries": [
        (b"set k 0 -1 1\r\nx\r\n", b"STORED\r\n"),
        (b"get k\r\n", MISS),
        (b"set k 0 2592000 1\r\nx\r\n", b"STORED\r\n"),
        (b"mg k t\r\n", b"HD t2592000\r\n"),
        # beyond 30 days it is a date, and this one is in 1970: what was there is gone as well
        (b"set k 0 2592001 1\r\ny\r\n", b"STORED\r\n"),
        (b"get k\r\n", MISS),
    ],
    "noreply": [
        (b"set k 0 0 1 noreply\r\n1\r\nget k\r\n", b"VALUE k 0 1\r\n1\r\nEND\r\n"),
        (b"add k 0 0 1 noreply\r\n2\r\nget k\r\n", b"VALUE k 0 1\r\n1\r\nEND\r\n"),
        (b"replace k 0 0 1 noreply\r\n3\r\nget k\r\n", b"VALUE k 0 1\r\n3\r\nEND\r\n"),
        (b"append k 0 0 1 noreply\r\n4\r\nget k\r\n", b"VALUE k 0 2\r\n34\r\nEND\r\n"),
        (b"prepend k 0 0 1 noreply\r\n2\r\nget k\r\n", b"VALUE k 0 3\r\n234\r\nEND\r\n"),
        (b"incr k 1 noreply\r\ndecr k 3 noreply\r\nget k\r\n", b"VALUE k 0 3\r\n232\r\nEND\r\n"),
        (b"touch k 50 noreply\r\nmg k t\r\n", b"HD t50\r\n"),
        (b"cas k 0 0 1 1 noreply\r\nx\r\nget k\r\n", b"VALUE k 0 3\r\n232\r\nEND\r\n"),
        (b"delete k noreply\r\ndelete k noreply\r\nget k\r\n", MISS),
        (b"verbosity 1 noreply\r\nget k\r\n", MISS),
    ],
    "what is not understood": [
        (b"nonsense\r\n", b"ERROR\r\n"),
        (b"get\r\n", b"ERROR\r\n"),
        (b"get " + b"k" * 251 + b"\r\n", b"CLIENT_ERROR bad command line format\r\n"),
        (b"get " + b"k" * 250 + b"\r\n", MISS),
        (b"get k\r\n", MISS),
    ],
    "versions and levels": [(b"verbosity 1\r\n", b"OK\r\n")],
}


@pytest.mark.parametrize("name", TEXT)
def test_text(wire, name):
    for sent, expected in TEXT[name]:
        wire.say(sent, expected)


def test_text_pipelined(wire):
    """Whole conversations in one piece are answered in order."""
    rows = [row for name in ("storage", "counting") for row in TEXT[name]]
    wire.say(b"".join(sent for sent, _ in rows), b"".join(said for _, said in rows))


def test_text_byte_by_byte(wire):
    for sent, expected in TEXT["storage"][:4]:
        for byte in sent:
            wire.send(bytes([byte]))
        assert wire.receive(len(expected)) == expected


def test_compare_and_set(wire):
    wire.say(b"cas k 0 0 1 1\r\nx\r\n", b"NOT_FOUND\r\n")
    wire.say(b"set k 0 0 1\r\n1\r\n", b"STORED\r\n")
    wire.send(b"gets k\r\n")
    number = int(re.match(rb"VALUE k 0 1 (\d+)\r\n1\r\nEND\r\n$", wire.until(MISS))[1])
    wire.say(b"cas k 0 0 1 %d\r\n2\r\n" % number, b"STORED\r\n")
    wire.say(b"cas k 0 0 1 %d\r\n3\r\n" % number, b"EXISTS\r\n")
    wire.say(b"get k\r\n", b"VALUE k 0 1\r\n2\r\nEND\r\n")


def test_a_value_expires(wire):
    wire.say(b"set k 0 1 1\r\nx\r\n", b"STORED\r\n")

    def gone():
        wire.send(b"get k\r\n")
        return wire.until(MISS) == MISS

    poll(gone, 5, "the value is gone")


def test_a_date_is_a_date(wire):
    """Flask-Session says when, not how long."""
    wire.say(b"set k 0 %d 1\r\nx\r\n" % (time.time() + 86400 * 31), b"STORED\r\n")
    wire.send(b"mg k t\r\n")
    left = int(re.match(rb"HD t(\d+)\r\n$", wire.line())[1])
    assert 86400 * 31 - 60 < left <= 86400 * 31


def test_a_large_value(wire):
    value = bytes(range(256)) * 3000
    wire.say(b"set k 0 0 %d\r\n" % len(value) + value + b"\r\n", b"STORED\r\n")
    wire.say(b"get k\r\n", b"VALUE k 0 %d\r\n" % len(value) + value + b"\r\nEND\r\n")


def test_a_value_that_is_too_large_is_dropped_exactly(wire):
    """What follows is read as a request, and the older value is gone: so says memcached's source."""
    size = 9 << 20
    refused = b"SERVER_ERROR object too large for cache\r\n"
    wire.say(b"set k 0 0 1\r\nx\r\n", b"STORED\r\n")
    wire.say(b"add k 0 0 %d\r\n" % size + b"a" * size + b"\r\n", refused)
    wire.say(b"get k\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n")
    wire.say(b"set k 0 0 %d\r\n" % size + b"a" * size + b"\r\n", refused)
    wire.say(b"get k\r\n", MISS)
    wire.send(b"set k 0 0 %d noreply\r\n" % size + b"a" * size + b"\r\n")
    wire.say(b"get k\r\n", MISS)


def test_quit_ends_the_connection(wire):
    wire.send(b"quit\r\n")
    assert wire.ended() == b""


# ---- meta -----------------------------------------------------------------------------------------

META = {
    "dalli": [
        (b"mg rack:1 v f\r\n", b"EN\r\n"),
        (b"ms rack:1 4 F1 T3601 ME\r\n\x04\x08{\x00\r\n", b"HD\r\n"),
        (b"ms rack:1 4 F1 T3601 ME\r\n\x04\x08{\x00\r\n", b"NS\r\n"),
        (b"ms rack:1 5 F1 T3601 MR\r\nagain\r\n", b"HD\r\n"),
        (b"mg rack:1 v f\r\n", b"VA 5 f1\r\nagain\r\n"),
        (b"md rack:1\r\n", b"HD\r\n"),
        (b"md rack:1\r\n", b"NF\r\n"),
        (b"ms rack:1 5 F1 T3601 MR\r\nagain\r\n", b"NS\r\n"),
        (b"mn\r\n", b"MN\r\n"),
    ],
    "what is asked of a value": [
        (b"ms k 3 F7 T90\r\nabc\r\n", b"HD\r\n"),
        (b"mg k\r\n", b"HD\r\n"),
        (b"mg k s f t k O12\r\n", b"HD s3 f7 t90 kk O12\r\n"),
        (b"mg k v k s\r\n", b"VA 3 kk s3\r\nabc\r\n"),
        (b"mg k T30 t v\r\n", b"VA 3 t30\r\nabc\r\n"),
        (b"mg k t\r\n", b"HD t30\r\n"),
        (b"mg x O9 k v\r\n", b"EN O9 kx\r\n"),
        (b"mg x v q\r\nmg k v q O5\r\nmn\r\n", b"VA 3 O5\r\nabc\r\nMN\r\n"),
        (b"mg a2V5 b v\r\n", b"EN\r\n"),
        (b"ms a2V5 2 b\r\nok\r\n", b"HD\r\n"),
        (b"get key\r\n", b"VALUE key 0 2\r\nok\r\nEND\r\n"),
    ],
    "modes": [
        (b"ms k 1 MA\r\nb\r\n", b"NS\r\n"),
        (b"ms k 1 ME T60\r\nb\r\n", b"HD\r\n"),
        (b"ms k 1 MA\r\nc\r\n", b"HD\r\n"),
        (b"ms k 1 MP\r\na\r\n", b"HD\r\n"),
        (b"mg k v\r\n", b"VA 3\r\nabc\r\n"),
        (b"ms k 1 MS q\r\nx\r\nmg k v\r\n", b"VA 1\r\nx\r\n"),
    ],
    "counting": [
        (b"ma n\r\n", b"NF\r\n"),
        (b"ma n N60 J13 v\r\n", b"VA 2\r\n13\r\n"),
        (b"mg n t\r\n", b"HD t60\r\n"),
        (b"ma n D30 v\r\n", b"VA 2\r\n43\r\n"),
        (b"ma n MD D3 T90 v\r\n", b"VA 2\r\n40\r\n"),
        (b"mg n t\r\n", b"HD t90\r\n"),
        (b"ma n q\r\nma n v\r\n", b"VA 2\r\n42\r\n"),
    ],
    "a miss that is made": [
        (b"mg k s v N30 t\r\n", b"VA 0 s0 t30 W\r\n\r\n"),
        (b"mg k s v N30 t\r\n", b"VA 0 s0 t30 Z\r\n\r\n"),
        (b"ms k 1 T90\r\nx\r\n", b"HD\r\n"),
        (b"mg k v N30 t\r\n", b"VA 1 t90\r\nx\r\n"),
        (b"mg k v R100 t\r\n", b"VA 1 t90 W\r\nx\r\n"),
        (b"mg k v R100 t\r\n", b"VA 1 t90 Z\r\nx\r\n"),
        (b"mg k v R50\r\n", b"VA 1 Z\r\nx\r\n"),
    ],
}


@pytest.mark.parametrize("name", META)
def test_meta(wire, name):
    for sent, expected in META[name]:
        wire.say(sent, expected)


def meta_cas(wire, key=b"k"):
    wire.send(b"mg " + key + b" c\r\n")
    return int(re.match(rb"HD c(\d+)\r\n$", wire.line())[1])


def test_meta_cas(wire):
    wire.send(b"ms k 1 c\r\nx\r\n")
    number = int(re.match(rb"HD c(\d+)\r\n$", wire.line())[1])
    assert meta_cas(wire) == number
    wire.say(b"ms k 1 C%d\r\ny\r\n" % (number + 1000), b"EX\r\n")
    wire.say(b"ms k 1 C%d\r\ny\r\n" % number, b"HD\r\n")
    assert meta_cas(wire) != number
    wire.say(b"md k C%d\r\n" % number, b"EX\r\n")
    wire.say(b"md k C%d\r\n" % meta_cas(wire), b"HD\r\n")
    wire.say(b"ms k 1 C%d\r\ny\r\n" % number, b"NF\r\n")


# ---- binary ---------------------------------------------------------------------------------------


def test_binary_storage(wire):
    assert wire.ask("get", b"k").brief() == (MISSING, b"", b"", b"Not found")
    assert wire.ask("getk", b"k").brief() == (MISSING, b"", b"k", b"")
    first = wire.ask("set", b"k", b"abc", stored(5), opaque=77)
    assert first.brief() == (0, b"", b"", b"") and first.opaque == 77 and first.cas
    got = wire.ask("getk", b"k")
    assert got.brief() == (0, b"\0\0\0\5", b"k", b"abc") and got.cas == first.cas
    assert wire.ask("add", b"k", b"x", stored()).status == PRESENT
    assert wire.ask("replace", b"k", b"de", stored(6)).status == 0
    assert wire.ask("append", b"k", b"f").status == 0
    assert wire.ask("prepend", b"k", b"c").status == 0
    assert wire.ask("get", b"k").brief() == (0, b"\0\0\0\6", b"", b"cdef")
    assert wire.ask("delete", b"k").brief() == (0, b"", b"", b"")
    assert wire.ask("delete", b"k").status == MISSING
    assert wire.ask("append", b"k", b"x").status == NOT_STORED
    assert wire.ask("replace", b"k", b"x", stored()).status == MISSING


def test_binary_cas(wire):
    first = wire.ask("set", b"k", b"1", stored()).cas
    assert wire.ask("set", b"k", b"2", stored(), cas=first + 1000).status == PRESENT
    second = wire.ask("set", b"k", b"2", stored(), cas=first)
    assert second.status == 0 and second.cas != first
    assert wire.ask("delete", b"k", cas=first).status == PRESENT
    assert wire.ask("append", b"k", b"x", cas=first).status == PRESENT
    assert wire.ask("delete", b"k", cas=second.cas).status == 0
    assert wire.ask("set", b"k", b"2", stored(), cas=first).status == MISSING
    assert wire.ask("add", b"k", b"2", stored(), cas=first).status == MISSING


def test_binary_counting(wire):
    assert wire.ask("increment", b"n", extras=counted(1, 5, NEVER_CREATE)).status == MISSING
    made = wire.ask("increment", b"n", extras=counted(1, 5, 100))
    assert made.brief() == (0, b"", b"", struct.pack(">Q", 5))
    assert wire.ask("increment", b"n", extras=counted(3)).value == struct.pack(">Q", 8)
    assert wire.ask("decrement", b"n", extras=counted(10)).value == struct.pack(">Q", 0)
    assert wire.ask("get", b"n").value == b"0"
    wire.ask("set", b"n", b"x", stored())
    assert wire.ask("increment", b"n", extras=counted(1)).status == NOT_NUMERIC


def test_binary_touching(wire):
    assert wire.ask("touch", b"k", extras=deadline_binary(60)).status == MISSING
    assert wire.ask("gat", b"k", extras=deadline_binary(60)).status == MISSING
    wire.ask("set", b"k", b"x", stored(7))
    assert wire.ask("touch", b"k", extras=deadline_binary(60)).status == 0
    got = wire.ask("gatk", b"k", extras=deadline_binary(60))
    assert got.brief() == (0, b"\0\0\0\7", b"k", b"x")
    assert wire.ask("gat", b"k", extras=deadline_binary(2592001)).status == 0
    assert wire.ask("get", b"k").status == MISSING


QUIET = [
    ("setq", b"k", b"1", stored()),
    ("addq", b"j", b"1", stored()),
    ("replaceq", b"k", b"2", stored()),
    ("appendq", b"k", b"3"),
    ("prependq", b"k", b"1"),
    ("incrementq", b"k", b"", counted(1)),
    ("decrementq", b"k", b"", counted(1)),
    ("getq", b"missing"),
    ("getkq", b"missing"),
    ("gatq", b"missing", b"", b"\0\0\0\0"),
    ("gatkq", b"missing", b"", b"\0\0\0\0"),
    ("deleteq", b"j"),
]


def test_binary_quiet(wire):
    """What went as hoped is not told; what did not, is."""
    wire.send(b"".join(packet(*row) for row in QUIET) + packet("noop", opaque=9))
    assert wire.answer().opaque == 9
    assert wire.ask("get", b"k").value == b"123"
    wire.send(packet("addq", b"k", b"x", stored(), opaque=1))
    wire.send(packet("deleteq", b"j", opaque=2))
    wire.send(packet("getkq", b"k", opaque=3))
    answers = [wire.answer() for _ in range(3)]
    assert [(a.opaque, a.status) for a in answers] == [(1, PRESENT), (2, MISSING), (3, 0)]
    assert answers[2].key == b"k"


def test_binary_connection(wire):
    assert wire.ask("noop").brief() == (0, b"", b"", b"")
    assert re.match(rb"1\.6\.\d+$", wire.ask("version").value)
    assert wire.ask(0x50, opaque=3).brief() == (UNKNOWN_COMMAND, b"", b"", b"Unknown command")
    assert wire.ask("quit").status == 0
    assert wire.ended() == b""


def test_binary_statistics(wire):
    wire.send(packet("stat"))
    rows = {}
    while (answer := wire.answer()).key:
        rows[answer.key] = answer.value
    assert rows[b"pointer_size"] == b"64" and re.match(rb"1\.6\.", rows[b"version"])
    assert answer.brief() == (0, b"", b"", b"")


def test_binary_value_that_is_too_large(wire):
    size = 9 << 20
    wire.ask("set", b"k", b"x", stored())
    assert wire.ask("add", b"k", b"a" * size, stored()).status == TOO_LARGE
    assert wire.ask("get", b"k").value == b"x"
    assert wire.ask("set", b"k", b"a" * size, stored()).status == TOO_LARGE
    assert wire.ask("get", b"k").status == MISSING


def test_binary_bad_frame_ends_the_connection(wire):
    wire.send(packet("get", b"k" * 251))
    assert wire.answer().status == INVALID
    assert wire.ended() == b""


# ---- libraries' conversations (captured) ------------------------------------------------------------


def php_keys(sid):
    return b"memc.sess.key." + sid, b"memc.sess.key.lock." + sid


def test_php_memcached_strict(wire):
    """php-memcached 3.3, binary: a new session, then a request that only reads."""
    key, lock = php_keys(b"a1b2")
    assert wire.ask("add", key, b"", stored()).status == 0
    assert wire.ask("add", lock, b"1", stored()).status == 0
    assert wire.ask("getk", key).brief() == (0, b"\0\0\0\0", key, b"")
    assert wire.ask("set", key, b"user|s:5:\"alice\";", stored(0, 1440)).status == 0
    assert wire.ask("delete", lock).status == 0
    # strict mode asks by an ADD whether the session is there: 2678400 is a day of 1970
    assert wire.ask("add", key, b"", stored(0, 2678400)).status == PRESENT
    assert wire.ask("add", lock, b"1", stored()).status == 0
    assert wire.ask("getk", key).value == b"user|s:5:\"alice\";"
    touched = wire.ask("touch", key, extras=deadline_binary(1440))
    assert (touched.status, touched.extras) == (0, b"\0\0\0\0")
    assert wire.ask("delete", lock).status == 0
    wire.send(packet("quit"))
    wire.answer()


def test_php_memcached_validates_without_a_trace(wire):
    """An id that nobody has: stored, and gone at once. A ghost would be somebody's session."""
    key, _ = php_keys(b"0000")
    for _ in range(2):
        assert wire.ask("add", key, b"", stored(0, 2678400)).status == 0
        assert wire.ask("get", key).status == MISSING


def test_php_memcached_text(wire):
    wire.say(b"add memc.sess.key.t 0 0 0\r\n\r\n", b"STORED\r\n")
    wire.say(b"add memc.sess.key.lock.t 0 0 1\r\n1\r\n", b"STORED\r\n")
    wire.say(b"add memc.sess.key.lock.t 0 0 1\r\n1\r\n", b"NOT_STORED\r\n")
    wire.say(b"get memc.sess.key.t\r\n", b"VALUE memc.sess.key.t 0 0\r\n\r\nEND\r\n")
    wire.say(b"set memc.sess.key.t 0 1440 2\r\nab\r\n", b"STORED\r\n")
    wire.say(b"delete memc.sess.key.lock.t\r\n", b"DELETED\r\n")


def test_memcached_session_manager(wire):
    """MSM asks whether the server lives by an ADD of what is there."""
    wire.say(b"add lock:id-n1 0 5 6\r\nlocked\r\n", b"STORED\r\n")
    wire.say(b"add lock:id-n1 0 5 6\r\nlocked\r\n", b"NOT_STORED\r\n")
    wire.say(b"set id-n1 0 1800 3\r\nxyz\r\n", b"STORED\r\n")
    wire.say(b"set validity:id-n1 0 1800 1\r\nv\r\n", b"STORED\r\n")
    wire.say(b"get id-n1 validity:id-n1\r\n",
             b"VALUE id-n1 0 3\r\nxyz\r\nVALUE validity:id-n1 0 1\r\nv\r\nEND\r\n")
    wire.say(b"delete lock:id-n1\r\n", b"DELETED\r\n")


# ---- statistics -----------------------------------------------------------------------------------


def test_statistics(wire):
    assert "items:1:number" not in wire.stats(b"items")
    wire.say(b"set k 0 0 1\r\nx\r\nset j 0 0 1\r\nx\r\nget k\r\nget x\r\n",
             b"STORED\r\nSTORED\r\nVALUE k 0 1\r\nx\r\nEND\r\nEND\r\n")
    assert wire.stats(b"items")["items:1:number"] == "2"
    rows = wire.stats()
    assert (rows["curr_items"], rows["cmd_get"], rows["get_hits"], rows["get_misses"]) == (
        "2", "2", "1", "1",
    )
    assert int(rows["pid"]) > 1 and int(rows["uptime"]) >= 0 and int(rows["limit_maxbytes"])
    assert "item_size_max" in wire.stats(b"settings")
    wire.say(b"stats reset\r\n", b"RESET\r\n")
    wire.say(b"stats nonsense\r\n", b"ERROR\r\n")


# ---- what is the agent's own ------------------------------------------------------------------------


def test_version(agent):
    with Wire(agent.port) as wire:
        wire.send(b"version\r\n")
        found = re.match(rb"VERSION (\d+)\.(\d+)\.(\d+)\r\n$", wire.line())
        assert tuple(int(part) for part in found.groups()) >= (1, 6, 27)


def test_what_the_real_one_leaves_out(agent):
    """Its documents have these, the release of Debian 12 does not: a binary verbosity is never
    answered, and an append makes nothing."""
    with Wire(agent.port) as wire:
        assert wire.ask("verbosity", extras=b"\0\0\0\1").status == 0
    with Wire(agent.port) as wire:
        wire.say(b"ms k 1 MA N60\r\nb\r\n", b"HD\r\n")
        wire.say(b"mg k t v\r\n", b"VA 1 t60\r\nb\r\n")


def test_flush_is_denied(agent):
    with Wire(agent.port) as wire:
        wire.say(b"set k 0 0 1\r\nx\r\n", b"STORED\r\n")
        wire.say(b"flush_all\r\n", b"CLIENT_ERROR switched off here\r\n")
        wire.say(b"flush_all 0 noreply\r\nget k\r\n", b"VALUE k 0 1\r\nx\r\nEND\r\n")
    with Wire(agent.port) as wire:
        assert wire.ask("flush").status == NOT_SUPPORTED
        assert wire.ask("get", b"k").value == b"x"


def test_placeholders_end(agent):
    """php-memcached leaves empty values behind that were to live for ever."""
    with Wire(agent.port) as wire:
        wire.say(b"add k 0 0 0\r\n\r\nadd j 0 0 1\r\nx\r\nmg k t\r\nmg j t\r\n",
                 b"STORED\r\nSTORED\r\nHD t3600\r\nHD t-1\r\n")


def test_locks_end_with_their_connection(agent):
    """As flock does: a worker that died must not lock its user out."""
    key, lock = php_keys(b"dead")
    with Wire(agent.port) as holder:
        assert holder.ask("add", key, b"", stored()).status == 0
        assert holder.ask("add", lock, b"1", stored()).status == 0
        with Wire(agent.port) as other:
            assert other.ask("add", lock, b"1", stored()).status == PRESENT

    def free():
        with Wire(agent.port) as other:
            return other.ask("get", lock).status == MISSING and other.ask("get", key).status == 0

    poll(free, 5, "the lock is gone, and the session is not")


def test_a_lock_with_an_expiry_stays(agent):
    _, lock = php_keys(b"timed")
    with Wire(agent.port) as holder:
        assert holder.ask("add", lock, b"1", stored(0, 30)).status == 0
    with Wire(agent.port) as other:
        assert other.ask("add", lock, b"1", stored(0, 30)).status == PRESENT


def test_http_is_hung_up_on(agent):
    for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /x HTTP/1.1\r\n", b"\x16\x03\x01"):
        with Wire(agent.port) as wire:
            wire.send(sent)
            assert wire.ended() == b""


def test_dialects_do_not_mix(agent):
    with Wire(agent.port) as wire:
        wire.say(b"get k\r\n", MISS)
        wire.send(packet("noop"))
        assert wire.ended() == b"ERROR\r\n"


# ---- other people's programs ------------------------------------------------------------------------


def capable(port, *arguments):
    ran = subprocess.run(
        ["memccapable", "-h", "127.0.0.1", "-p", str(port), "-t", "10", *arguments],
        capture_output=True, text=True, timeout=scaled(50),
    )
    # names fill 40 columns; failures are told on the other stream, and their line goes on
    cell = r"((?:ascii|binary) .{33,34}?)(\[pass\]\n)?(?=ascii|binary|All|$)"
    cells = re.findall(cell, ran.stdout)
    verdicts = {name.strip(): bool(passed) for name, passed in cells}
    return verdicts, ran


FLUSHES = {"ascii flush", "ascii flush noreply", "binary flush", "binary flushq"}


def failed_in(verdicts):
    return {name for name, passed in verdicts.items() if not passed}


def test_memccapable_of_memcached(real):
    verdicts, ran = capable(real.port)
    assert not failed_in(verdicts) and len(verdicts) == 54, ran.stdout


def test_memccapable_where_a_flush_is_allowed(tmp_path):
    """libmemcached's test of a server, the whole of it."""
    server = Agent(tmp_path, "memcached", flush="allow").start()
    verdicts, ran = capable(server.port)
    server.stop()
    assert not failed_in(verdicts) and len(verdicts) == 54, ran.stdout


def test_memccapable(agent):
    """As an agent is by default: all but what it denies, to end everybody's session."""
    verdicts, ran = capable(agent.port)
    assert failed_in(verdicts) <= FLUSHES and len(verdicts) == 54, ran.stdout


def test_pymemcache(port):
    pymemcache = pytest.importorskip("pymemcache")
    client = pymemcache.Client(("127.0.0.1", port), timeout=scaled(5), no_delay=True)
    assert client.get("k") is None and client.set("k", b"v", expire=60, noreply=False)
    assert client.add("k", b"w", noreply=False) is False
    assert client.replace("k", b"w", noreply=False) is True
    client.append("k", b"2")
    client.prepend("k", b"1")
    assert client.get("k") == b"1w2"
    value, number = client.gets("k")
    assert client.cas("k", b"x", number) is True and client.cas("k", b"y", number) is False
    assert client.cas("none", b"y", number) is None
    client.set_many({f"key{i}": b"%d" % i for i in range(100)})
    assert client.get_many([f"key{i}" for i in range(0, 200, 2)]) == {
        f"key{i}": b"%d" % i for i in range(0, 100, 2)
    }
    assert client.set("n", b"5", noreply=False) and client.incr("n", 3) == 8
    assert client.decr("n", 20) == 0 and client.incr("none", 1) is None
    assert client.touch("k", 100, noreply=False) is True
    assert client.touch("none", 100, noreply=False) is False
    assert client.delete("k", noreply=False) is True and client.delete("k", noreply=False) is False
    assert client.version().startswith(b"1.6.") and client.stats()[b"curr_items"] >= 100
    client.set("k", b"a" * (9 << 20), noreply=True)
    assert client.get("key3") == b"3", "a refusal nobody reads was taken for an answer"
    client.quit()
