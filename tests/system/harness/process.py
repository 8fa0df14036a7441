"""A process of the test, its log, and its end."""
import subprocess

from .child import DIES_WITH_US
from .clock import poll
from .ports import accepts

LOG_SHOWN = 4000
START_SECONDS = 30


class Process:
    """spawn() does not wait, so that several start beside each other; ready() does."""

    def __init__(self, name, log):
        self.name, self.log, self.process = name, log, None

    def spawn(self, command, **keys):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_US, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **keys,
            )

    def said(self):
        return f"{self.name}:\n{self.log.read_text(errors='replace')[-LOG_SHOWN:]}"

    def ready(self, port):
        poll(lambda: self._listens(port), START_SECONDS, f"it listens\n{self.said()}", 0.01)

    def _listens(self, port):
        assert self.process.poll() is None, f"it ended: {self.process.returncode}\n{self.said()}"
        return accepts(port)

    def kill(self):
        """SIGKILL: no chance to do anything."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        """SIGTERM; its exit status must be 0."""
        self.process.terminate()
        status = self.process.wait(START_SECONDS)
        self.process = None
        assert status == 0, f"exit {status}\n{self.said()}"
