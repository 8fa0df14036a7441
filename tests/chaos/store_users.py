"""Users who ask more of a store than a session that is there: values that end soon, two writers of one
session, counters, more sessions than there is room for."""
import time

from loop import Failed
from users import User

CLOCK_MS = 2  # deadlines are in whole milliseconds


class Fleeting(User):
    """Writes values that live 1 to 50 ms, now and then longer, while others read them at all servers.

    Nothing here depends on how quick the machine is: a value that was told before its time was over
    must be there in an answer that came before that; and what was once told to be over, or was
    overwritten, is never read again. An error says that the write is not done any more; when there was
    no answer, because the server died, it may be done yet, over the next one, which then ends early."""

    LONG_MS = 400
    DOUBT_S = 4.0  # the longest that a write may wait at an agent, and some

    def work(self, until):
        self.numbers = 0
        self.current = None  # (number, alive until) of the last write, if it was acknowledged
        self.floor = 0  # numbers up to this one are over, as somebody was told
        self.doubtful = 0.0  # until then a write without an answer may be done yet
        return [self.rewrite(until), self.watch(until), self.watch(until)]

    def rewrite(self, until):
        yield self.random.random() * self.pause_s
        while time.monotonic() < until():
            if self.servers:
                if self.server not in self.servers:
                    self.move()
                yield from self._write_once()
            yield self.random.random() * 0.06

    def _write_once(self):
        self.numbers += 1
        number, self.current = self.numbers, None
        life_ms = self.random.choice([self.random.randint(1, 50), self.random.randint(1, 50), self.LONG_MS])
        begun = time.monotonic()
        before = self.numbers - 1
        link = None
        try:
            link = self.link(self.server)
            yield from link.ask("SET", self.key, self.story.value(number, 60), "PX", str(life_ms))
        except Failed as reason:
            self.refusals.append(f"{self.server}: {reason}")
            self.story.note(f"{self.server}: not written {number} for {life_ms} ms, asked "
                            f"{(time.monotonic() - begun) * 1000:.1f} ms before: {reason}")
            if link and not link.is_open():
                self.doubtful = begun + self.DOUBT_S
            self.move()
            return
        if begun >= self.doubtful:
            self.floor = max(self.floor, before)
            self.current = (number, begun + (life_ms - CLOCK_MS) / 1000)
        self.story.judge.acknowledged += 1
        self.story.note(f"{self.server}: written {number} for {life_ms} ms")

    def watch(self, until):
        links = {}
        while time.monotonic() < until():
            yield self.random.random() * 0.03
            servers = sorted(self.servers)
            if not servers:
                continue
            server = self.random.choice(servers)
            try:
                link = links[server] = links.get(server) or self.new_link(server)
                yield from self._look(link, server)
            except Failed as reason:
                self.refusals.append(f"{server}: {reason}")
        for link in links.values():
            link.close()

    def _look(self, link, server):
        current, floor, newest = self.current, self.floor, self.numbers
        value = yield from link.ask("GET", self.key)
        now = time.monotonic()
        self.story.judge.reads += 1
        self.story.note(f"{server}: read {value and value[:30]}")
        if value is not None:
            number = int(value.split(b" ")[1])
            if self.story.value(number, 60) != value or number > self.numbers:
                self._accuse("foreign", f"reads {value[:40]!r}", server)
            elif number <= floor:
                self._accuse("undead", f"reads {number}, all up to {floor} were over", server)
            return
        if current and current[1] > now and self.numbers == newest == current[0]:
            self._accuse("missing", f"{current[0]} lives for another {(current[1] - now) * 1000:.0f} ms", server)
        if current and self.numbers == newest:
            self.floor = max(self.floor, current[0])  # an acknowledged write was over before this answer

    def _accuse(self, kind, what, server):
        self.story.judge.accuse(kind, "\n".join([f"{self.key} {what} at {server}",
                                                 *(f"    {then:.4f} {each}" for then, each in self.story.trace)]))

    def check(self, seconds):
        """All of it is over, everywhere."""
        yield (self.LONG_MS + 100) / 1000
        deadline = time.monotonic() + seconds
        for server in sorted(self.servers):
            value = b"?"
            while value is not None and time.monotonic() < deadline:
                try:
                    value = yield from self.link(server).ask("GET", self.key)
                except Failed:
                    yield 0.1
            if value is not None:
                self._accuse("undead", f"reads {value[:30]!r} at the end", server)
        self.leave()


class Rivals(User):
    """Two clients write one session at two servers at the same time, as two balancers would let them."""

    def work(self, until):
        return [self.write_on(until), self.write_on(until), self.read_on(until)]

    def write_on(self, until):
        yield from self._each(until, self.write)

    def read_on(self, until):
        yield from self._each(until, self.read)

    def _each(self, until, act):
        while time.monotonic() < until():
            yield self.random.random() * self.pause_s / 2
            servers = sorted(self.servers)
            if not servers:
                continue
            server = self.random.choice(servers)
            try:
                yield from act(server)
            except Failed as reason:
                self.refusals.append(f"{server}: {reason}")

    def link(self, server):
        """Of its own: two may ask the same server at once."""
        return OneShot(self.new_link(server))


class OneShot:
    """A link for one question."""

    def __init__(self, link):
        self.link = link

    def ask(self, *words):
        try:
            return (yield from self.link.ask(*words))
        finally:
            self.link.close()


class Counters(Rivals):
    """Two clients count in one session at two servers: no count that was acknowledged is lost."""

    def work(self, until):
        self.least = self.most = 0  # what was acknowledged; and what may have happened
        return [self._each(until, self.count), self._each(until, self.count)]

    def count(self, server):
        self.most += 1
        least = self.least
        value = yield from self.link(server).ask("HINCRBY", self.key, "n", "1")
        self.least += 1
        self.story.judge.acknowledged += 1
        self.story.note(f"{server}: counted {value}")
        self._judge(value, least + 1, server)

    def _judge(self, value, least, server):
        self.story.judge.reads += 1
        if not least <= value <= self.most:
            self.story.judge.accuse("lost" if value < least else "twice", "\n".join(
                [f"{self.key} counts {value} at {server}, {least} to {self.most} were told",
                 *(f"    {then:.4f} {each}" for then, each in self.story.trace)]))

    def check(self, seconds):
        deadline = time.monotonic() + seconds
        for server in sorted(self.servers):
            value = None
            while value is None:
                try:
                    value = yield from self.link(server).ask("HGET", self.key, "n")
                    self._judge(int(value or 0), self.least, server)
                    break
                except Failed as reason:
                    if time.monotonic() > deadline:
                        self.story.judge.accuse("unanswered", f"{self.key} at {server}: {reason}")
                        break
                    yield 0.1


class Hoarder(User):
    """Begins one large session after the other, whether there is room or not, and looks at those that
    were taken. `may_go`: the store may drop them, though it may not say an older value."""

    may_go = False

    def work(self, until):
        self.taken, self.turned_away = {}, 0
        return [self.hoard(until)]

    def hoard(self, until):
        number = 0
        while time.monotonic() < until():
            number += 1
            story = self.story.judge.story(f"{self.story.session}.{number}")
            yield from self._store(story)
            if self.taken and self.random.random() < 0.3:
                yield from self._look(self.random.choice(list(self.taken)), self.server)
            yield self.random.random() * 0.02

    def _store(self, story):
        number = story.begin_write(self.server)
        try:
            value = story.value(number, self.size)
            yield from self.link(self.server).ask("SETEX", f"sess:{story.session}", "1800", value)
        except Failed as reason:
            story.fail_write(number, reason)
            self._refused(reason)
            return
        story.end_write(number)
        self.taken[story.session] = story

    def _refused(self, reason):
        self.refusals.append(str(reason))
        self.turned_away += str(reason).startswith("OOM")

    def _look(self, session, server):
        story = self.taken[session]
        asked = story.begin_read()
        value = yield from self.link(server).ask("GET", f"sess:{session}")
        if value is not None or not self.may_go:
            story.end_read(asked, value, server)

    def check(self, seconds):
        """What was taken is there, where it was; then it goes, and there is room again."""
        for session in list(self.taken):
            yield from self._look(session, self.server)
            yield from self.link(self.server).ask("DEL", f"sess:{session}")
        self.leave()


class Forgetful(Hoarder):
    may_go = True
