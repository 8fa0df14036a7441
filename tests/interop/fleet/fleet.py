"""Three instances of a shop, their store, and the proxy in front."""
import os
from pathlib import Path

from harness import Browser, Client, Proxy, checks, configuration, free_port, poll, pool
from harness.process import Process

from . import guides
from .applications import HERE
from .stores import STORES

NAMES = ("app1", "app2", "app3")


class Instance:
    def __init__(self, application, name, directory):
        self.application, self.name, self.port = application, name, free_port()
        self.directory = Path(directory)
        self.process = Process(name, self.directory / f"{name}.log")

    def spawn(self, store_port):
        file = self.application.store_file(self.directory, self.name, store_port)
        environment = {
            **os.environ,
            "SERVER": self.name,
            "SESSION_FILE": str(file),
            "SESSION_SECRET": "interop",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = self.application.command(self, file)
        self.process.spawn(command, cwd=HERE / self.application.guide, env=environment)

    def ready(self):
        """It listens, and has found its store."""
        self.process.ready(self.port)
        poll(self.keeps_sessions, 10, f"it keeps sessions\n{self.process.said()}", 0.05)

    def ask(self, target, cookie, method="GET", **keys):
        """An answer of this very server, past the proxy, to who sends this cookie (None: none)."""
        fields = [("Connection", "close")]
        if cookie is not None:
            fields.append(("Cookie", f"{self.application.cookie}={cookie}"))
        with Client(self.port, **keys) as client:
            return client.get(target, method, fields=fields, body=b"" if method == "POST" else None)

    def keeps_sessions(self):
        """Whether a new visitor's session is there at his next request. Where commands may stay
        unanswered, such a request is one of a store that is not back yet."""
        if self.application.away is not None:
            return self._keeps_session()
        try:
            return self._keeps_session(timeout=1)
        except TimeoutError:
            return False

    def _keeps_session(self, **keys):
        answer = self.ask("/add", None, "POST", **keys)
        start = f"{self.application.cookie}="
        cookies = [field for field in answer.all("Set-Cookie") if field.startswith(start)]
        if answer.status != 200 or not cookies:
            return False
        answer = self.ask("/me", cookies[0].split(";")[0][len(start) :], **keys)
        return answer.status == 200 and answer.json()["cart"] == 1


class User(Browser):
    """A customer, who knows what the shop must say."""

    def __init__(self, fleet, name):
        super().__init__(fleet.proxy.port)
        self.fleet, self.name, self.logged_in, self.cart = fleet, name, False, 0

    @property
    def session(self):
        """The session cookie's value, None without one."""
        return self.jar.get(self.fleet.application.cookie)

    @property
    def server(self):
        """Who answered last."""
        return self.servers[-1]

    def expected(self):
        return {"user": self.name if self.logged_in else None, "cart": self.cart}

    def visit(self, target, method="POST"):
        body = b"" if method == "POST" else None
        answer = self.request(target, method, body=body)
        assert answer.status == 200, (answer.status, answer.body)
        page = answer.json()
        del page["server"]
        assert page == self.expected(), (target, page, self.expected())

    def log_in(self):
        self.logged_in = True
        self.visit(f"/login?user={self.name}")

    def add(self):
        self.cart += 1
        self.visit("/add")

    def look(self):
        self.visit("/me", "GET")

    def log_out(self):
        self.logged_in, self.cart = False, 0
        self.visit("/logout")


class Fleet:
    def __init__(self, application, store, directory):
        self.application = application
        self.store = STORES[store](NAMES, application.protocol, directory)
        self.instances = {name: Instance(application, name, directory) for name in NAMES}
        keys = {"health": checks(), "passive": {"eject": "1s"}}
        if self.store.replicated:
            keys["session"] = guides.session_of(application.guide)
        self.proxy = Proxy(directory / "proxy", configuration(pool(self._rows(), **keys)))

    def _rows(self):
        return [
            {"name": name, "address": f"127.0.0.1:{instance.port}", **self.store.row_of(name)}
            for name, instance in self.instances.items()
        ]

    def start(self):
        self.store.start()
        for name in NAMES:
            self.instances[name].spawn(self.store.port_of(name))
        self.proxy.start()
        for name in NAMES:
            self.instances[name].ready()
            self.proxy.wait_state(name, "ready")

    def stop(self):
        for instance in self.instances.values():
            instance.process.kill()
        try:
            self.proxy.stop()
        finally:
            self.store.stop()

    def user(self, name):
        return User(self, name)

    def kill(self, name):
        """The machine is gone: the application, and the agent beside it if there is one."""
        self.store.kill(name)
        self.instances[name].process.kill()

    def revive(self, name):
        self.store.revive(name)
        self.instances[name].spawn(self.store.port_of(name))
        self.instances[name].ready()
        self.proxy.wait_state(name, "ready")

    def outcomes(self):
        """{what became of sessions whose server failed, by the proxy: how many so far}"""
        metrics = self.proxy.metrics()
        words = ("moved", "replaced", "unknown", "lost", "refused")
        return {word: metrics.value(f"holdfast_sessions_{word}_total") for word in words}

    def everywhere(self, cookie):
        """{server: what it says to who sends this cookie}, each asked past the proxy."""
        said = {}
        for name, instance in self.instances.items():
            answer = instance.ask("/me", cookie)
            assert answer.status == 200, (name, answer.status, answer.body)
            said[name] = {key: answer.json()[key] for key in ("user", "cart")}
        return said
