"""The ownership protocol as a model: spin walks through every order of events within the bounds,
and finds nothing wrong. With a rule left out it finds what the rule is for."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("ownership.pml")
SECONDS = 240
MEGABYTES = 1500

pytestmark = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None, reason="spin is not installed"
)


def explore(folder, **settings):
    """What spin says of the model: (errors, states, the first line about what went wrong)."""
    defines = [f"-D{name}={value}" for name, value in settings.items()]
    subprocess.run(["spin", "-a", *defines, MODEL], cwd=folder, check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    options = ["-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEGABYTES}"]
    subprocess.run(["gcc", *options, "-o", "pan", "pan.c"], cwd=folder, check=True, timeout=120)
    done = subprocess.run(["./pan", "-m400000", "-n"], cwd=folder, capture_output=True, text=True,
                          timeout=SECONDS)
    said = done.stdout
    assert "max search depth too small" not in said and "out of memory" not in said, said
    errors = int(re.search(r"errors: (\d+)", said).group(1))
    states = int(float(re.search(r"([\d.e+]+) states, stored", said).group(1)))
    wrong = re.search(r"pan:1: (.*)", said)
    return errors, states, wrong.group(1) if wrong else ""


@pytest.mark.parametrize("settings", [
    {"MOVES": 2, "WRITES": 2, "LAPSES": 1},
    {"MOVES": 2, "WRITES": 2, "LAPSES": 0, "CRASHES": 1},
    {"MOVES": 1, "WRITES": 1, "LAPSES": 1, "DELETES": 1},
    {"MOVES": 1, "WRITES": 2, "LAPSES": 1, "STANDINS": 1},
    {"MOVES": 1, "WRITES": 2, "LAPSES": 0, "CRASHES": 1, "STANDINS": 1},
], ids=["a node stops", "a node is lost", "a delete", "a stand-in", "a stand-in is all that is left"])
def test_the_rules_hold(settings, tmp_path):
    errors, states, wrong = explore(tmp_path, **settings)
    print(f"{settings}: {states} states")
    assert errors == 0, wrong
    assert states > 10_000


@pytest.mark.parametrize("settings", [
    {"RULE_SERVE_LEASED": 0},
    {"RULE_ACK_LEASED": 0, "BACKUPS": 2},
    {"RULE_QUERY": 0},
    {"RULE_QUERY": 0, "LAPSES": 0, "CRASHES": 1, "STANDINS": 1},
], ids=["RULE_SERVE_LEASED", "RULE_ACK_LEASED", "RULE_QUERY", "RULE_QUERY, a stand-in"])
def test_a_rule_left_out_is_found(settings, tmp_path):
    errors, _, wrong = explore(tmp_path, **settings)
    print(f"{settings}: {wrong}")
    assert errors > 0 and "assertion violated" in wrong
