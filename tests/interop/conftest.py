"""The interoperability tests use the harness of the system tests."""
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
pytest.register_assert_rewrite("fleet")

from fleet import STORES  # noqa: E402
from harness import scaled  # noqa: E402

EXPRESS = Path(__file__).parent / "express"
DEFAULT_STORES = "agents"


def pytest_addoption(parser):
    parser.addoption(
        "--session-stores",
        default=DEFAULT_STORES,
        help=f"where the session tests keep sessions, with commas between: {', '.join(STORES)}",
    )


@pytest.fixture(scope="session")
def modules():
    """The packages that express/package-lock.json names, installed once."""
    wanted = EXPRESS / "package-lock.json"
    installed = EXPRESS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=EXPRESS,
            check=True,
            timeout=scaled(120),
            stdout=subprocess.DEVNULL,
        )
