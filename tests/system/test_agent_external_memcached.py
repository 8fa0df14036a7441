"""The agent before a real memcached."""
import base64
import signal
from urllib.request import urlopen

import pytest
from harness import poll, scaled
from harness.agent import Agent
from harness.agents import Agents
from harness.external import BeforeStore
from harness.memcached import Memcached, Wire, packet, stored
from harness.proxy import Metrics


class Pair(BeforeStore):
    def __init__(self, directory):
        self.store = self.behind = Memcached().start()
        external = {"url": f"memcached://127.0.0.1:{self.store.port}"}
        self.agent = Agent(directory, front="memcached", mode="external", external=external).start()
        poll(lambda: self.metric("connections_total") >= 1, 10, "the agent reaches the store")

    def metric(self, name, **labels):
        return self.agent.metric("holdfast_agent_store_" + name, **labels)


@pytest.fixture
def pair(tmp_path):
    running = Pair(tmp_path)
    yield running
    running.stop()


def test_values_flags_and_times_are_the_stores(pair):
    with Wire(pair.agent.port) as client, Wire(pair.store.port) as store:
        client.say(b"set sess1 4711 100 5\r\na\r\nbc\r\n", b"STORED\r\n")
        store.say(b"get sess1\r\n", b"VALUE sess1 4711 5\r\na\r\nbc\r\nEND\r\n")
        store.say(b"mg sess1 t\r\n", b"HD t100\r\n")
        client.say(b"touch sess1 3000000000\r\n", b"TOUCHED\r\n")  # a date
        store.send(b"mg sess1 t\r\n")
        assert int(store.line()[4:-2]) > 30 * 24 * 3600
        client.say(b"touch sess1 0\r\n", b"TOUCHED\r\n")
        store.say(b"mg sess1 t\r\n", b"HD t-1\r\n")
        client.say(b"append sess1 0 0 3\r\ndef\r\n", b"STORED\r\n")
        store.say(b"get sess1\r\n", b"VALUE sess1 4711 8\r\na\r\nbcdef\r\nEND\r\n")
        client.say(b"add sess1 0 0 1\r\nx\r\n", b"NOT_STORED\r\n")
        client.say(b"set n 0 0 1\r\n5\r\n", b"STORED\r\n")
        client.say(b"incr n 7\r\n", b"12\r\n")
        store.say(b"get n\r\n", b"VALUE n 0 2\r\n12\r\nEND\r\n")
        client.say(b"delete sess1\r\n", b"DELETED\r\n")
        store.say(b"get sess1\r\n", b"END\r\n")
        client.say(b"delete sess1\r\n", b"NOT_FOUND\r\n")


def test_what_others_do_is_seen_and_cas_is_kept(pair):
    with Wire(pair.agent.port) as client, Wire(pair.store.port) as store:
        store.say(b"set sess1 9 60 6\r\ntheirs\r\n", b"STORED\r\n")
        client.say(b"get sess1\r\n", b"VALUE sess1 9 6\r\ntheirs\r\nEND\r\n")
        client.send(b"gets sess1\r\n")
        cas = client.until(b"END\r\n").split(b"\r\n")[0].split(b" ")[-1]
        client.say(b"cas sess1 9 60 4 " + cas + b"\r\nours\r\n", b"STORED\r\n")
        client.say(b"cas sess1 9 60 4 " + cas + b"\r\nlate\r\n", b"EXISTS\r\n")
        client.send(b"gets sess1\r\n")
        cas = client.until(b"END\r\n").split(b"\r\n")[0].split(b" ")[-1]
        store.say(b"set sess1 9 60 5\r\nother\r\n", b"STORED\r\n")
        client.say(b"cas sess1 9 60 4 " + cas + b"\r\nlate\r\n", b"EXISTS\r\n")
        client.say(b"get sess1\r\n", b"VALUE sess1 9 5\r\nother\r\nEND\r\n")


def test_keys_of_any_bytes(pair):
    key = b"a key\x01\xff"
    with Wire(pair.agent.port) as client, Wire(pair.store.port) as store:
        assert client.ask("set", key, b"v", stored(3, 50)).status == 0
        encoded = base64.b64encode(key)
        store.say(b"mg " + encoded + b" b v f\r\n", b"VA 1 f3\r\nv\r\n")
        assert client.ask("get", key).value == b"v"
        client.send(packet("delete", key))
        assert client.answer().status == 0
        store.say(b"mg " + encoded + b" b v\r\n", b"EN\r\n")


def test_sessions_go_on_while_it_is_away_and_are_put_back(pair):
    with Wire(pair.agent.port) as client:
        for i in range(50):
            client.say(b"set sess%d %d 1000 6\r\nbefore\r\n" % (i, i), b"STORED\r\n")
        pair.store.stop()
        pair.away()
        client.say(b"get sess7\r\n", b"VALUE sess7 7 6\r\nbefore\r\nEND\r\n")
        client.say(b"set sess8 80 1000 6\r\nduring\r\n", b"STORED\r\n")
        client.say(b"add new 1 1000 5\r\nlogin\r\n", b"STORED\r\n")
        client.say(b"delete sess9\r\n", b"DELETED\r\n")
        client.send(b"get unknown\r\n")
        assert client.line().startswith(b"SERVER_ERROR")
        pair.store.start()
        pair.back()
        with Wire(pair.store.port) as store:
            poll(lambda: store.stats()["curr_items"] == "50", 10, "all are put back")
            store.say(b"get sess8\r\n", b"VALUE sess8 80 6\r\nduring\r\nEND\r\n")
            store.say(b"get new\r\n", b"VALUE new 1 5\r\nlogin\r\nEND\r\n")
            store.say(b"get sess9\r\n", b"END\r\n")
            for i in set(range(50)) - {8, 9}:
                store.say(b"get sess%d\r\n" % i, b"VALUE sess%d %d 6\r\nbefore\r\nEND\r\n" % (i, i))
        client.say(b"get unknown\r\n", b"END\r\n")


def test_what_it_refuses_is_kept(pair):
    """A value that is larger than memcached takes."""
    value = b"x" * (2 << 20)
    with Wire(pair.agent.port) as client:
        client.say(b"set sess1 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n")
        poll(lambda: pair.metric("kept_total") == 1, 5, "it is counted")
        assert pair.metric("dirty_keys") == 1
        client.say(b"get sess1\r\n", b"VALUE sess1 0 %d\r\n%s\r\nEND\r\n" % (len(value), value))
        client.say(b"set sess1 0 0 1\r\ny\r\n", b"STORED\r\n")
        pair.back()
        with Wire(pair.store.port) as store:
            store.say(b"get sess1\r\n", b"VALUE sess1 0 1\r\ny\r\nEND\r\n")


@pytest.fixture
def fleet(tmp_path):
    """Three agents with copies at each other before one memcached."""
    store = Memcached().start()
    external = {"url": f"memcached://127.0.0.1:{store.port}"}
    agents = Agents(tmp_path, front="memcached", mode="external", external=external).start()
    yield agents, store
    if store.process.poll() is None:
        store.process.send_signal(signal.SIGCONT)
    agents.stop()
    store.stop()


def fleet_metric(agents, name, what):
    address = f"http://127.0.0.1:{agents.agents[name].admin_port}/metrics"
    with urlopen(address, timeout=scaled(5)) as answer:
        return Metrics.parse(answer.read().decode()).value("holdfast_agent_store_" + what)


def told(wire, key):
    wire.send(b"get " + key + b"\r\n")
    return wire.until(b"END\r\n")


def test_agents_with_copies_before_one_memcached(fleet):
    """A session moves, with its flags; the store dies, then the owner; the successor puts it back."""
    agents, store = fleet
    with Wire(agents.agents["a"].port) as a, Wire(agents.agents["b"].port) as b, Wire(store.port) as there:
        a.say(b"set memc.sess.key.1 7 1000 5\r\nfirst\r\n", b"STORED\r\n")
        assert told(there, b"memc.sess.key.1") == b"VALUE memc.sess.key.1 7 5\r\nfirst\r\nEND\r\n"
        assert told(b, b"memc.sess.key.1") == b"VALUE memc.sess.key.1 7 5\r\nfirst\r\nEND\r\n"
        there.say(b"set memc.sess.key.2 9 1000 5\r\nolder\r\n", b"STORED\r\n")
        assert told(b, b"memc.sess.key.2") == b"VALUE memc.sess.key.2 9 5\r\nolder\r\nEND\r\n"
        b.say(b"append memc.sess.key.2 0 0 1\r\n!\r\n", b"STORED\r\n")
        assert told(a, b"memc.sess.key.2") == b"VALUE memc.sess.key.2 9 6\r\nolder!\r\nEND\r\n"
        a.say(b"add memc.sess.key.2 0 0 1\r\nx\r\n", b"NOT_STORED\r\n")
        store.process.kill()
        store.process.wait()
        poll(lambda: fleet_metric(agents, "a", "up") == 0, 10, "the breaker opens")
        a.say(b"set memc.sess.key.1 7 1000 6\r\nduring\r\n", b"STORED\r\n")
        agents.kill("a")
        assert told(b, b"memc.sess.key.1") == b"VALUE memc.sess.key.1 7 6\r\nduring\r\nEND\r\n"
    store.start()
    with Wire(store.port) as there:
        wanted = b"VALUE memc.sess.key.1 7 6\r\nduring\r\nEND\r\n"
        poll(lambda: told(there, b"memc.sess.key.1") == wanted, 20, "the successor has written it")
        poll(lambda: told(there, b"memc.sess.key.2") != b"END\r\n", 20, "and put the other back")
