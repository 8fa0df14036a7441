"""Fixtures of the system tests."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("harness")

from harness import Backend, Proxy, configuration, pool  # noqa: E402
from harness.apps import App, SessionApp  # noqa: E402
from harness.clock import alarm  # noqa: E402


TEST_SECONDS = 60  # scaled: a test that is not done by then hangs


@pytest.fixture(autouse=True)
def hang_guard():
    """Ends a test that hangs as a failure, so that the others still run."""
    with alarm(TEST_SECONDS):
        yield


@pytest.fixture
def backends():
    """A maker of started servers that end with the test; broken behaviours fail the test."""
    made = []

    def make(*names, **keys):
        started = [Backend(name, **keys).start() for name in names]
        made.extend(started)
        return started if len(started) > 1 else started[0]

    yield make
    for backend in made:
        backend.stop()
    for backend in made:
        backend.check()


@pytest.fixture
def run_proxy(tmp_path):
    """A maker of running proxies; each must end cleanly after the test."""
    made = []

    def run(servers=None, pools=None, environment=None, pool_keys=None, **keys):
        pools = pools or pool(servers, **(pool_keys or {}))
        proxy = Proxy(tmp_path / f"proxy{len(made)}", configuration(pools, **keys), environment)
        made.append(proxy)
        return proxy.start()

    yield run
    failures = []
    for proxy in made:
        try:
            proxy.stop()
        except AssertionError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


def _processes(make_one):
    """A maker of running application processes, which end with the test."""
    made = []

    def make(*names, **keys):
        started = [make_one(name, **keys) for name in names]
        made.extend(started)
        for app in started:
            app.start()
        return started

    yield make
    for app in made:
        app.kill()


@pytest.fixture
def apps(tmp_path):
    """A maker of running application processes."""
    yield from _processes(lambda name: App(name, tmp_path))


@pytest.fixture
def session_apps(tmp_path):
    """A maker of running applications with a session cookie of their own, all of one style."""
    yield from _processes(lambda name, style: SessionApp(style, name, tmp_path))
