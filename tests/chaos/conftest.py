"""Fixtures of the fault campaigns."""
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
EXPRESS = TESTS / "interop" / "express"
sys.path.insert(0, str(TESTS / "system"))
pytest.register_assert_rewrite("harness", "campaign", "cluster", "web")

sys.path.insert(0, str(TESTS / "interop"))

from campaign import ROUNDS, SEED  # noqa: E402
from cluster import Cluster  # noqa: E402
from harness.clock import alarm  # noqa: E402
from harness.node import install  # noqa: E402

TEST_SECONDS = 120  # scaled: a campaign that is not done by then hangs


@pytest.fixture(autouse=True)
def hang_guard():
    """Ends a test that hangs as a failure, so that the others still run."""
    with alarm(TEST_SECONDS):
        yield


@pytest.fixture(scope="session")
def express_installed():
    """What the application of web.py needs."""
    install(EXPRESS)


@pytest.fixture(params=range(SEED, SEED + ROUNDS))
def seed(request):
    return request.param


@pytest.fixture
def run_cluster(tmp_path):
    """A maker of running agents, which must end well after the test."""
    made = []

    def run(**keys):
        made.append(Cluster(tmp_path / f"cluster{len(made)}", **keys))
        return made[-1].start()

    yield run
    for cluster in made:
        cluster.stop()
