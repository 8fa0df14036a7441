"""Users of sessions, and the requests of theirs that an application would make of a store.

A user stays with one server until that fails, as behind a sticky balancer. Each request reads the
session at its beginning and writes it at its end.
"""
import random
import time

from loop import Failed, Link

PAUSE_S = 0.3  # between a user's requests, on average
AGAIN_S = 0.005  # behind a failure
TTL_S = "1800"


class User:
    """One session's only writer. servers: {name: path of its store}, those that are thought to be
    alive; shared, changed by who kills."""

    def __init__(self, loop, judge, session, servers, seed, size=200, wait=None, patience_s=3.0):
        self.loop, self.servers, self.size, self.wait = loop, servers, size, wait
        self.patience_s = patience_s  # then the server has failed
        self.story = judge.story(session)
        self.random = random.Random(seed)
        self.key = f"sess:{session}"
        self.server, self.links = None, {}
        self.pause_s = PAUSE_S
        self.failing = None  # (when its request began, the server that failed it)
        self.recoveries = []  # (server that failed, when the request began, when it was answered)
        self.refusals = []

    def link(self, server):
        """Raises Failed when that server is known to be dead and was never spoken to."""
        if server not in self.links:
            self.links[server] = self.new_link(server)
        return self.links[server]

    def new_link(self, server):
        path = self.servers.get(server)
        if path is None:
            raise Failed("known to be dead")
        return Link(self.loop, path, self.patience_s)

    def move(self):
        """To another server, if there is one that is thought to be alive."""
        others = sorted(name for name in self.servers if name != self.server) or sorted(self.servers)
        if others:
            self.server = self.random.choice(others)

    def write(self, server):
        number = self.story.begin_write(server)
        try:
            link = self.link(server)
            answer = yield from link.ask("SETEX", self.key, TTL_S, self.story.value(number, self.size))
            if answer != "OK":
                raise Failed(f"SETEX answers {answer!r}")
            if self.wait:
                yield from self.wait(link)
        except Failed as reason:
            self.story.fail_write(number, reason)
            raise
        self.story.end_write(number)

    def read(self, server):
        """True when what was read is as promised."""
        asked = self.story.begin_read()
        value = yield from self.link(server).ask("GET", self.key)
        return self.story.end_read(asked, value, server)

    def work(self, until):
        """Generators of what the user does at the same time. until(): the time at which to end."""
        return [self.live(until)]

    def live(self, until):
        yield self.random.random() * self.pause_s
        while time.monotonic() < until():
            if self.server not in self.servers:
                self.failing = self.failing or (time.monotonic(), self.server)
                self.move()
            if self.server not in self.servers:
                yield AGAIN_S
                continue
            begun = time.monotonic()
            try:
                yield from self.read(self.server)
                self._answered()
                yield from self.write(self.server)
                yield self.random.random() * 2 * self.pause_s
                self.next()
            except Failed as reason:
                self.refusals.append(f"{self.server}: {reason}")
                self.failing = self.failing or (begun, self.server)
                self.move()
                yield AGAIN_S

    def next(self):
        """Before another request: where it will be made."""

    def _answered(self):
        if self.failing:
            begun, server = self.failing
            self.recoveries.append((server, begun, time.monotonic()))
            self.failing = None

    def check(self, seconds):
        """At the end, when nothing fails any more: what was promised is there, at every server."""
        deadline = time.monotonic() + seconds
        for server in sorted(self.servers):
            while True:
                try:
                    yield from self.read(server)
                    break
                except Failed as reason:
                    if time.monotonic() > deadline:
                        self.story.judge.accuse("unanswered", f"{self.story.session} at {server}: {reason}")
                        break
                    yield 0.1
        self.leave()

    def leave(self):
        for link in self.links.values():
            link.close()


class Bouncer(User):
    """Its requests come in turns at two servers; meanwhile others read the session at all of them."""

    def __init__(self, *arguments, **keys):
        super().__init__(*arguments, **keys)
        self.pause_s = PAUSE_S / 2

    def next(self):
        self.move()

    def work(self, until):
        return [self.live(until), self.watch(until)]

    def watch(self, until):
        links = {}
        while time.monotonic() < until():
            yield self.random.random() * 2 * self.pause_s
            servers = sorted(self.servers)
            if not servers:
                continue
            server = self.random.choice(servers)
            asked = self.story.begin_read()
            try:
                link = links[server] = links.get(server) or self.new_link(server)
                self.story.end_read(asked, (yield from link.ask("GET", self.key)), server)
            except Failed as reason:
                self.refusals.append(f"{server}: {reason}")
        for link in links.values():
            link.close()


class Leaver(User):
    """Works a while, then logs out while a slow request of its own is under way at another server;
    from when the logout was acknowledged nobody reads anything. Then it begins anew, as another
    session."""

    def work(self, until):
        return [self.generations(until)]

    def generations(self, until):
        judge, name, number = self.story.judge, self.story.session, 0
        while time.monotonic() < until():
            number += 1
            self.story, self.key = judge.story(f"{name}.{number}"), f"sess:{name}.{number}"
            end = time.monotonic() + self.random.uniform(0.1, 0.5)
            yield from self.live(lambda end=end: min(end, until()))
            yield from self.log_out()

    def log_out(self):
        slow = self.random.choice(sorted(self.servers) or [self.server])
        try:
            if self.story.count:
                yield from self.read(slow)
                self.loop.spawn(self.write_late(slow, self.random.random() * 0.02))
            yield self.random.random() * 0.02
            self.story.begin_delete(self.server)
            known = self.story.known
            deleted = yield from self.link(self.server).ask("DEL", self.key)
            self.story.end_delete(known, deleted, self.server)
            for server in sorted(self.servers):
                yield from self.read(server)
        except Failed as reason:
            self.refusals.append(f"{self.server}: logout: {reason}")

    def write_late(self, server, delay_s):
        """Whether it is kept does not matter, unless somebody reads it."""
        story, key = self.story, self.key
        yield delay_s
        number = story.begin_write(server)
        try:
            link = self.new_link(server)
            yield from link.ask("SETEX", key, TTL_S, story.value(number, self.size))
            link.close()
            story.note(f"written {number}, too late")
        except Failed as reason:
            story.note(f"failed {number}, too late: {reason}")


def waits_for(copies):
    """For redis-server, whose writes do not wait for its replicas by themselves."""

    def wait(link):
        held = yield from link.ask("WAIT", str(copies), "1000")
        if held < copies:
            raise Failed(f"{held} copies")

    return wait
