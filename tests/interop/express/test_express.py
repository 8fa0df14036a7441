"""Express with express-session's MemoryStore, three instances: a real stateful application whose
sessions nobody here wrote."""
import subprocess
from pathlib import Path

import pytest
from harness import Browser, Proxy, configuration, free_port, pool, scaled
from harness.apps import crowd, join
from harness.child import DIES_WITH_US

HERE = Path(__file__).parent
NAMES = ("app1", "app2", "app3")
USERS, REQUESTS = 200, 20


class Instance:
    def __init__(self, name):
        self.name, self.port = name, free_port()

    def __enter__(self):
        self.process = subprocess.Popen(
            [*DIES_WITH_US, "node", "server.js", self.name, str(self.port)],
            cwd=HERE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"listening\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def proxy(modules, tmp_path):
    instances = [Instance(name) for name in NAMES]
    for instance in instances:
        instance.__enter__()
    try:
        with Proxy(tmp_path, configuration(pool(instances))) as running:
            yield running
    finally:
        for instance in instances:
            instance.__exit__()


def all_at_once(users, script):
    join(*crowd(users, script), 120)


def test_200_users_20_requests_each(proxy):
    users = [Browser(proxy.port, keep_alive=number % 2 == 0) for number in range(USERS)]

    def script(user):
        user.counts = [user.request("/count").json()["count"] for _ in range(REQUESTS)]

    all_at_once(users, script)
    for user in users:
        assert user.counts == list(range(1, REQUESTS + 1)), user.counts
        assert len(set(user.servers)) == 1 and user.pins == 1 and user.errors == []
    assert {user.servers[0] for user in users} == set(NAMES)
    metrics = proxy.metrics()
    assert metrics.value("holdfast_requests_total") == USERS * REQUESTS
    assert metrics.value("holdfast_pins_total", kind="new") == USERS
    assert metrics.value("holdfast_affinity_verdicts_total", verdict="pinned") == USERS * (
        REQUESTS - 1
    )


def test_carts_redirects_and_logout(proxy):
    users = [Browser(proxy.port) for _ in range(20)]
    form = [("Content-Type", "application/x-www-form-urlencoded")]

    def script(user):
        for number in range(5):
            answer = user.request("/cart", "POST", fields=form, body=b"item=thing%d" % number)
            assert (answer.status, answer.field("Location")) == (303, "/cart")
            assert user.request("/cart").json()["cart"] == [f"thing{n}" for n in range(number + 1)]
        user.request("/logout")
        assert user.request("/cart").json()["cart"] == []

    all_at_once(users, script)
    for user in users:
        assert len(set(user.servers)) == 1 and user.pins == 1 and user.errors == []


def test_a_proxy_that_is_killed_forgets_no_one(proxy):
    users = [Browser(proxy.port) for _ in range(30)]
    for user in users:
        user.request("/count")
    proxy.kill()
    proxy.start()
    for user in users:
        assert user.request("/count").json()["count"] == 2 and user.pins == 1


def test_the_application_sees_the_client(proxy):
    with proxy.client(source="127.0.0.77") as client:
        assert client.get("/count").json()["client"] == "127.0.0.77"
