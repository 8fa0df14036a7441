"""A campaign: users at work, one fault, and what came of it."""
import os
import random
import statistics
import threading
import time

from judge import Judge
from loop import Loop
from users import User

SEED = int(os.environ.get("CHAOS_SEED", "1"))
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
LONG = os.environ.get("CHAOS_LONG") == "1"
USERS = 1000 if LONG else 300
WARM_S = 1.0 if LONG else 0.7  # users at work before the fault
AFTER_S = 2.5 if LONG else 1.5  # and behind it
CHECK_S = 10.0  # until everything must be readable everywhere


def median(values):
    return statistics.median(values) if values else 0.0


class Campaign:
    """Of a seed: who the users are and what they do when, whom the fault meets and when. The order
    in which processes run is the machine's, so a seed makes a failure likely again, not certain."""

    def __init__(self, cluster, seed, users=USERS, kind=User, **keys):
        self.cluster, self.seed, self.random = cluster, seed, random.Random(seed)
        self.judge, self.loop = Judge(), Loop()
        self.users = [self.user(number, kind, **keys) for number in range(users)]
        self.until = float("inf")
        self.killed_at = {}
        self.events, self.failure = [], None

    def user(self, number, kind, **keys):
        made = kind(self.loop, self.judge, f"{self.seed}-{number}", self.cluster.known,
                    self.seed * 100003 + number, **keys)
        servers = sorted(self.cluster.known)
        made.server = servers[number % len(servers)]
        return made

    def note(self, what):
        """For the trace: when what was done."""
        self.events.append(f"{time.monotonic() - self.judge.started:7.3f} s {what}")

    def kill(self, name):
        self.cluster.kill(name)
        self.killed_at[name] = time.monotonic()
        self.note(f"SIGKILL {name}")

    def stop(self, name):
        self.cluster.servers[name].pause()
        self.killed_at[name] = time.monotonic()
        self.note(f"SIGSTOP {name}")

    def resume(self, name):
        self.cluster.servers[name].resume()
        self.note(f"SIGCONT {name}")

    def cut(self, *ways):
        self.cluster.net.cut(*ways)
        self.note(f"cut {' '.join('>'.join(way) for way in ways)}")

    def isolate(self, name):
        self.cluster.isolate(name)
        self.note(f"cut off {name}")

    def heal(self):
        self.cluster.net.heal()
        self.note("healed")

    def start(self, name):
        self.cluster.start(name)
        self.note(f"{name} serves")

    def victim(self):
        return self.random.choice(sorted(self.cluster.known))

    def pause(self, low, high=None):
        """Some time of the seed's between the two."""
        time.sleep(low if high is None else self.random.uniform(low, high))

    def run(self, fault, warm_s=WARM_S, after_s=AFTER_S, check_s=CHECK_S):
        """fault(campaign) runs beside the users, who have a thread of their own; it may block. (What it
        starts is ended by the kernel with the thread that started it: that must not be theirs.)"""
        thread = threading.Thread(target=self._users)
        thread.start()
        try:
            time.sleep(warm_s)
            fault(self)
            self.until = time.monotonic() + after_s
        finally:
            self.until = min(self.until, time.monotonic() + after_s)
            thread.join()
        if self.failure:
            raise self.failure
        for user in self.users:
            self.loop.spawn(user.check(check_s))
        self.loop.run()
        self.loop.close()
        return self

    def _users(self):
        for user in self.users:
            for work in user.work(lambda: self.until):
                self.loop.spawn(work)
        try:
            self.loop.run()
        except Exception as failure:  # a mistake of ours: told by run()
            self.failure = failure

    def recoveries(self, name=None):
        """ms, of each session whose request failed (at that server): from when that request began, or
        from the kill if that was later, to its data."""
        waits = []
        for user in self.users:
            for server, begun, answered in user.recoveries:
                killed = self.killed_at.get(server, 0)
                if name in (None, server):
                    waits.append((answered - (killed if begun < killed < answered else begun)) * 1000)
        return sorted(waits)

    def first_answer(self, name):
        """ms from the kill until the first session of that server was answered elsewhere."""
        answers = [answered for user in self.users for server, _, answered in user.recoveries
                   if server == name and answered > self.killed_at[name]]
        return (min(answers) - self.killed_at[name]) * 1000 if answers else None

    def told(self):
        refused = [refusal for user in self.users for refusal in user.refusals]
        lines = [f"seed {self.seed}, {self.cluster.net.kind}: {self.judge.acknowledged} writes acknowledged, "
                 f"{self.judge.reads} reads, {len(refused)} failed requests, wrong: {self.judge.kinds() or 'nothing'}"]
        waits = self.recoveries()
        if waits:
            lines.append(f"failed requests answered after {median(waits):.1f} ms median, {waits[-1]:.1f} ms at most "
                         f"({len(waits)} times)")
        for name in self.killed_at:
            first = self.first_answer(name)
            if first is not None:
                lines.append(f"first session of {name} answered {first:.1f} ms after its death")
        kinds = {}
        for refusal in refused:
            kinds[refusal] = kinds.get(refusal, 0) + 1
        lines += [f"  {count} x {refusal}" for refusal, count in sorted(kinds.items(), key=lambda e: -e[1])[:6]]
        return "\n".join([*lines, *self.events, self.judge.told()])

    def verdict(self, each=2):
        """Fails unless every promise was kept, by users who did so many writes each, on average."""
        print(self.told())
        assert not self.judge.wrong, self.told()
        assert self.judge.acknowledged > each * len(self.users), self.told()
        return self
