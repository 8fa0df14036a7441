"""Three agents before one Redis: the fabric decides who owns a session, its owner alone writes to the
store, and what was acknowledged is lost neither with the store nor with an agent."""
import contextlib
import json
import random
import signal
import threading
import urllib.request

import pytest
import redis
from harness import SLOWNESS, poll, scaled
from harness.agents import Agents
from harness.proxy import Metrics
from harness.redis import RedisServer

pytestmark = pytest.mark.skipif(not RedisServer.installed(), reason="no redis-server")


class Fleet(Agents):
    """Agents and their store."""

    def __init__(self, directory, write="through", mode="external", **keys):
        self.redis = RedisServer(directory / "redis")
        self.external = {"url": f"redis://127.0.0.1:{self.redis.port}/0", "write": write}
        if mode in ("external", "transition"):
            keys["external"] = self.external
        super().__init__(directory, mode=mode, **keys)

    def start(self, *names):
        if self.redis.process is None:
            self.redis.start()
        if json.loads(self.agents["a"].file.read_text())["agent"]["mode"] == "local":
            for name in self.names:
                self.agents[name].start()
            return self
        super().start(*names)
        if self.status(self.names[0])["mode"] == "external":
            for name in names or self.names:
                poll(lambda n=name: self.metric(n, "connections_total") >= 1, 10, "it reaches the store")
        return self

    def store(self):
        """The store itself."""
        made = redis.Redis(port=self.redis.port, socket_timeout=scaled(10))
        self.clients.setdefault("store", []).append(made)
        return made

    def metric(self, name, what):
        url = f"http://127.0.0.1:{self.agents[name].admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=scaled(5)) as answer:
            return Metrics.parse(answer.read().decode()).value("holdfast_agent_store_" + what)

    def away(self):
        for name in self.alive():
            poll(lambda n=name: self.metric(n, "up") == 0, 10, "the breaker opens")

    def up(self):
        for name in self.alive():
            poll(lambda n=name: self.metric(n, "up") == 1, 10, "the breaker closes")

    def back(self):
        self.up()
        self.settled()

    def settled(self):
        """Under load it may not come to that: each move and each queued write is a debt for a moment."""
        for name in self.alive():
            poll(lambda n=name: self.metric(n, "dirty_keys") == 0, 20, "all is written")

    def mode(self, name, mode, **external):
        """By SIGHUP; answers what the log says about it."""
        agent = self.agents[name]
        config = json.loads(agent.file.read_text())
        config["agent"]["mode"] = mode
        config["agent"].pop("external", None)
        if mode in ("external", "transition"):
            config["agent"]["external"] = {**self.external, **external}
        agent.file.write_text(json.dumps(config, indent=1))
        before = agent.stderr()
        agent.process.send_signal(signal.SIGHUP)
        poll(lambda: "reloaded" in agent.stderr()[len(before) :], 10, "it has read the file")
        return agent.stderr()[len(before) :]

    def stop(self):
        if self.redis.process.poll() is None:
            self.redis.process.send_signal(signal.SIGCONT)
        super().stop()
        self.redis.stop()


class User(threading.Thread):
    """Some sessions' only user: reads and writes at whichever agent, and knows what it was told. What
    it reads is the last value that was acknowledged, or a later one that it tried to write."""

    def __init__(self, fleet, number, sessions=5):
        super().__init__()
        self.random = random.Random(number)
        self.names, self.fleet, self.ended = list(fleet.names), fleet, threading.Event()
        self.links = {}
        self.known = {f"sess:{number}-{i}": (0, 0) for i in range(sessions)}  # acknowledged, tried
        self.wrong, self.writes, self.errors = [], 0, []

    def link(self, name):
        if name not in self.links:
            port = self.fleet.agents[name].port
            self.links[name] = redis.Redis(port=port, socket_timeout=scaled(10), single_connection_client=True)
        return self.links[name]

    def judge(self, key, value, where):
        low, high = self.known[key]
        number = int(value) if value is not None else 0
        if not low <= number <= high:
            self.wrong.append(f"{key} at {where}: {number}, known {low} to {high}")
        self.known[key] = (max(low, number), high)

    def step(self):
        key = self.random.choice(list(self.known))
        name = self.random.choice(self.names)
        try:
            self.judge(key, self.link(name).get(key), name)
            low, high = self.known[key]
            self.known[key] = (low, high + 1)
            self.link(name).set(key, high + 1, ex=1000)
            self.known[key] = (high + 1, high + 1)
            self.writes += 1
        except redis.RedisError as error:
            self.errors.append(f"{key} at {name}: {error!r}")
            with contextlib.suppress(redis.RedisError):
                if name in self.links:
                    self.links.pop(name).close()

    def run(self):
        while not self.ended.wait(0.001):
            self.step()
        for link in self.links.values():
            link.close()


@contextlib.contextmanager
def users(fleet, count=6):
    """Judged in the end, by what each was told and by what the store has then."""
    all_users = [User(fleet, number) for number in range(count)]
    for user in all_users:
        user.start()
    try:
        yield all_users
    finally:
        for user in all_users:
            user.ended.set()
        for user in all_users:
            user.join(scaled(30))
    assert [wrong for user in all_users for wrong in user.wrong] == []
    assert sum(user.writes for user in all_users) > 0


def work(all_users, writes=40):
    """Until each has written that often from now on."""
    before = [user.writes for user in all_users]
    poll(
        lambda: all(u.writes >= b + writes or u.wrong for u, b in zip(all_users, before)),
        60,
        "users go on",
    )


def compare(fleet, all_users):
    fleet.settled()
    store, client = fleet.store(), fleet.client(fleet.alive()[0])
    for user in all_users:
        for key, (low, high) in user.known.items():
            value = client.get(key)
            assert low <= int(value or 0) <= high, key
            assert store.get(key) == value, key


def linked(fleet, name):
    return {peer["name"] for peer in fleet.status(name)["replication"]["peers"] if peer["linked"]}


@pytest.fixture
def make(tmp_path):
    made = []

    def build(**keys):
        made.append(Fleet(tmp_path / str(len(made)), **keys).start())
        return made[-1]

    yield build
    for fleet in made:
        fleet.stop()


@pytest.fixture
def fleet(make):
    return make()


def test_the_owner_is_the_cache_and_the_only_writer(fleet):
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    assert a.set("sess:1", "first", ex=100)
    assert store.get("sess:1") == b"first" and 90 < store.ttl("sess:1") <= 100
    assert b.get("sess:1") == b"first"  # from a
    assert b.set("sess:1", "second", ex=200)
    assert store.get("sess:1") == b"second" and store.ttl("sess:1") > 100
    assert a.get("sess:1") == b"second"
    assert a.expire("sess:1", 500) and store.ttl("sess:1") > 400
    assert a.hset("spring:session:sessions:1", mapping={"x": "1", "y": "2"}) == 2
    assert b.hincrby("spring:session:sessions:1", "x", 4) == 5
    assert store.hgetall("spring:session:sessions:1") == {b"x": b"5", b"y": b"2"}
    loads = sum(fleet.metric(name, "answers_total") for name in "abc")
    for _ in range(20):
        assert a.get("sess:1") == b"second"
    assert sum(fleet.metric(name, "answers_total") for name in "abc") - loads <= 8  # written once more
    assert fleet.client("c").set("sess:1", "sent on", ex=300)  # to its owner, which writes it
    assert store.get("sess:1") == b"sent on"
    assert a.set("sess:1", "third", get=True) == b"sent on"  # kept while the store is waited for
    assert b.execute_command("GETDEL", "sess:1") == b"third"
    assert store.get("sess:1") is None and a.get("sess:1") is None


def test_what_only_the_store_has_is_adopted(fleet):
    a, b, c, store = *(fleet.client(name) for name in "abc"), fleet.store()
    store.set("sess:old", "there", ex=300)
    store.hset("spring:session:sessions:old", mapping={"x": "1"})
    store.expire("spring:session:sessions:old", 300)
    assert a.get("sess:none") is None
    assert b.get("sess:old") == b"there" and 290 < b.ttl("sess:old") <= 300
    assert c.get("sess:old") == b"there"
    assert a.hget("spring:session:sessions:old", "x") == b"1"
    assert 290 < b.ttl("spring:session:sessions:old") <= 300
    store.set("sess:lock", "theirs", ex=300)
    assert not c.set("sess:lock", "mine", nx=True)  # looked for before it is made
    store.hset("spring:session:sessions:count", "n", "41")
    assert b.hincrby("spring:session:sessions:count", "n", 1) == 42
    assert store.hget("spring:session:sessions:count", "n") == b"42"
    store.set("sess:gone", "there")
    assert a.delete("sess:gone") == 1 and store.get("sess:gone") is None
    store.lpush("list", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        a.get("list")


def test_what_was_deleted_is_not_adopted_again(fleet):
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    a.set("sess:1", "v", ex=300)
    assert a.delete("sess:1") == 1
    store.set("sess:1", "late", ex=300)  # as what an owner that died had sent
    assert b.get("sess:1") is None
    poll(lambda: store.get("sess:1") is None, 10, "it is deleted there again")
    assert b.set("sess:2", "v", ex=300) and b.set("sess:2", "w", ex=300)
    assert b.get("sess:2") == b"w"


def test_sessions_that_move_under_load_are_never_stale(fleet):
    with users(fleet) as all_users:
        work(all_users, 150)
    compare(fleet, all_users)
    assert [error for user in all_users for error in user.errors] == []


@pytest.mark.parametrize("write", ["through", "behind"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_store_goes_and_comes_back_under_load(make, write, how):
    """Killed, it forgets everything."""
    fleet = make(write=write)
    with users(fleet) as all_users:
        work(all_users)
        fleet.redis.process.send_signal(how)
        fleet.away()
        work(all_users)
        if how == signal.SIGKILL:
            fleet.redis.process.wait()
            fleet.redis.start()
        else:
            fleet.redis.process.send_signal(signal.SIGCONT)
        fleet.up()
        work(all_users)
    compare(fleet, all_users)
    assert all(fleet.metric(name, "lost_total") == 0 for name in fleet.alive())


def test_while_the_store_is_away(fleet):
    a, b, c, store = *(fleet.client(name) for name in "abc"), fleet.store()
    for i in range(30):
        assert a.set(f"sess:{i}", f"before {i}", ex=1000)
    store.set("sess:unknown", "v")
    fleet.redis.stop()
    fleet.away()
    assert b.get("sess:3") == b"before 3" and b.set("sess:3", "during", ex=1000)
    assert c.get("sess:3") == b"during"
    assert b.delete("sess:4") == 1
    assert c.get("sess:4") is None and a.get("sess:4") is None  # known: it was deleted
    assert c.set("sess:new", "login", nx=True, ex=1000) and a.get("sess:new") == b"login"
    assert not b.set("sess:new", "again", nx=True, ex=1000)
    with pytest.raises(redis.ResponseError, match="TRYAGAIN"):
        c.get("sess:unknown")  # never a miss
    told = {name: len(fleet.agents[name].stderr()) for name in "abc"}
    fleet.redis.start()
    fleet.back()
    poll(lambda: store.dbsize() == 30, 20, "all is there: one deleted, one new")
    for name in "abc":  # not before, also by one that owes nothing
        before, after = fleet.agents[name].stderr()[: told[name]], fleet.agents[name].stderr()[told[name] :]
        assert "it has all" not in before and after.index("it answers; ") < after.index("it has all")
    assert store.get("sess:3") == b"during" and store.get("sess:new") == b"login"
    assert store.get("sess:7") == b"before 7" and store.ttl("sess:7") > 900
    assert c.get("sess:unknown") is None  # the store lost it, and says so


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_owner_is_killed_while_the_store_is_away(fleet, how):
    """Its successor owes what it owed; also a shorter expiry, and a logout."""
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    for i in range(60):
        assert a.set(f"sess:{i}", "before", ex=5000)
    fleet.settled()
    fleet.redis.process.send_signal(signal.SIGSTOP)  # it forgets nothing
    poll(lambda: a.set("sess:probe", "v") and fleet.metric("a", "up") == 0, 10, "the breaker opens")
    for i in range(40):
        assert a.set(f"sess:{i}", f"during {i}", ex=500)
    assert a.delete("sess:50") == 1
    if how == signal.SIGKILL:
        fleet.kill("a")
    else:
        fleet.agents["a"].process.send_signal(how)
        fleet.left.add("a")
    assert b.get("sess:7") == b"during 7"
    assert b.get("sess:50") is None
    assert b.set("sess:8", "after", ex=400)
    fleet.redis.process.send_signal(signal.SIGCONT)
    fleet.back()
    poll(lambda: store.get("sess:50") is None, 20, "the logout reaches the store, and nobody asked")
    poll(lambda: store.get("sess:39") == b"during 39", 20, "the successor has written it")
    fleet.settled()
    for i in range(40):
        value = b"after" if i == 8 else b"during %d" % i
        assert store.get(f"sess:{i}") == value and store.ttl(f"sess:{i}") <= 500
        assert b.get(f"sess:{i}") == value
    assert b.get("sess:50") is None
    if how == signal.SIGSTOP:
        fleet.agents["a"].process.send_signal(signal.SIGCONT)
        fleet.left.discard("a")
        poll(lambda: all(fleet.joined(name) for name in "abc"), 15, "all are joined again")
        assert a.get("sess:8") == b"after"
        fleet.settled()
        assert store.get("sess:8") == b"after" and store.get("sess:7") == b"during 7"


def test_what_was_queued_survives_its_agent(make):
    fleet = make(write="behind")
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    for turn in range(5):
        for i in range(40):
            assert a.set(f"sess:{i}", f"{turn} {i}", ex=1000)
    fleet.kill("a")
    assert b.get("sess:39") == b"4 39"
    poll(lambda: store.dbsize() == 40, 20, "the successors write what was queued")
    poll(lambda: all(store.get(f"sess:{i}") == b"4 %d" % i for i in range(40)), 20, "the newest of it")


def test_agents_die_under_load(fleet):
    with users(fleet) as all_users:
        work(all_users)
        fleet.kill("a")
        for user in all_users:
            user.names.remove("a")
        work(all_users)
        fleet.start("a")
        for user in all_users:
            user.names.append("a")
        work(all_users)
        fleet.leave("b")
        for user in all_users:
            user.names.remove("b")
        work(all_users)
    compare(fleet, all_users)


def test_all_agents_end_and_the_store_has_it(make):
    """What is in no agent's memory any more is read from the store."""
    fleet = make(write="behind")
    client = fleet.client("a")
    for i in range(50):
        assert client.set(f"sess:{i}", f"v{i}", ex=1000)
    for name in "abc":
        fleet.leave(name)
    assert fleet.store().dbsize() == 50  # each was handed over, the last agent's are written
    fleet.start()
    client = fleet.client("b")
    assert [client.get(f"sess:{i}") for i in range(50)] == [b"v%d" % i for i in range(50)]


def test_a_planned_end_while_the_store_is_away(fleet):
    """Its debt goes over with its sessions; the agent does not wait for the store."""
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    fleet.redis.stop()
    fleet.away()
    for i in range(30):
        assert a.set(f"sess:{i}", f"v{i}", ex=1000)
    fleet.leave("a")
    assert "keys end here" not in fleet.agents["a"].stderr()
    assert b.get("sess:7") == b"v7"
    fleet.redis.start()
    fleet.back()
    poll(lambda: store.dbsize() == 30, 20, "all is there")


def test_behind_and_the_owner_dies_under_load(make):
    fleet = make(write="behind")
    with users(fleet) as all_users:
        work(all_users)
        fleet.kill("b")
        for user in all_users:
            user.names.remove("b")
        work(all_users)
    compare(fleet, all_users)


def done(client, commands):
    """The answers of a pipeline, which may be done twice. An instrumented agent may take longer than its peers wait
    for it, and says so; another may not."""
    def attempt():
        pipe = client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        try:
            return pipe.execute()
        except redis.ResponseError as error:
            if SLOWNESS == 1 or "TRYAGAIN" not in str(error):
                raise
            return None
    return poll(attempt, 5, "the peers answer in time")


def test_what_finds_no_place_in_memory_is_in_the_store(make):
    """Many times more than the agents hold: all is there, as it was written last, wherever it is asked for."""
    fleet = make(memory="8MiB", when_full="refuse")
    count, clients = 24000, [fleet.client(name) for name in "abc"]

    def write(version, first, last):
        for begin in range(first, last, 100):
            for client in clients:
                assert all(done(client, [("SET", f"sess:{i}", f"{version}:{i}:" + "x" * 1000, "EX", 3000)
                                         for i in range(begin, begin + 100) if i % 3 == clients.index(client)]))

    write(1, 0, count)
    write(2, 0, count // 4)
    assert fleet.store().dbsize() == count
    evicted = 0
    for name in "abc":
        url = f"http://127.0.0.1:{fleet.agents[name].admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=scaled(5)) as answer:
            told = Metrics.parse(answer.read().decode())
        evicted += told.value("holdfast_agent_sessions_evicted_total")
        assert told.value("holdfast_agent_operations_refused_total") == 0
    assert evicted > count / 4
    for begin in range(0, count, 100):
        client = clients[(begin // 100) % 3]
        values = done(client, [("GET", f"sess:{i}") for i in range(begin, begin + 100)])
        for i, value in enumerate(values, begin):
            version = 2 if i < count // 4 else 1
            assert value is not None and value.startswith(b"%d:%d:" % (version, i)), i


def test_owners_write_what_they_own_when_a_peer_is_back_that_was_not_dead(fleet):
    """It may have written too, as an owner of its own."""
    a, b, store = fleet.client("a"), fleet.client("b"), fleet.store()
    for i in range(20):
        assert b.set(f"sess:{i}", f"v{i}", ex=1000)
    fleet.settled()
    with fleet.stopped("c"):
        for name in "ab":
            poll(lambda n=name: "c" not in linked(fleet, n), 20, "its silence is noticed")
        store.set("sess:7", "the other side's")
    poll(lambda: store.get("sess:7") == b"v7", 20, "the owner's is written")
    assert a.get("sess:7") == b"v7"


# --- switching by reload -----------------------------------------------------------------------------
def test_out_of_stickiness_and_back_under_load(make):
    """replicated, external, transition, replicated: no connection is closed, nothing is lost."""
    fleet = make(mode="replicated")
    client, store = fleet.client("a"), fleet.store()
    for i in range(100):
        assert client.set(f"sess:kept{i}", f"v{i}", ex=1000)
    with users(fleet) as all_users:
        work(all_users)
        for name in "abc":
            assert "mode: external, before replicated" in fleet.mode(name, "external")
            work(all_users, 10)
        assert fleet.status("a")["mode"] == "external"
        kept = [f"sess:kept{i}" for i in range(100)]
        wanted = [b"v%d" % i for i in range(100)]
        poll(lambda: store.mget(kept) == wanted, 20, "owners have written what they own")
        work(all_users)
        store.set("sess:only", "there", ex=1000)
        for name in "abc":
            assert "mode: transition" in fleet.mode(name, "transition")
            work(all_users, 10)
        assert client.get("sess:only") == b"there"
        assert client.delete("sess:kept1") == 1
        poll(lambda: store.get("sess:kept1") is None, 10, "deletes are told still")
        client.set("sess:kept2", "newer", ex=1000)
        assert store.get("sess:kept2") == b"v2"
        for name in "abc":
            assert "mode: replicated" in fleet.mode(name, "replicated")
            work(all_users, 10)
        fleet.redis.stop()
        work(all_users)
    assert [error for user in all_users for error in user.errors] == []
    assert client.get("sess:kept2") == b"newer" and client.get("sess:only") == b"there"
    assert client.get("sess:kept1") is None
    assert fleet.status("a")["mode"] == "replicated" and "store" not in fleet.status("a")


def test_what_a_reload_cannot_do_is_told(fleet):
    told = fleet.mode("a", "replicated")
    assert "mode stays external" in told and "mode: transition" in told
    told = fleet.mode("a", "external", url="redis://127.0.0.1:1/0")
    assert "mode stays external" in told and "restart" in told
    assert fleet.status("a")["mode"] == "external"
    assert "mode stays" not in fleet.mode("a", "external", write="behind")
    client, store = fleet.client("a"), fleet.store()
    assert client.set("sess:1", "v")
    poll(lambda: store.get("sess:1") == b"v", 10, "it is written behind")


def test_a_local_agent_gets_peers_and_then_a_store(make):
    """local, replicated, external, agent by agent; what each held all serve."""
    fleet = make(mode="local")
    clients = [fleet.client(name) for name in "abc"]
    for i, client in enumerate(clients):
        for j in range(50):
            assert client.set(f"sess:{i}-{j}", f"v{i}-{j}", ex=1000)
    for name in "abc":
        assert "mode: replicated, before local" in fleet.mode(name, "replicated")
    poll(lambda: all(fleet.joined(name) for name in "abc"), 15, "all are joined")
    store = fleet.store()
    for name in "abc":
        assert "mode: external, before replicated" in fleet.mode(name, "external")
    for i in range(3):
        for j in range(50):
            assert clients[(i + 1) % 3].get(f"sess:{i}-{j}") == f"v{i}-{j}".encode()
    poll(lambda: store.dbsize() == 150, 20, "all is in the store")
    fleet.kill("a")
    assert clients[1].get("sess:0-7") == b"v0-7"
    fleet.settled()
