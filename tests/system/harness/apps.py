"""Application processes, and many users at once."""
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from .child import DIES_WITH_US
from .client import Browser, Gone
from .clock import poll, scaled
from .ports import accepts, free_port

SCRIPT = Path(__file__).with_name("app_server.py")
STORED_MODULE = "harness.stored_server"
SESSION_SCRIPT = Path(__file__).with_name("session_server.py")


class App:
    """app_server.py as a process. kill() is SIGKILL: the kernel ends its connections."""

    def __init__(self, name, directory):
        self.name, self.port = name, free_port()
        self.journal_file = Path(directory) / f"{name}.journal"
        self.process = None

    def command(self):
        return [str(SCRIPT), self.name, str(self.port), str(self.journal_file)]

    def start(self):
        command = [*DIES_WITH_US, sys.executable, *self.command()]
        self.process = subprocess.Popen(command, cwd=SCRIPT.parents[1])
        poll(self._listens, 10, f"{self.name} listens", 0.02)
        return self

    def _listens(self):
        assert self.process.poll() is None, f"{self.name} ended"
        return accepts(self.port)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def journal(self):
        """[(request id, method)] in order of arrival, over all lives of the process."""
        if not self.journal_file.exists():
            return []
        return [tuple(line.split()) for line in self.journal_file.read_text().splitlines()]


class SessionApp(App):
    """session_server.py as a process: an application with a session cookie of its own."""

    def __init__(self, style, name, directory):
        super().__init__(name, directory)
        self.style = style

    def command(self):
        return [str(SESSION_SCRIPT), self.style, *super().command()[1:]]

    def journal(self):
        """Requests in order of arrival, over all lives of the process: {"target", "cookies"}."""
        if not self.journal_file.exists():
            return []
        return [json.loads(line) for line in self.journal_file.read_text().splitlines()]


class StoredApp(App):
    """stored_server.py as a process: its sessions are in a Redis or an agent, and outlive it."""

    def __init__(self, name, directory, store_port):
        super().__init__(name, directory)
        self.store_port = store_port

    def command(self):
        return ["-m", STORED_MODULE, *super().command()[1:], str(self.store_port)]


class User(Browser):
    """A browser that numbers its requests and knows what its session must say."""

    def __init__(self, port, number, **keys):
        super().__init__(port, **keys)
        self.number = number
        self.sent = 0
        self.expected = {}  # session -> count
        self.wrong = []  # answers whose counter was not right
        self.sessions = []  # in order of appearance

    def visit(self, method="GET", query=""):
        """One numbered request; errors are noted, never raised. True when it was answered well."""
        self.sent += 1
        name = f"{self.number}.{self.sent}"
        target = f"/u{self.number}{query}"
        body = b"x=1" if method == "POST" else None
        try:
            answer = self.request(target, method, fields=[("X-Request", name)], body=body)
        except (Gone, OSError):
            return False
        if answer.status != 200:
            return False
        page = answer.json()
        session = page["session"]
        if session not in self.expected:
            self.expected[session] = 0
            self.sessions.append(session)
        self.expected[session] += 1
        if page["count"] != self.expected[session] or page["target"] != target:
            self.wrong.append(page)
        return True


def crowd(users, script):
    """Runs script(user) for all users at once, each on its thread; raises the first failure."""
    failures = []

    def run(user):
        try:
            script(user)
        except BaseException as failure:  # noqa: B902 - reported below
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(user,), daemon=True) for user in users]
    for thread in threads:
        thread.start()
    return threads, failures


def join(threads, failures, seconds=60):
    for thread in threads:
        thread.join(scaled(seconds))
        assert not thread.is_alive(), "users are still busy"
    if failures:
        raise failures[0]


def repeated(apps):
    """Request ids that reached applications more than once."""
    counts = Counter(entry for app in apps for entry in app.journal())
    return {entry: count for entry, count in counts.items() if count > 1}
