"""The interoperability tests use the harness of the system tests."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
pytest.register_assert_rewrite("fleet")

from fleet import STORES  # noqa: E402
from harness.node import install  # noqa: E402

HERE = Path(__file__).parent
DEFAULT_STORES = "agents"


def pytest_addoption(parser):
    parser.addoption(
        "--session-stores",
        default=DEFAULT_STORES,
        help=f"where the session tests keep sessions, with commas between: {', '.join(STORES)}",
    )


@pytest.fixture(scope="session")
def modules():
    """What the Express applications need, installed once."""
    install(HERE / "express")


@pytest.fixture(scope="session")
def clients_installed():
    """The Redis clients of Node.js, installed once."""
    install(HERE / "clients")
