"""The agent before a Redis Cluster of three masters: each key is asked for where it is."""
import signal
import subprocess

import pytest
from harness import free_port, poll
from harness.child import DIES_WITH_US
from harness.redis import RedisServer, Wire
from test_agent_external import NIL, OK, Pair, answers, ask, bulk

pytestmark = pytest.mark.skipif(not RedisServer.installed(), reason="no redis-server")
SLOTS = 16384
COUNT = 200


class Node:
    def __init__(self, directory):
        self.directory, self.port, self.bus = directory, free_port(), free_port()
        directory.mkdir()

    def start(self):
        command = f"--port {self.port} --cluster-enabled yes --cluster-port {self.bus}"
        command += f" --bind 127.0.0.1 --dir {self.directory} --save  --appendonly no"
        command += " --cluster-node-timeout 2000 --cluster-require-full-coverage no"
        arguments = command.split(" ")
        self.process = subprocess.Popen(
            [*DIES_WITH_US, "redis-server", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        poll(self._ready, 10, "the node listens")
        return self

    def _ready(self):
        assert self.process.poll() is None, "the node ended"
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def ask(self, *words):
        with Wire(self.port) as wire:
            return ask(wire, *words)

    def id(self):
        return self.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()

    def keys(self):
        return int(self.ask("DBSIZE")[1:])

    def kill(self):
        self.process.kill()
        self.process.wait()


class Cluster(Pair):
    def __init__(self, directory):
        super().__init__(directory)
        self.nodes = [Node(directory / f"node{i}") for i in range(3)]
        text = self.agent.file.read_text()
        hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), self.nodes[0].port))
        url = f"redis://127.0.0.1:{self.redis.port}/3"
        assert url in text
        self.agent.file.write_text(text.replace(url, f"redis+cluster://{hosts}"))

    def start(self):
        for i, node in enumerate(self.nodes):
            node.start()
            first, last = SLOTS * i // 3, SLOTS * (i + 1) // 3 - 1
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == OK
        for node in self.nodes[1:]:
            told = node.ask(
                "CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), str(self.nodes[0].bus)
            )
            assert told == OK
        for node in self.nodes:
            poll(lambda n=node: self._joined(n), 20, "the cluster is whole")
        self.agent.start()
        poll(lambda: self.metric("store_up") == 1, 10, "the agent knows all nodes")
        return self

    @staticmethod
    def _joined(node):
        told = node.ask("CLUSTER", "INFO")
        return b"cluster_state:ok" in told and b"cluster_slots_ok:16384" in told

    def stop(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
        self.agent.stop()
        for node in self.nodes:
            node.kill()

    def fill(self, client):
        for i in range(COUNT):
            assert ask(client, "SET", f"sess:{i}", "before", "EX", "1000") == OK

    def place(self, key):
        """The key's slot and the node that has it."""
        slot = int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key)[1:])
        return slot, self.nodes[slot * 3 // SLOTS]


@pytest.fixture
def cluster(tmp_path):
    running = Cluster(tmp_path).start()
    yield running
    running.stop()


def test_keys_are_where_the_cluster_wants_them(cluster):
    with cluster.client() as client:
        cluster.fill(client)
        assert sum(node.keys() for node in cluster.nodes) == COUNT
        assert min(node.keys() for node in cluster.nodes) > 0
        for i in range(0, COUNT, 17):
            _, node = cluster.place(f"sess:{i}")
            assert node.ask("GET", f"sess:{i}") == bulk("before")
            assert node.ask("SET", f"sess:{i}", "theirs") == OK
            assert answers(client, f"sess:{i}", "theirs")
        assert ask(client, "SET", "a{tag}b", "v") == OK
        _, node = cluster.place("tag")
        assert node.ask("GET", "a{tag}b") == bulk("v")
        assert ask(client, "HSET", "spring:session:sessions:1", "a", "1") == b":1\r\n"
        assert ask(client, "DEL", "sess:0", "sess:1", "sess:2") == b":3\r\n"
        assert ask(client, "GET", "sess:1") == NIL


def test_slots_move(cluster):
    with cluster.client() as client:
        assert ask(client, "SET", "sess:1", "v") == OK
        slot, source = cluster.place("sess:1")
        target = next(node for node in cluster.nodes if node is not source)
        setslot = ("CLUSTER", "SETSLOT", str(slot))
        assert target.ask(*setslot, "IMPORTING", source.id()) == OK
        assert source.ask(*setslot, "MIGRATING", target.id()) == OK
        assert answers(client, "sess:1", "v")
        moved = source.ask("MIGRATE", "127.0.0.1", str(target.port), "sess:1", "0", "5000")
        assert moved == OK
        assert answers(client, "sess:1", "v")  # ASK
        assert ask(client, "SET", "sess:1", "w") == OK
        for node in (target, source):
            assert node.ask(*setslot, "NODE", target.id()) == OK
        assert target.ask("GET", "sess:1") == bulk("w")
        assert answers(client, "sess:1", "w")  # MOVED
        assert ask(client, "SET", "sess:1", "x") == OK
        assert target.ask("GET", "sess:1") == bulk("x")
        moved = {"result": "moved"}
        poll(lambda: cluster.metric("store_answers_total", **moved) >= 2, 5, "it was sent on")
        assert cluster.metric("store_kept_total") == 0


def test_a_node_fails_and_its_replica_takes_over(cluster, tmp_path):
    """The replica has been given all that its master had; what was written since then follows."""
    gone, replica = cluster.nodes[1], Node(tmp_path / "replica")
    replica.start()
    try:
        first = cluster.nodes[0]
        assert replica.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(first.bus)) == OK
        poll(lambda: cluster._joined(replica), 20, "the replica is of the cluster")
        poll(lambda: replica.ask("CLUSTER", "REPLICATE", gone.id()) == OK, 20, "it knows its master")
        with cluster.client() as client:
            cluster.fill(client)
            lost = [i for i in range(COUNT) if cluster.place(f"sess:{i}")[1] is gone]
            poll(lambda: replica.keys() == len(lost), 20, "it has what its master has")
            gone.kill()
            cluster.away()
            for i in range(COUNT):
                assert ask(client, "SET", f"sess:{i}", f"during{i}", "EX", "1000") == OK
                assert answers(client, f"sess:{i}", f"during{i}")
            poll(lambda: b"role:master" in replica.ask("INFO", "replication"), 30, "it takes over")
            cluster.back()
            for i in lost:
                assert replica.ask("GET", f"sess:{i}") == bulk(f"during{i}")
            assert ask(client, "SET", f"sess:{lost[0]}", "after", "EX", "1000") == OK
            assert replica.ask("GET", f"sess:{lost[0]}") == bulk("after")
            assert cluster.metric("store_lost_total") == 0
    finally:
        replica.kill()


def test_one_node_away(cluster):
    with cluster.client() as client:
        cluster.fill(client)
        gone = cluster.nodes[1]
        lost = [i for i in range(COUNT) if cluster.place(f"sess:{i}")[1] is gone]
        assert 0 < len(lost) < COUNT
        gone.kill()
        cluster.away()
        for i in range(COUNT):
            assert answers(client, f"sess:{i}", "before")
            assert ask(client, "SET", f"sess:{i}", "during", "EX", "1000") == OK
        for node in (cluster.nodes[0], cluster.nodes[2]):
            key = next(f"sess:{i}" for i in range(COUNT) if cluster.place(f"sess:{i}")[1] is node)
            assert node.ask("GET", key) == bulk("during")
        poll(lambda: cluster.metric("store_dirty_keys") == len(lost), 5, "its keys are dirty")
        gone.start()
        cluster.back()
        poll(lambda: gone.keys() == len(lost), 10, "all are put back")
        for i in lost:
            assert gone.ask("GET", f"sess:{i}") == bulk("during")
