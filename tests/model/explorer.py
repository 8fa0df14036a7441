"""Runs spin: every order of events of a model, within the bounds that its settings give."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 240
MEGABYTES = 1500

needs_spin = pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None, reason="spin is not installed"
)


def explore(model, folder, **settings):
    """What spin says of the model: (errors, states, the first line about what went wrong)."""
    defines = [f"-D{name}={value}" for name, value in settings.items()]
    path = Path(__file__).with_name(model)
    subprocess.run(["spin", "-a", *defines, path], cwd=folder, check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    # To optimise would take longer than the exploring.
    options = ["-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", f"-DMEMLIM={MEGABYTES}"]
    subprocess.run(["gcc", *options, "-o", "pan", "pan.c"], cwd=folder, check=True, timeout=120)
    done = subprocess.run(["./pan", "-m400000", "-n"], cwd=folder, capture_output=True, text=True,
                          timeout=SECONDS)
    said = done.stdout
    assert "max search depth too small" not in said and "out of memory" not in said, said
    errors = int(re.search(r"errors: (\d+)", said).group(1))
    states = int(float(re.search(r"([\d.e+]+) states, stored", said).group(1)))
    wrong = re.search(r"pan:1: (.*)", said)
    return errors, states, wrong.group(1) if wrong else ""


def holds(model, folder, least_states, **settings):
    """Asserts that nothing goes wrong, and that there was something that could."""
    errors, states, wrong = explore(model, folder, **settings)
    print(f"{settings}: {states} states")
    assert errors == 0, wrong
    assert states > least_states


def is_found(model, folder, **settings):
    """Asserts that something goes wrong."""
    errors, states, wrong = explore(model, folder, **settings)
    print(f"{settings}: {wrong}, {states} states")
    assert errors > 0 and "assertion violated" in wrong
