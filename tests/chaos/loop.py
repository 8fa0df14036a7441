"""Many clients of stores in one thread: each is a generator that yields what it waits for.

`yield SECONDS` pauses; `yield from link.ask(...)` sends one command of the Redis protocol and gives
its answer. Written for little time a command, so that what is measured is the store.
"""
import errno
import heapq
import itertools
import select
import socket
import time

ANSWER_SECONDS_MAX = 3.0  # then the store has failed for this client


class Failed(Exception):
    """No answer, or an error: whether a write happened is not known."""


class _Task:
    def __init__(self, generator):
        self.generator, self.turn, self.waits_for = generator, 0, None


class Loop:
    """Runs clients until all of them are done."""

    def __init__(self):
        self.poller = select.epoll()
        self.links = {}  # by descriptor: those that are open
        self.timers, self.order, self.tasks = [], itertools.count(), 0

    def spawn(self, generator):
        self.tasks += 1
        self._step(_Task(generator))

    def run(self):
        while self.tasks:
            for number, _ in self.poller.poll(self._patience(), 256):
                link = self.links.get(number)
                if link:
                    link.readable()
            self._expire()

    def close(self):
        self.poller.close()

    def _patience(self):
        return max(0.0, min(1.0, self.timers[0][0] - time.monotonic())) if self.timers else 1.0

    def _expire(self):
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, task, turn = heapq.heappop(self.timers)
            if task.turn != turn:
                continue  # it went on before
            link, task.waits_for = task.waits_for, None
            if link:
                link.task = None
                self._step(task, error=Failed(f"no answer in {link.patience_s} s"))
            else:
                self._step(task)

    def _step(self, task, value=None, error=None):
        task.turn += 1
        try:
            wish = task.generator.throw(error) if error else task.generator.send(value)
        except StopIteration:
            self.tasks -= 1
            return
        if isinstance(wish, Link):
            wish.task, task.waits_for, wish = task, wish, wish.patience_s
        heapq.heappush(self.timers, (time.monotonic() + wish, next(self.order), task, task.turn))

    def answered(self, link, value=None, error=None):
        task, link.task = link.task, None
        task.waits_for = None
        self._step(task, value, error)


class Link:
    """One connection to the store at a unix socket. Opens by itself; after a failure it is closed,
    and the next command opens it anew."""

    def __init__(self, loop, path, patience_s=ANSWER_SECONDS_MAX):
        self.loop, self.path, self.patience_s = loop, path, patience_s
        self.socket, self.task, self.left = None, None, b""

    def is_open(self):
        return self.socket is not None

    def ask(self, *words):
        """Generator: str, int, None (no value) or bytes; raises Failed."""
        try:
            self._send(words)
            answer = yield self
        except Failed:
            self.close()
            raise
        except OSError as reason:
            self.close()
            raise Failed(f"{type(reason).__name__} {reason}") from None
        if isinstance(answer, Failed):  # an error reply; the connection is as good as before
            raise answer
        return answer

    def _send(self, words):
        if self.socket is None:
            self._open()
        request = self.encode(*words)
        sent = self.socket.send(request)
        while sent < len(request):  # a large value: waits for the store
            if not select.select([], [self.socket], [], self.patience_s)[1]:
                raise Failed(f"takes nothing for {self.patience_s} s")
            sent += self.socket.send(request[sent:])

    def encode(self, *words):
        encoded = [word.encode() if isinstance(word, str) else word for word in words]
        return b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(w), w) for w in encoded)])

    def connect(self):
        """At once, or not at all."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            made.connect(self.path)
        except OSError:
            made.close()
            raise
        return made

    def _open(self):
        self.socket = self.connect()
        self.left = b""
        self.loop.links[self.socket.fileno()] = self
        self.loop.poller.register(self.socket, select.EPOLLIN)

    def readable(self):
        try:
            got = self.socket.recv(1 << 18)
        except OSError as reason:
            if reason.errno != errno.EAGAIN:
                self._broken(reason)
            return
        if not got:
            self._broken(EOFError("closed by the store"))
            return
        self.left += got
        done, value = self.parse()
        if done:
            if self.task is None:
                self.close()  # an answer to what was given up
            else:
                self.loop.answered(self, value)

    def _broken(self, reason):
        self.close()
        if self.task:
            self.loop.answered(self, error=Failed(f"{type(reason).__name__} {reason}"))

    def parse(self):
        """(whether `left` held an answer, that answer), which is taken from it."""
        end = self.left.find(b"\r\n")
        if end < 0:
            return False, None
        kind, line, rest = self.left[:1], self.left[1:end], end + 2
        if kind == b"$" and line != b"-1":
            size = int(line)
            if len(self.left) < rest + size + 2:
                return False, None
            value, rest = self.left[rest:rest + size], rest + size + 2
        else:
            value = {b"$": lambda: None, b":": lambda: int(line), b"+": line.decode,
                     b"-": lambda: Failed(line.decode(errors="replace"))}[kind]()
        self.left = self.left[rest:]
        return True, value

    def close(self):
        if self.socket:
            del self.loop.links[self.socket.fileno()]
            self.loop.poller.unregister(self.socket)
            self.socket.close()
        self.socket, self.left = None, b""
