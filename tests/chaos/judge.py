"""What stores promised to their users, and every answer that breaks a promise.

Of each session the judge knows every value that was ever written, when that write began and when it
was acknowledged, if it was. A value is out of date when its write had ended before another one began
which was acknowledged, or read by anybody, before the question was asked (Herlihy and Wing 1990: the
order that everybody can see). A write without an answer, or answered by an error, may have happened;
if it comes to light after a later one that was acknowledged, that one is lost all the same.

  stale    an older value than was acknowledged, or read by anybody
  late     a write that failed came back over an acknowledged one
  missing  no value, though there is one: the user is logged out
  foreign  another session's value, or one that nobody wrote
  undead   a value after a delete that was acknowledged, or after its time
"""
import collections
import time
import zlib

NEVER = float("inf")
TRACED = 30  # of a session, the last things that happened
TOLD = 10  # accusations told in full


def encode(session, number, size):
    """A value that tells whose it is and the how manieth, and whether it is whole."""
    body = b"%s %d " % (session.encode(), number)
    body += b"x" * (size - len(body))
    return body + b" %08x" % zlib.crc32(body)


def decode(session, value):
    """The number; None when it is no value of that session."""
    body, _, check = value.rpartition(b" ")
    words = body.split(b" ", 2)
    if b"%08x" % zlib.crc32(body) != check or len(words) < 3 or words[0] != session.encode():
        return None
    return int(words[1])


class _Write:
    __slots__ = ("begun", "ended", "acknowledged")

    def __init__(self, begun):
        self.begun, self.ended, self.acknowledged = begun, NEVER, False


class Story:
    """One session. Numbers of writes begin with 1, in the order in which they were begun."""

    def __init__(self, judge, session):
        self.judge, self.session = judge, session
        self.writes = {}
        self.count = 0
        self.trace = collections.deque(maxlen=TRACED)
        self.known = 0  # the acknowledged or read write that began last
        self.dying = False  # somebody began to delete it
        self.dead_since = NEVER  # when that was acknowledged

    def value(self, number, size):
        return encode(self.session, number, size)

    def note(self, what):
        self.trace.append((time.monotonic(), what))

    def begin_write(self, where):
        self.count += 1
        self.note(f"{where}: write {self.count}")
        self.writes[self.count] = _Write(time.monotonic())
        return self.count

    def end_write(self, number):
        """It was acknowledged."""
        write = self.writes[number]
        self.note(f"written {number}")
        write.ended, write.acknowledged = time.monotonic(), True
        self._learn(number)
        self.judge.acknowledged += 1

    def fail_write(self, number, why):
        """An error, or no answer: its writer gave up, and would not know it from one that was lost."""
        self.note(f"failed {number}: {why}")
        self.writes[number].ended = time.monotonic()

    def begin_read(self):
        """What end_read needs to know of the past."""
        return time.monotonic(), self.known

    def end_read(self, asked, value, where):
        """`value`: bytes or None. True when it is as promised."""
        begun, known = asked
        self.judge.reads += 1
        dead = self.dead_since < begun
        self.note(f"{where}: read {value[:20] if value else None}, asked {(time.monotonic() - begun) * 1000:.1f} ms before")
        if value is None:
            return self.dying or not known or \
                self._accuse("missing", f"has no value, {known} was promised", where)
        number = decode(self.session, value)
        if number is None or number not in self.writes:
            return self._accuse("foreign", f"reads {value[:40]!r}", where)
        if dead:
            return self._accuse("undead", f"reads {number} after its delete", where)
        if known and self.writes[number].ended < self.writes[known].begun:
            kind = "stale" if self.writes[number].acknowledged else "late"
            return self._accuse(kind, f"reads {number}, {known} was promised", where)
        self._learn(number)
        return True

    def begin_delete(self, where):
        self.note(f"{where}: delete")
        self.dying = True

    def end_delete(self, known, deleted, where):
        """It was acknowledged: nobody reads anything from now on. known: when it was asked for.
        deleted: how many there were; where there was nothing a slow write may make a session yet."""
        self.note(f"deleted {deleted}")
        if deleted:
            self.dead_since = time.monotonic()
        elif known:
            self._accuse("missing", f"has nothing to delete, {known} was promised", where)

    def _learn(self, number):
        if not self.known or self.writes[number].begun > self.writes[self.known].begun:
            self.known = number

    def _accuse(self, kind, what, where):
        started = self.judge.started
        story = [f"    {then - started:8.4f} s {each}" for then, each in self.trace]
        self.judge.accuse(kind, "\n".join([f"{self.session} {what} at {where}", *story]))
        return False


class Judge:
    """Everything that must not have happened, of all sessions."""

    def __init__(self):
        self.started = time.monotonic()
        self.wrong = []
        self.acknowledged = self.reads = 0

    def story(self, session):
        return Story(self, session)

    def accuse(self, kind, text):
        self.wrong.append((kind, text))

    def kinds(self):
        """{kind: how often}"""
        found = {}
        for kind, _ in self.wrong:
            found[kind] = found.get(kind, 0) + 1
        return found

    def told(self):
        return "\n".join(f"{kind}: {text}" for kind, text in self.wrong[:TOLD])
