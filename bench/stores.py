"""The session stores that bench/run compares: an agent beside redis-server, one process asked by 50
clients with sessions of 1 KB, the other one holding the copies.

CPU is that of the process that is asked. Redis' SET does not wait for its replica, the agent's does;
what waits in Redis is SETEX and WAIT 1. An agent's answer to a SET says that a copy is elsewhere, so
the time until a write has propagated is less than the time of its answer.
"""
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time

from proxies import BenchError

START_S_MAX = 15
PORTS_AFTER = 300  # from the base port on
KEYS = 10000
SLICE_MS = 100  # a turn of one store
MEMORY_SESSIONS = 1000000
KEY_BYTES, VALUE_BYTES = 37, 1000


def wait_for(what, check):
    deadline = time.monotonic() + START_S_MAX
    while not check():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} did not come true within {START_S_MAX} s")
        time.sleep(0.02)


def command(port, *words):
    """One command, its answer's first bytes."""
    request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request.encode())
            return connection.recv(65536)
    except OSError:
        return b""


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} has no memory")


def run_clients(options, arguments):
    """What bench-sessions measured, store by store."""
    done = subprocess.run(
        [str(word) for word in (options.build / "bench" / "bench-sessions", "--value", VALUE_BYTES, *arguments)],
        capture_output=True, text=True, timeout=600,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.load_core}))
    if done.returncode != 0:
        raise BenchError(f"sessions: {done.stderr.strip() or done.stdout.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


class Pair:
    """The process that is asked and the one that holds copies; ends what it started."""

    def __init__(self, options, port, replicated):
        self.options, self.port, self.replicated = options, port, replicated
        self.folder = options.directory / type(self).__name__.lower()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.children = []

    def spawn(self, name, *words, core=None):
        with open(self.folder / f"{name}.log", "wb") as log:
            self.children.append(subprocess.Popen(
                [str(word) for word in words], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                preexec_fn=lambda: os.sched_setaffinity(0, {core})))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.send_signal(signal.SIGKILL)
            child.wait()

    def asked(self, *arguments):
        """The options of bench-sessions that ask this one."""
        return ["--port", self.port, "--cpu-of", self.children[0].pid, *arguments]

    def load(self, *arguments):
        return run_clients(self.options, self.asked(*arguments))[0]


class Redis(Pair):
    wait_operation = "set-wait"

    def start(self):
        plain = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        self.spawn("primary", *plain, "--port", self.port, core=self.options.proxy_core)
        if self.replicated:
            self.spawn("replica", *plain, "--port", self.port + 1, "--replicaof", f"127.0.0.1 {self.port}",
                       core=self.options.load_core)
        wait_for("redis-server", lambda: command(self.port, "PING") == b"+PONG\r\n")
        if self.replicated:
            wait_for("the replica", lambda: b"state=online" in command(self.port, "INFO", "replication"))


class Agent(Pair):
    wait_operation = "set"

    def start(self):
        names = ["app1", "app2"] if self.replicated else ["app1"]
        peers = {name: f"127.0.0.1:{self.port + 10 + place}" for place, name in enumerate(names)}
        copies = {"peers": peers, "mode": "replicated", "backups": 1} if self.replicated else {"mode": "local"}
        for place, name in enumerate(names):
            agent = {"redis": f"127.0.0.1:{self.port + place}", "memory": "4GiB", **copies}
            if self.replicated:
                agent["peer"] = peers[name]
            config = self.folder / f"{name}.yaml"
            config.write_text(json.dumps({"node": name, "state_dir": str(self.folder / name), "agent": agent}, indent=1))
            self.spawn(name, self.options.holdfast, "agent", "-c", config,
                       core=self.options.load_core if place else self.options.proxy_core)
        wait_for("the agent", lambda: command(self.port, "SETEX", "sess:probe", "60", "x") == b"+OK\r\n")


STORES = {"agent": Agent, "redis": Redis}


def one_round(options, pairs, arguments_of):
    """{"agent": result, "redis": result}: the pairs take turns of SLICE_MS, the first of them first."""
    arguments = ["--keys", KEYS, "--warmup-ms", 500, "--duration-ms", round(options.seconds * 1000),
                 "--slice-ms", SLICE_MS]
    for place, pair in enumerate(pairs.values()):
        arguments += ["--next"] * (place > 0) + pair.asked(*arguments_of(pair))
    return dict(zip(pairs, run_clients(options, arguments)))


def rounds_of(options, title, replicated, arguments_of):
    """[{"agent": result, "redis": result}]: each store started anew, asked in turns."""
    rounds = []
    pairs = {}
    for place, (name, kind) in enumerate(STORES.items()):
        pairs[name] = kind(options, options.base_port + PORTS_AFTER + 20 * place, replicated)
    with pairs["agent"], pairs["redis"]:
        for pair in pairs.values():
            pair.load("--once", "--operation", "set", "--keys", KEYS)
        for number in range(options.rounds):
            order = list(pairs) if number % 2 else list(pairs)[::-1]
            rounds.append(one_round(options, {name: pairs[name] for name in order}, arguments_of))
            print(f"  {title}: round {number + 1} of {options.rounds}", flush=True)
    return rounds


def ratio(rounds, figure):
    """The median of the rounds' ratios: what disturbs one round disturbs both in it."""
    return round(statistics.median(figure(r["agent"]) / figure(r["redis"]) for r in rounds), 3)


def medians(rounds, figure):
    return {name: round(statistics.median(figure(r[name]) for r in rounds), 3) for name in STORES}


def memory(options):
    """Bytes beside key and value of each of a million sessions, at the process that is asked."""
    each = {}
    for place, (name, kind) in enumerate(STORES.items()):
        with kind(options, options.base_port + PORTS_AFTER + 20 * place, True) as pair:
            before = resident(pair.children[0].pid)
            pair.load("--once", "--operation", "set", "--keys", MEMORY_SESSIONS)
            grown = resident(pair.children[0].pid) - before
            each[name] = round(grown / MEMORY_SESSIONS - KEY_BYTES - VALUE_BYTES, 1)
    return each


def measure(options):
    cpu = lambda r: r["cpu_us"]
    p50, p99 = (lambda r: r["latency_us"]["p50"]), (lambda r: r["latency_us"]["p99"])
    get = rounds_of(options, "session GET", True, lambda pair: ["--operation", "get"])
    put = rounds_of(options, "session SET", True, lambda pair: ["--operation", "set"])
    kept = rounds_of(options, "session SET with a copy", True, lambda pair: ["--operation", pair.wait_operation])
    calm = rounds_of(options, "the same, one client", True,
                     lambda pair: ["--clients", 1, "--operation", pair.wait_operation])
    part = {"get": get, "set": put, "kept": kept, "calm": calm, "memory": memory(options)}
    part["rows"] = {
        "GET, CPU us": medians(get, cpu), "SET, CPU us": medians(put, cpu),
        "SET with a copy, p50 us": medians(kept, p50), "SET with a copy, p99 us": medians(kept, p99),
        "one client: SET with a copy, p50 us": medians(calm, p50),
        "one client: SET with a copy, p99 us": medians(calm, p99),
        "bytes beside key and value": part["memory"]}
    part["ratios"] = {
        "agent GET, CPU / Redis's": ratio(get, cpu), "agent SET with a copy, CPU / Redis's SET": ratio(put, cpu),
        "SET with a copy, p50 / SETEX + WAIT": ratio(kept, p50), "SET with a copy, p99 / SETEX + WAIT": ratio(kept, p99),
        "propagation under load, p99 us": medians(kept, p99)["agent"],
        "one client, p50 / SETEX + WAIT": ratio(calm, p50), "one client, p99 / SETEX + WAIT": ratio(calm, p99),
        "agent, bytes beside key and value": part["memory"]["agent"]}
    return part
