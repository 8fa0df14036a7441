"""What the documents show is true: every YAML block and every example is a configuration
that works."""
import json
import re
import subprocess
from pathlib import Path

import pytest
from harness.agents import Agents
from harness.ports import free_port
from harness.proxy import BINARY, ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks():
    for path in DOCUMENTS:
        found = re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        for number, text in enumerate(found, 1):
            yield pytest.param(text, id=f"{path.name}-{number}")
        found = re.findall(r"^```yaml peers\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        for number, text in enumerate(found, 1):
            whole = f"node: app1\nagent:\n  redis: 127.0.0.1:6380\n{text}"
            yield pytest.param(whole, id=f"{path.name}-peers-{number}")
    for path in sorted([*(ROOT / "examples").glob("*.yaml"), *(ROOT / "examples" / "agents").glob("*.yaml")]):
        yield pytest.param(path.read_text(), id=path.name)


@pytest.mark.parametrize("text", blocks())
def test_a_configuration_in_the_documents_passes_the_check(text, tmp_path):
    file = tmp_path / "holdfast.yaml"
    place = "" if "state_dir:" in text else f"state_dir: {tmp_path}\n"
    subprocess.run([BINARY, "keygen", tmp_path / "peer.key"], check=True, capture_output=True, timeout=20)
    file.write_text(place + text.replace("/etc/holdfast/peer.key", str(tmp_path / "peer.key")))
    done = subprocess.run([BINARY, "check", "-c", file], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_such_blocks():
    assert len(list(blocks())) >= 4


def commands_shown():
    """(document, command, words behind it) of each `holdfast COMMAND ...` in a code span or a code block."""
    for path in [*DOCUMENTS, *ROOT.glob("*.md"), *(ROOT / "packaging").glob("*.md")]:
        text = path.read_text()
        spans = re.findall(r"`holdfast ([a-z]+)([^`\n]*)`", text)
        lines = re.findall(r"^\s*(?:\$ )?holdfast ([a-z]+)([^#\n]*)", "".join(text.split("```")[1::2]), re.MULTILINE)
        for command, words in spans + lines:
            yield path.name, command, words.split()


def help_of(*words):
    done = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"holdfast {' '.join(words)} --help: {done.stderr}"
    return done.stdout


def test_each_command_in_the_documents_exists_with_its_options():
    commands = set(re.findall(r"^  (\w+) ", help_of(), re.MULTILINE))
    shown = list(commands_shown())
    assert len({command for _, command, _ in shown}) > 6 and len(shown) > 30
    for document, command, words in shown:
        assert command in commands, f"{document}: holdfast {command}"
        text = help_of(command) if words else ""
        for option in (word for word in words if re.match(r"--?[a-z]", word)):
            assert re.search(rf"(?<![\w-]){option}\b", text), f"{document}: holdfast {command} {option}"
        if command == "ctl" and words and words[0].isalpha():
            assert re.search(rf"^  {words[0]} ", text, re.MULTILINE), f"{document}: holdfast ctl {words[0]}"


def test_the_unit_file_names_real_commands():
    text = Path(ROOT / "packaging" / "holdfast.service").read_text()
    assert {"proxy", "check"} == set(
        re.findall(r"^Exec\w+=/usr/bin/holdfast (\w+)", text, re.MULTILINE)
    )


def named_metrics():
    """{each metric that a document names: the documents}; a family alone (`holdfast_server_*`) is none."""
    found = {}
    for path in DOCUMENTS:
        for name in re.findall(r"\bholdfast_[a-z0-9_]*[a-z0-9]\b(?![*_])", path.read_text()):
            found.setdefault(name, set()).add(path.name)
    return found


def served_metrics(run_proxy, backends, directory):
    """Of a proxy with a table, and of an agent with peers and an external store (which need not be there)."""
    proxy = run_proxy([backends("app1")], pool_keys={"affinity": [{"learn": "sid", "size": 1000}]})
    external = {"url": f"redis://127.0.0.1:{free_port()}/0"}
    agents = Agents(directory / "agents", count=2, mode="external", external=external)
    try:
        agents.start()
        texts = [proxy.admin("/metrics")[1], agents.agents["a"].admin("/metrics")]
        return set(re.findall(r"^# TYPE (\w+)", "".join(texts), re.MULTILINE))
    finally:
        agents.stop()


def test_the_metrics_in_the_documents_are_those_that_are_served(run_proxy, backends, tmp_path):
    named, served = named_metrics(), served_metrics(run_proxy, backends, tmp_path)
    assert not {name: where for name, where in named.items() if name not in served}
    assert not served - set(named), "say in docs/ what they count"


def table_rows(document, heading):
    """The words in code spans that begin the rows of a section."""
    text = (ROOT / "docs" / document).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {word for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for word in re.findall(r"`(\S+?)`", row)}


def test_the_keys_and_words_of_the_access_log_are_documented():
    source = (ROOT / "src/proxy/access_log.c").read_text()
    keys = set(re.findall(r'put_json\(line, "(\w+)"|\\"(\w+)\\":', source))
    keys = {one or other for one, other in keys}
    affinity = (ROOT / "src/affinity/affinity.h").read_text()
    verdicts = set(re.findall(r'ROW\(\w+, "(\w+)", "', affinity.split("HF_AFFINITY_VERDICTS")[1]))
    ends = set(re.findall(r'\[HF_END_\w+\] = \{"(\w+)"', (ROOT / "src/proxy/steps.c").read_text()))
    assert len(keys) > 15 and len(verdicts) > 15 and len(ends) > 5
    shown = table_rows("observability.md", "The access log")
    assert shown == keys | verdicts | ends | {"balanced", "-", "verdict"}


def test_the_keys_that_agents_know_are_documented():
    source = (ROOT / "src/store/pattern.c").read_text()
    values = re.findall(r'VALUE\("(\S+)", (\w+)\)', source)
    beside = re.findall(r'SATELLITE\("(\S+)"\)', source)
    assert len(values) > 15 and len(beside) > 5
    text = (ROOT / "docs/agent.md").read_text().split("\n### Keys that are known\n")[1].split("\n## ")[0]
    rows = {key: row for row in text.splitlines() for key in re.findall(r"`(\S+\{id\}\S*)`", row)}
    for key, word in values:
        assert rows[key].endswith(f"| `{word.lower()}` |"), key
    assert set(beside) - set(rows) <= {"PHPREDIS_SESSION:{id}_LOCK"}
    assert set(rows) <= {key for key, _ in values} | set(beside)


def test_the_keys_of_a_server_are_documented(run_proxy, backends):
    proxy = run_proxy([backends("app1")])
    served = json.loads(proxy.admin("/v1/servers")[1])["servers"][0]
    configured = {"pool", "name", "address", "weight", "backup"}
    assert table_rows("admin-api.md", "GET /v1/servers") == set(served) - configured


def test_the_reasons_of_refusals_are_those_in_the_code():
    text = (ROOT / "docs/failure.md").read_text().split("\n| `reason`, beside")[1].split("\n\n")[0]
    reasons = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)
    source = "".join(path.read_text() for path in (ROOT / "src/proxy").glob("*.c"))
    assert len(reasons) == 3
    assert not [reason for reason in reasons if f'"{reason}"' not in source]
