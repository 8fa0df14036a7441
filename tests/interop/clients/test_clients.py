"""ioredis and node-redis, in the majors that are in use: suites of ours against an agent, against
agents that hold copies for each other, and against a real redis-server, which checks the suites.

The cases are JavaScript (ioredis.js, node_redis.js) and run in one process a library (runner.js);
each is a test here, and a case that hangs costs that process alone.
"""
import json
import queue
import re
import subprocess
import threading
from pathlib import Path

import pytest
from harness import scaled
from harness.agent import Agent
from harness.agents import Agents
from harness.child import DIES_WITH_US
from harness.redis import RedisServer

HERE = Path(__file__).parent
LIBRARIES = {"ioredis-5": "ioredis", "ioredis-6": "ioredis", "redis-5": "node_redis", "redis-6": "node_redis"}
NODE_OF_MAJOR_6 = 20  # the first Node.js that ioredis 6 and node-redis 6 run on
PASSWORD = "correct-horse"
CASE_SECONDS = 40


class Alone:
    """One store, and one more that wants a password and listens at a unix socket."""

    def __init__(self, kind, directory, make):
        self.kind = kind
        self.open, self.guarded = make(directory / "open"), make(directory / "guarded", password=PASSWORD, unix=True)

    def start(self):
        self.open.start()
        self.guarded.start()
        return self

    def addresses(self):
        return [self.open.port]

    def socket(self):
        return self.guarded.unix

    def kill(self, number):
        self.open.process.kill()
        self.open.process.wait()

    def revive(self, number):
        self.open.start()

    def stop(self):
        self.open.stop()
        self.guarded.stop()


class Three:
    """Agents a, b and c; c wants a password and listens at a unix socket."""

    kind = "agents"

    def __init__(self, directory):
        self.agents = Agents(directory, own={"c": {"password": PASSWORD, "unix": True}})

    def start(self):
        self.agents.start()
        return self

    def addresses(self):
        return [self.agents.agents[name].port for name in "ab"]

    def socket(self):
        return self.agents.agents["c"].unix

    def kill(self, number):
        self.agents.kill("ab"[number])

    def revive(self, number):
        self.agents.start("ab"[number])

    def stop(self):
        self.agents.stop()


STORES = {
    "redis": lambda directory: Alone("redis", directory, RedisServer),
    "agent": lambda directory: Alone("agent", directory, Agent),
    "agents": Three,
}


class Program:
    """A suite as a process: one library, told by lines what to run."""

    def __init__(self, library, store, log):
        self.library, self.store = library, store
        with open(log, "ab") as err:
            self.process = subprocess.Popen(
                [*DIES_WITH_US, "node", "runner.js", LIBRARIES[library], library], cwd=HERE,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, said):
        for line in said:
            self.lines.put(json.loads(line))
        self.lines.put({"failed": "the program ended"})

    def _say(self, **told):
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()

    def run(self, case):
        """{"failed" or "skipped": why}, if it was so."""
        self._say(case=case, kind=self.store.kind, servers=[{"port": port} for port in self.store.addresses()],
                  guarded={"path": self.store.socket(), "password": PASSWORD})
        dead = set()
        try:
            while True:
                told = self.lines.get(timeout=scaled(CASE_SECONDS))
                if "do" not in told:
                    return told
                self._order(told["do"], told["server"], dead)
                self._say(done=True)
        except queue.Empty:
            return {"failed": f"hung: not done within {scaled(CASE_SECONDS):.0f} s"}
        finally:
            for number in dead:  # the case failed before it had it started again
                self.store.revive(number)

    def _order(self, what, number, dead):
        if what == "kill":
            self.store.kill(number)
            dead.add(number)
        else:
            self.store.revive(number)
            dead.remove(number)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


def cases_of(suite):
    listed = subprocess.run(["node", "runner.js", "--list", suite], cwd=HERE, check=True, capture_output=True,
                            text=True, timeout=scaled(30))
    return json.loads(listed.stdout)


def pytest_generate_tests(metafunc):
    cases = {suite: cases_of(suite) for suite in sorted(set(LIBRARIES.values()))}
    rows = [(store, library, case) for store in STORES for library, suite in LIBRARIES.items()
            for case in cases[suite]]
    ids = [f"{store}-{library}-{case}" for store, library, case in rows]
    metafunc.parametrize("store, library, case", rows, ids=ids, indirect=["store", "library"], scope="module")


@pytest.fixture(scope="module")
def store(request, tmp_path_factory):
    running = STORES[request.param](tmp_path_factory.mktemp(request.param)).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def node_major():
    told = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True, timeout=scaled(30))
    return int(re.match(r"v(\d+)", told.stdout).group(1))


@pytest.fixture(scope="module")
def library(request, clients_installed, node_major):
    if request.param.endswith("-6") and node_major < NODE_OF_MAJOR_6:
        pytest.skip(f"{request.param} needs Node.js {NODE_OF_MAJOR_6}")
    return request.param


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """{(library, kind of store): its program}; one that hung or ended is started anew."""
    made = {}
    yield made
    for program in made.values():
        program.stop()


def test_client(store, library, case, programs, tmp_path_factory):
    key = (library, store.kind)
    if key not in programs:
        programs[key] = Program(library, store, tmp_path_factory.getbasetemp() / f"{library}.log")
    told = programs[key].run(case)
    if "failed" in told:
        programs.pop(key).stop()
        pytest.fail(told["failed"], pytrace=False)
    if "skipped" in told:
        pytest.skip(told["skipped"])
