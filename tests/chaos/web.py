"""Users with browsers: by HTTP through the proxy to applications, each beside its agent.

The application is the Express shop of tests/interop, which keeps its sessions through connect-redis and
ioredis as docs/sessions/express.md tells its readers to. A session's value is a note, which the user
writes and reads; what the answers said is judged.
"""
import json
import os
import signal
import socket
import sys
import time
from collections import namedtuple
from pathlib import Path

from campaign import LONG, Campaign
from cluster import Cluster
from loop import Failed, Link
from users import User

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "interop"))

from fleet import guides  # noqa: E402
from harness.clock import poll  # noqa: E402
from harness.config import checks, configuration, pool  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.process import Process  # noqa: E402
from harness.proxy import Proxy  # noqa: E402

EXPRESS = TESTS / "interop" / "express"
SESSION = guides.session_of("express")
USERS = 1000 if LONG else 100
PAUSE_S = 2.5 if LONG else 0.9  # a user's thoughts between two pages, on average
WARM_S, AFTER_S = (5.5, 3.0) if LONG else (2.0, 2.0)
MOVED_SECONDS = 30  # scaled; until a session of a dead server is served elsewhere, whatever else runs here
AGAIN_S, AGAIN_S_MAX = 0.02, 0.5  # until a failed request is repeated, on average: twice as long each time
HEAD_SECONDS_MAX = "3s"  # then the proxy gives a request up
PATIENCE_S = 10.0  # of a user: the proxy answers before
CHECKS = {"interval_ms": 250 if LONG else 1000, "fall": 3}  # a server that is busy is not taken for a dead one

Answer = namedtuple("Answer", "status fields body")


class Unanswered(Failed):
    """The proxy gave a request up, but the application has it: one that was stopped does it when it goes
    on, as any store must let it."""


class HttpLink(Link):
    """A connection to the web server at a port of this host. ask(method, target, cookie, body) gives an
    Answer."""

    def encode(self, method, target, cookie, body=b""):
        head = f"{method} {target} HTTP/1.1\r\nHost: shop.example\r\n"
        if cookie:
            head += f"Cookie: {cookie}\r\n"
        if method == "POST":
            head += f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body

    def connect(self):
        made = socket.create_connection(("127.0.0.1", self.path), timeout=self.patience_s)
        made.setblocking(False)
        return made

    def parse(self):
        end = self.left.find(b"\r\n\r\n")
        if end < 0:
            return False, None
        first, *lines = self.left[:end].decode("latin-1").split("\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        size = int(dict(fields)["content-length"])
        if len(self.left) < end + 4 + size:
            return False, None
        body, self.left = self.left[end + 4:end + 4 + size], self.left[end + 4 + size:]
        if dict(fields).get("connection", "").lower() == "close":
            self.close()
        return True, Answer(int(first.split(" ")[1]), fields, body)


class WebUser(User):
    """ports: {name of a server: its application's port, None: that of the proxy}. Goes by the proxy; the
    last look goes to each server by itself."""

    def __init__(self, *arguments, ports, **keys):
        super().__init__(*arguments, patience_s=PATIENCE_S, **keys)
        self.ports, self.jar, self.pause_s = ports, {}, PAUSE_S
        self.answered = 0

    def new_link(self, server):
        return HttpLink(self.loop, self.ports[server], self.patience_s)

    def visit(self, server, method, body=b""):
        """What the page says; raises Failed unless there is one, Unanswered when there may be one yet."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        answer = yield from self.link(server).ask(method, "/note", cookie, body)
        if answer.status == 504:
            raise Unanswered(f"{method} is answered {answer.status}")
        if answer.status != 200:
            raise Failed(f"{method} is answered {answer.status} {answer.body[:80]!r}")
        page = json.loads(answer.body)
        if server is None:
            self._take(answer, page)
        return page

    def _take(self, answer, page):
        """Its cookies. A session that was there once stays the one."""
        self.answered += 1
        for name, value in answer.fields:
            if name != "set-cookie":
                continue
            name, _, value = value.partition(";")[0].partition("=")
            if name == SESSION["cookie"] and self.jar.get(name, value) != value:
                self.story.judge.accuse("fresh", f"{self.story.session}: another session at {page['server']}")
            self.jar[name] = value

    def read(self, server):
        asked, begun = self.story.begin_read(), time.monotonic()
        page = yield from self.visit(server, "GET")
        value = page["note"] and page["note"].encode()
        good = self.story.end_read(asked, value, page["server"])
        if good and value and server is None:
            self._found(page["server"], begun)
        return good

    def _found(self, server, begun):
        """There was data. What was answered elsewhere than before took a failure of the other server,
        whether the user saw it or the proxy dealt with it."""
        failing, self.failing = self.failing, None
        if failing:
            self.recoveries.append((*reversed(failing), time.monotonic()))
        elif self.server and server != self.server:
            self.recoveries.append((self.server, begun, time.monotonic()))
        self.server = server

    def write(self, server):
        number = self.story.begin_write("proxy")
        try:
            value = self.story.value(number, self.size)
            page = yield from self.visit(server, "POST", value)
            if page["note"] != value.decode():
                raise Failed(f"the note reads {page['note']!r}")
        except Unanswered as reason:
            self.story.note(f"not ended {number}: {reason}")
            raise
        except Failed as reason:
            self.story.fail_write(number, reason)
            raise
        self.story.end_write(number)

    def live(self, until):
        again_s = AGAIN_S
        yield self.random.random() * 2 * self.pause_s
        while time.monotonic() < until():
            begun = time.monotonic()
            try:
                yield from self.read(None)
                yield from self.write(None)
                again_s = AGAIN_S
                yield self.random.random() * 2 * self.pause_s
            except Failed as reason:
                self.refusals.append(str(reason))
                self.failing = self.failing or (begun, self.server)
                yield self.random.random() * 2 * again_s
                again_s = min(2 * again_s, AGAIN_S_MAX)


class WebCluster(Cluster):
    """Agents with an application each, and the proxy in front. A server is both of them."""

    def __init__(self, folder, **keys):
        super().__init__(folder, **keys)
        self.apps = {name: Process(name, self.folder / name / "app.log") for name in self.names}
        self.ports = {name: free_port() for name in self.names}
        rows = [{"name": name, "address": f"127.0.0.1:{port}", "agent": self.net.address(name, name)}
                for name, port in self.ports.items()]
        pools = pool(rows, session=SESSION, health=checks(**CHECKS))
        self.proxy = Proxy(self.folder / "proxy", configuration(pools, timeouts={"response_head": HEAD_SECONDS_MAX}))
        self.ports[None] = self.proxy.port

    def start(self, *names):
        super().start(*names)
        for name in names or self.names:
            file = self.folder / name / "session.js"
            text = guides.blocks("express")["ioredis"]
            assert text.count("redis://127.0.0.1:6380") == 1, text
            file.write_text(text.replace("redis://127.0.0.1:6380", self.servers[name].store))
            self.apps[name].spawn(["node", "shop.js", name, str(self.ports[name]), str(file)], cwd=EXPRESS,
                                  env={**os.environ, "SESSION_SECRET": "chaos"})
        for name in names or self.names:
            self.apps[name].ready(self.ports[name])
        if self.proxy.process is None:
            self.proxy.start()
        for name in names or self.names:
            poll(lambda name=name: self._keeps(name), 15, f"{name} keeps sessions\n{self.apps[name].said()}", 0.02)
            self.proxy.wait_state(name, "ready")
        return self

    def _keeps(self, name):
        """Whether it answers from its store."""
        with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=5) as made:
            made.sendall(b"GET /note HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: connect.sid=s%3Anobody.x\r\n\r\n")
            return made.recv(4096).startswith(b"HTTP/1.1 200")

    def signal(self, name, number):
        """To both, the agent first: what it acknowledged is all that others can know."""
        for process in (self.servers[name], self.apps[name]):
            process.process.send_signal(number)

    def kill(self, name):
        self.signal(name, signal.SIGKILL)
        super().kill(name)
        self.apps[name].kill()

    def stop(self):
        for name, app in self.apps.items():
            if self.servers[name].paused:
                self.resume(name)
            app.kill()
        try:
            self.proxy.stop()
        finally:
            super().stop()

    def pause(self, name):
        self.signal(name, signal.SIGSTOP)
        self.servers[name].paused = True

    def resume(self, name):
        self.signal(name, signal.SIGCONT)
        self.servers[name].paused = False


class WebCampaign(Campaign):
    """As a campaign of users who speak to agents; a server's death is counted from its signals on."""

    def __init__(self, cluster, seed, users=USERS):
        super().__init__(cluster, seed, users, WebUser, ports=cluster.ports)
        for user in self.users:
            user.server = None  # the proxy decides

    def kill(self, name):
        self.note(f"SIGKILL {name}")
        self.killed_at[name] = time.monotonic()
        self.cluster.kill(name)

    def stop(self, name):
        self.note(f"SIGSTOP {name}")
        self.killed_at[name] = time.monotonic()
        self.cluster.pause(name)

    def resume(self, name):
        self.cluster.resume(name)
        self.note(f"SIGCONT {name}")

    def wait_moved(self, name):
        poll(lambda: self.first_answer(name) is not None, MOVED_SECONDS, f"a session of {name} is served elsewhere")

    def run(self, fault):
        return super().run(fault, warm_s=WARM_S, after_s=AFTER_S)

    def outcomes(self):
        metrics = self.cluster.proxy.metrics()
        return {word: int(metrics.value(f"holdfast_sessions_{word}_total"))
                for word in ("moved", "unknown", "replaced", "lost", "refused")}

    def told(self):
        pages = sum(user.answered for user in self.users)
        return f"{pages} pages through the proxy, whose sessions were {self.outcomes()}\n{super().told()}"

    def verdict(self):
        """Also by the proxy's own account nobody's session was another one than before."""
        super().verdict(each=1)
        outcomes = self.outcomes()
        assert outcomes["lost"] + outcomes["replaced"] == 0, self.told()
        return self
