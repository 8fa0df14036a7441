"""The real binary as a process, with its configuration, its admin API and its end."""
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from . import config as configs
from .child import DIES_WITH_US
from .client import Client
from .clock import SLOWNESS, poll, scaled
from .ports import accepts, free_port

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.path.abspath(os.environ.get("HOLDFAST", ROOT / "build" / "holdfast"))
INSTRUMENTED = SLOWNESS > 1
REPORTS = re.compile(
    r"(ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|"
    r"runtime error:|SUMMARY: \w+Sanitizer|assertion failed|REQUIRE failed)"
)


class Metrics(dict):
    """Rows of an exposition: metrics["name{label=\\"value\\"}"], or by part with `value`."""

    @classmethod
    def parse(cls, text):
        made = cls()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                assert key not in made, f"row twice: {key}"
                made[key] = float(value)
        return made

    def value(self, name, **labels):
        """The sum of the rows of that name which carry these labels."""
        total = 0.0
        for key, value in self.items():
            base, _, rest = key.partition("{")
            if base == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += value
        return total

    def verdicts(self):
        """{verdict of affinity: how many requests had it}, without those that none had."""
        name = "holdfast_affinity_verdicts_total{"
        rows = self.items()
        return {key.split('"')[1]: value for key, value in rows if key.startswith(name) and value}


class Proxy:
    """start() waits until every listener accepts; stop() demands a clean end."""

    def __init__(self, directory, config, environment=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = dict(config)
        if "listeners" not in self.config:
            self.config["listeners"] = [
                {"name": "web", "bind": f"127.0.0.1:{free_port()}", "protocol": "http"}
            ]
        self.config.setdefault("admin", {"bind": f"127.0.0.1:{free_port()}"})
        self.config.setdefault("state_dir", str(self.directory / "state"))
        self.config.setdefault(
            "log", {"level": "info", "access": str(self.directory / "access.log"), "format": "json"}
        )
        Path(self.config["state_dir"]).mkdir(exist_ok=True)
        self.file = self.directory / "proxy.yaml"
        self.ports = [int(row["bind"].rsplit(":", 1)[1]) for row in self.config["listeners"]]
        self.port = self.ports[0]
        self.admin_port = int(self.config["admin"]["bind"].rsplit(":", 1)[1])
        self.environment = environment or {}
        self.process = None
        self.write(self.config)

    def write(self, config):
        """Replaces the file in one step; `config` may be a dictionary or text."""
        text = config if isinstance(config, str) else configs.text(config)
        staged = self.file.with_suffix(".new")
        staged.write_text(text)
        staged.rename(self.file)

    def start(self):
        assert os.access(BINARY, os.X_OK), f"no binary at {BINARY}: build first, or set HOLDFAST"
        environment = {
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
            "TSAN_OPTIONS": "exitcode=99:second_deadlock_stack=1",
            **os.environ,
            **self.environment,
        }
        with open(self.directory / "stderr", "ab") as err, open(
            self.directory / "stdout", "ab"
        ) as out:
            self.process = subprocess.Popen(
                [*DIES_WITH_US, BINARY, "proxy", "-c", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
            )
        poll(self._ready, 10, f"the proxy listens\n{self.stderr()}")
        return self

    def _ready(self):
        assert (
            self.process.poll() is None
        ), f"the proxy ended: {self.process.returncode}\n{self.stderr()}"
        return all(accepts(port) for port in [*self.ports, self.admin_port])

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        path = self.directory / "stderr"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""

    def alive(self):
        """Fails with what the proxy said when it has ended."""
        assert (
            self.process.poll() is None
        ), f"the proxy ended: {self.process.returncode}\n{self.stderr()}"

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self, seconds=20):
        try:
            return self.process.wait(scaled(seconds))
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the proxy did not end within {scaled(seconds)} s\n{self.stderr()}"
            ) from None

    def kill(self):
        """SIGKILL: no chance to do anything."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; exit status 0 and no sanitizer report, or a failure."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
                self.wait_end()
            assert self.process.returncode == 0, f"exit {self.process.returncode}\n{self.stderr()}"
            self.check_reports()
        finally:
            if self.process.poll() is None:
                self.kill()
            self.process = None

    def check_reports(self):
        text = (self.directory / "stderr").read_text(errors="replace")
        found = REPORTS.search(text)
        assert not found, text[max(0, found.start() - 200) : found.start() + 6000]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        elif self.process is not None:
            self.kill()

    # --- clients -------------------------------------------------------------------------------
    def client(self, **keys):
        return Client(self.port, **keys)

    def get(self, target="/", **keys):
        """One request on its own connection."""
        with self.client() as client:
            return client.get(target, **keys)

    # --- the admin API ---------------------------------------------------------------------------
    def admin(self, path, method="GET", body=None):
        """(status, text)"""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=scaled(10)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        status, text = self.admin("/metrics")
        assert status == 200, text
        return Metrics.parse(text)

    def metric(self, name, **labels):
        return self.metrics().value(name, **labels)

    def server(self, name, pool="app"):
        """The row of a server in the admin API."""
        status, text = self.admin("/v1/servers")
        assert status == 200, text
        return next(
            row
            for row in json.loads(text)["servers"]
            if row["name"] == name and row["pool"] == pool
        )

    def server_state(self, name, pool="app"):
        return self.server(name, pool)["state"]

    def set_state(self, name, state, pool="app"):
        status, text = self.admin(f"/v1/servers/{pool}/{name}/state", "POST", {"state": state})
        assert status in (200, 204), (status, text)

    def wait_state(self, name, state, pool="app", seconds=10):
        poll(lambda: self.server_state(name, pool) == state, seconds, f"{name} is {state}")

    # --- reload ----------------------------------------------------------------------------------
    def generation(self):
        status, text = self.admin("/v1/status")
        assert status == 200, text
        return json.loads(text)["generation"]

    def reload(self, config=None):
        """SIGHUP, and back when the new configuration is in force."""
        if config is not None:
            self.write(config)
        before = self.generation()
        self.signal(signal.SIGHUP)
        poll(lambda: self.generation() > before, 10, f"the reload is in force\n{self.stderr()}")

    # --- the process -----------------------------------------------------------------------------
    def rss(self):
        """Resident bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def grew_less(self, before, limit):
        """Whether resident memory grew by less than `limit` bytes since it was `before`. Always true
        of a sanitizer build, whose allocator keeps freed memory on purpose."""
        return INSTRUMENTED or self.rss() - before < limit

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def access_log(self):
        """Finished exchanges, as dictionaries."""
        path = Path(self.config["log"]["access"])
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
