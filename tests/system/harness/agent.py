"""The agent as a process."""
import json
import signal
import subprocess
import urllib.request
from pathlib import Path

from .child import DIES_WITH_US
from .clock import poll, scaled
from .ports import accepts, free_port
from .proxy import BINARY, REPORTS, Metrics
from .redis import Wire


class Agent:
    """One front end's agent: "redis" or "memcached". start() waits until it accepts; stop() demands a
    clean end. spawn() does not wait, so that several start beside each other; ready() does."""

    kind = "agent"

    def __init__(self, directory, front="redis", password=None, unix=False, node="app1", **keys):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.admin_port = free_port(), free_port()
        self.unix = str(self.directory / "agent.sock")
        bind = f"unix:{self.unix}" if unix else f"127.0.0.1:{self.port}"
        agent = {front: bind, "mode": "local", **keys}
        self.address = self.unix if unix else self.port
        if password:
            secret = self.directory / "password"
            secret.write_text(password + "\n")
            secret.chmod(0o600)
            agent["password_file"] = str(secret)
        config = {"node": node, "admin": {"bind": f"127.0.0.1:{self.admin_port}"}, "agent": agent}
        config["state_dir"] = str(self.directory)
        self.file = self.directory / "agent.yaml"
        self.file.write_text(json.dumps(config, indent=1))
        self.process = None

    def start(self):
        self.spawn()
        return self.ready()

    def spawn(self):
        with open(self.directory / "stderr", "ab") as err:
            self.process = subprocess.Popen(
                [*DIES_WITH_US, BINARY, "agent", "-c", str(self.file)], stdin=subprocess.DEVNULL, stderr=err
            )

    def ready(self):
        poll(self._ready, 10, "the agent listens")
        return self

    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def _ready(self):
        assert self.process.poll() is None, self.stderr()
        try:
            Wire(self.address).socket.close()
        except OSError:
            return False
        return accepts(self.admin_port)

    def admin(self, path):
        """What its admin API answers, as text."""
        address = f"http://127.0.0.1:{self.admin_port}{path}"
        with urllib.request.urlopen(address, timeout=scaled(5)) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.admin("/v1/status"))

    def metrics(self):
        return Metrics.parse(self.admin("/metrics"))

    def metric(self, name, **labels):
        return self.metrics().value(name, **labels)

    def kill(self):
        """SIGKILL: no chance to do anything."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(scaled(20)) == 0, self.stderr()
        finally:
            self.process.kill()
            self.process.wait()
        assert not REPORTS.search(self.stderr()), self.stderr()
