"""Agents that hold copies of each other's sessions, each a process of its own."""
import contextlib
import itertools
import signal

import redis

from .agent import Agent
from .clock import poll, scaled
from .ports import free_port


class Scattered(redis.Redis):
    """A client whose commands go to several servers in turns, those of a pipeline to the first."""

    def __init__(self, ports):
        super().__init__(port=ports[0], socket_timeout=scaled(10))
        self.others = [redis.Redis(port=port, socket_timeout=scaled(10)) for port in ports[1:]]
        self.turns = itertools.cycle([super().execute_command, *(o.execute_command for o in self.others)])

    def execute_command(self, *words, **options):
        return next(self.turns)(*words, **options)

    def close(self):
        super().close()
        for other in getattr(self, "others", ()):
            other.close()


class Agents:
    """Agents of one list of peers, called a, b, c, ... or as `names` says. start() waits until all
    serve and are linked."""

    kind = "agent"

    def __init__(self, directory, count=3, own=None, names=None, **keys):
        """own: further keys of one agent, by its name."""
        self.names = list(names or map(chr, range(ord("a"), ord("a") + count)))
        self.peers = {name: f"127.0.0.1:{free_port()}" for name in self.names}
        self.agents, self.clients, self.left = {}, {}, set()
        for name in self.names:
            mine = {"mode": "replicated", "peer": self.peers[name], "peers": self.peers}
            self.agents[name] = Agent(
                directory / name, node=name, **{**mine, **keys, **(own or {}).get(name, {})}
            )

    @property
    def port(self):
        return self.agents[self.names[0]].port

    def scattered(self):
        return Scattered([self.agents[name].port for name in self.names])

    def start(self, *names):
        for name in names or self.names:
            self.agents[name].spawn()
        for name in names or self.names:
            self.agents[name].ready()
            self.left.discard(name)
        poll(lambda: all(self.joined(name) for name in self.alive()), 15, "all agents are joined")
        return self

    def alive(self):
        started = [name for name in self.names if self.agents[name].process is not None]
        return [name for name in started if name not in self.left]

    def status(self, name):
        return self.agents[name].status()

    def joined(self, name):
        try:
            told = self.status(name)["replication"]
        except OSError:
            return False  # its admin side does not listen yet
        linked = {peer["name"] for peer in told["peers"] if peer["linked"]}
        return told["ready"] and told["complete"] and linked == set(self.alive()) - {name}

    def client(self, name, **keys):
        """A client of its own connection; the one of a name is kept."""
        made = redis.Redis(
            port=self.agents[name].port, socket_timeout=scaled(10), single_connection_client=True, **keys
        )
        self.clients.setdefault(name, []).append(made)
        return made

    @contextlib.contextmanager
    def stopped(self, name):
        """As dead, but its connections stay; goes on in the end, and joins again."""
        self.agents[name].process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.agents[name].process.send_signal(signal.SIGCONT)
        poll(lambda: all(self.joined(name) for name in self.alive()), 15, "all are joined again")

    def kill(self, name):
        self.left.add(name)
        self.agents[name].kill()

    def leave(self, name):
        """A planned end: what the agent owns is handed over."""
        self.left.add(name)
        self.agents[name].stop()

    def stop(self):
        for clients in self.clients.values():
            for client in clients:
                with contextlib.suppress(redis.RedisError):
                    client.close()
        ended = [self.agents[name] for name in self.alive()]
        failures = []
        for agent in ended:
            try:
                agent.stop()
            except AssertionError as failure:
                failures.append(failure)
        assert not failures, failures
