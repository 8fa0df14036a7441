"""The agent before a Redis that sentinels watch: it goes where the master is."""
import signal
import subprocess

import pytest
from harness import free_port, poll
from harness.child import DIES_WITH_US
from harness.redis import RedisServer, Wire
from test_agent_external import OK, Pair, answers, ask, bulk

pytestmark = pytest.mark.skipif(not RedisServer.installed(), reason="no redis-server")


class Sentinel:
    def __init__(self, directory, master):
        directory.mkdir()
        self.port = free_port()
        self.file = directory / "sentinel.conf"
        self.file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 2\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 2000\n"
        )

    def start(self):
        command = [*DIES_WITH_US, "redis-server", str(self.file), "--sentinel"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        poll(self._ready, 10, "the sentinel listens")
        return self

    def _ready(self):
        assert self.process.poll() is None, "the sentinel ended"
        try:
            with Wire(self.port) as wire:
                return wire.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def knows(self):
        """It has found the replica and the other sentinel."""
        with Wire(self.port) as wire:
            told = ask(wire, "SENTINEL", "MASTER", "main")
        return b"num-slaves\r\n$1\r\n1" in told and b"num-other-sentinels\r\n$1\r\n1" in told

    def master(self):
        with Wire(self.port) as wire:
            told = ask(wire, "SENTINEL", "get-master-addr-by-name", "main")
        return int(told.split(b"\r\n")[-2])

    def stop(self):
        self.process.kill()
        self.process.wait()


class Watched(Pair):
    def __init__(self, directory):
        super().__init__(directory)
        self.replica = RedisServer(directory / "replica")
        self.sentinels = [Sentinel(directory / f"sentinel{i}", self.redis) for i in range(2)]
        nobody = free_port()
        hosts = ",".join(f"127.0.0.1:{port}" for port in (nobody, *(s.port for s in self.sentinels)))
        text = self.agent.file.read_text()
        url = f"redis://127.0.0.1:{self.redis.port}/3"
        assert url in text
        self.agent.file.write_text(text.replace(url, f"redis+sentinel://{hosts}/main/3"))

    def start(self):
        self.redis.start()
        self.replica.start()
        with Wire(self.replica.port) as wire:
            assert ask(wire, "REPLICAOF", "127.0.0.1", str(self.redis.port)) == OK
            poll(lambda: b"master_link_status:up" in ask(wire, "INFO"), 20, "the replica follows")
        for sentinel in self.sentinels:
            sentinel.start()
        for sentinel in self.sentinels:
            poll(sentinel.knows, 20, "the sentinels know each other")
        self.agent.start()
        poll(lambda: self.metric("store_connections_total") >= 1, 10, "the agent finds the master")
        return self

    def stop(self):
        super().stop()
        self.replica.stop()
        for sentinel in self.sentinels:
            sentinel.stop()


@pytest.fixture
def watched(tmp_path):
    running = Watched(tmp_path).start()
    yield running
    running.stop()


def test_it_follows_the_master(watched):
    with watched.client() as client, watched.store() as store:
        for i in range(100):
            assert ask(client, "SET", f"sess:{i}", "before", "EX", "1000") == OK
        assert ask(store, "DBSIZE") == b":100\r\n"
        watched.redis.process.send_signal(signal.SIGKILL)
        watched.away()
        assert answers(client, "sess:7", "before")
        assert ask(client, "SET", "sess:7", "during", "EX", "1000") == OK
        poll(lambda: watched.sentinels[0].master() == watched.replica.port, 40, "another is master")
        poll(lambda: watched.metric("store_up") == 1, 20, "the agent is with it")
        watched.back()
        with Wire(watched.replica.port) as new:
            assert ask(new, "SELECT", "3") == OK
            poll(lambda: ask(new, "DBSIZE") == b":100\r\n", 10, "all are there")
            assert ask(new, "GET", "sess:7") == bulk("during")
            assert ask(new, "GET", "sess:8") == bulk("before")
            assert ask(client, "SET", "sess:8", "after") == OK
            assert ask(new, "GET", "sess:8") == bulk("after")


def test_a_master_that_is_one_no_more_is_left(watched):
    with watched.client() as client:
        assert ask(client, "SET", "sess:1", "before") == OK
        with Wire(watched.sentinels[0].port) as wire:
            assert ask(wire, "SENTINEL", "FAILOVER", "main") == OK
        poll(lambda: watched.sentinels[0].master() == watched.replica.port, 40, "it has moved")

        def reaches_it():
            assert ask(client, "SET", "sess:1", "after") == OK
            with Wire(watched.replica.port) as new:
                assert ask(new, "SELECT", "3") == OK
                return ask(new, "GET", "sess:1") == bulk("after")

        poll(reaches_it, 20, "writes go to the new master")
