"""What the documents show is true: every YAML block and every example is a configuration
that works."""
import re
import subprocess
from pathlib import Path

import pytest
from harness.proxy import BINARY, ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {"proxy", "check", "ctl", "keygen", "version"}


def blocks():
    for path in DOCUMENTS:
        found = re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        for number, text in enumerate(found, 1):
            yield pytest.param(text, id=f"{path.name}-{number}")
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        yield pytest.param(path.read_text(), id=path.name)


@pytest.mark.parametrize("text", blocks())
def test_a_configuration_in_the_documents_passes_the_check(text, tmp_path):
    file = tmp_path / "holdfast.yaml"
    place = "" if "state_dir:" in text else f"state_dir: {tmp_path}\n"
    file.write_text(place + text)
    done = subprocess.run([BINARY, "check", "-c", file], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_such_blocks():
    assert len(list(blocks())) >= 4


def test_each_command_in_the_readme_exists():
    shown = set(re.findall(r"^holdfast (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert shown and shown <= COMMANDS
    for word in shown:
        done = subprocess.run([BINARY, word, "--help"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, f"holdfast {word} --help: {done.stderr}"


def test_the_unit_file_names_real_commands():
    text = Path(ROOT / "packaging" / "holdfast.service").read_text()
    assert {"proxy", "check"} == set(
        re.findall(r"^Exec\w+=/usr/bin/holdfast (\w+)", text, re.MULTILINE)
    )
