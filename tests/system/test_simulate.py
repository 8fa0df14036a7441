"""holdfast simulate: what it prints, draws and refuses. What it counts is checked beside its code."""
import json
import re
import shlex
import subprocess
import xml.etree.ElementTree as xml

import pytest
from harness.clock import scaled
from harness.proxy import BINARY, ROOT

SCENARIOS = sorted((ROOT / "examples" / "simulate").glob("*.yaml"))
GUIDE = ROOT / "docs" / "balancing.md"
SMALL = """\
duration: 10m
users:
  count: 2000
  arrive: 1m
  session: 1h
  nat: [{share: 0%}, {share: 50%, addresses: 2}]
servers: {count: 10}
pools:
  - {name: sealed, balance: least_connections, affinity: [{cookie: HOLDFAST}]}
  - {name: by-address, affinity: [{source_ip: hash}]}
events: [{at: 5m, crash: app3}, {at: 8m, add: 2}]
"""


def simulate(*words, code=0, cwd=None):
    done = subprocess.run(
        [BINARY, "simulate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=scaled(120),
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == code, done
    return done


@pytest.fixture
def scenario(tmp_path):
    def made(text=SMALL, name="scenario.yaml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return made


def counted(*words):
    """The document without what a run costs, which is another one each time."""

    def stripped(value):
        if isinstance(value, dict):
            return {key: stripped(one) for key, one in value.items() if key != "cost"}
        return [stripped(one) for one in value] if isinstance(value, list) else value

    return stripped(json.loads(simulate(*words, "--json").stdout))


def test_the_report_has_a_row_for_each_pool_way_of_sharing_and_event(scenario):
    text = simulate("-c", scenario()).stdout
    assert text.startswith(f"{scenario()}: 2,000 users, 10m, seed 1\n")
    loads, events = text.split("\nEvents: ")
    for row in ("sealed +least_connections", "by-address +round_robin"):
        assert len(re.findall(rf"^{row} +no sharing +10 +2,000 ", loads, re.M)) == 1
        assert len(re.findall(rf"^{row} +50% behind 2 +10 +2,000 ", loads, re.M)) == 1
    assert len(re.findall(r"^(sealed|by-address) .* 5m +crash app3 +2,000 ", events, re.M)) == 4
    assert len(re.findall(r"^(sealed|by-address) .* 8m +add 2 ", events, re.M)) == 4
    assert re.search(r"^[\d.]+ s on the wall, [\d.]+ s of processor; [\d,]+ MiB at most", text, re.M)


def test_the_same_seed_gives_the_same_document_whatever_the_threads(scenario):
    file = scenario()
    first = counted("-c", file, "--threads", 1)
    assert first == counted("-c", file, "--threads", 2)
    assert first != counted("-c", file, "--seed", 2)
    assert counted("-c", file, "--seed", 2) == counted("-c", scenario("seed: 2\n" + SMALL))


def test_the_document_says_what_happened(scenario):
    document = counted("-c", scenario())
    assert document["users"] == 2000 and document["seed"] == 1
    assert [(one["pool"], one["nat"]["share_percent"]) for one in document["results"]] == [
        ("sealed", 0), ("sealed", 50), ("by-address", 0), ("by-address", 50)
    ]
    sealed, by_address = document["results"][1], document["results"][3]
    assert [row["event"] for row in sealed["events"]] == ["start", "crash app3", "add 2"]
    assert sealed["load"]["max_over_mean"] < 1.2
    assert by_address["load"]["max_over_mean"] > 2  # two addresses hold half of the users
    assert sealed["events"][2]["moved"] == 0
    assert by_address["events"][2]["moved"] > by_address["events"][2]["returned"] / 2
    assert len(sealed["servers_at_peak"]) == 10 and len(sealed["samples"]) == 240


def test_the_picture_is_one_svg_that_needs_nothing_else(scenario, tmp_path):
    plot = tmp_path / "plot.svg"
    assert simulate("-c", scenario(), "--plot", plot).stdout
    root = xml.parse(plot).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in ("sealed, no sharing", "by-address, 50% behind 2", "5m: crash app3"):
        assert text in texts
    assert "prefers-color-scheme: dark" in plot.read_text()
    assert not re.search(r"<script|href|url\(|<image", plot.read_text())
    width, height = float(root.get("width")), float(root.get("height"))
    for one in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(one.get("x")) <= width and 0 <= float(one.get("y")) <= height


def test_a_picture_that_cannot_be_written_is_told(scenario, tmp_path):
    done = simulate("-c", scenario(), "--plot", tmp_path / "no" / "plot.svg", code=1)
    assert done.stderr == f"holdfast simulate: {tmp_path}/no/plot.svg: No such file or directory\n"


@pytest.mark.parametrize(
    "change, line, told",
    [
        (("count: 2000", "cuont: 2000"), 3, "unknown key 'cuont' in users: did you mean 'count'?"),
        (("arrive: 1m", "arrive: 1"), 4, "'arrive' is '1': a time is a whole number and a unit"),
        (("balance: least", "balance: lest"), 9, "did you mean 'least_connections'?"),
        (("crash: app3", "crash: ap3"), 11, "'crash' names 'ap3', which no pool has: did you mean"),
        (("at: 8m", "at: 80m"), 11, "an event behind 'duration': write a longer duration"),
        (("add: 2", "add: 2, drain: app1"), 11, "an event is one thing that happens: write at:"),
        (("servers: {", "configuration: x.yaml\nservers: {"), 7, "write one of 'pools'"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_to_write(scenario, change, line, told):
    file = scenario(SMALL.replace(*change))
    done = simulate("-c", file, code=1)
    assert done.stdout == ""
    assert any(
        message.startswith(f"{file}:{line}: ") and told in message
        for message in done.stderr.splitlines()
    ), done.stderr


def test_wrong_words_are_told():
    assert "usage: holdfast simulate -c FILE" in simulate(code=2).stderr
    assert "--users is '0': write a whole number, 1 to" in simulate(
        "-c", SCENARIOS[0], "--users", 0, code=2
    ).stderr
    assert "--threads is 'many'" in simulate("-c", "x", "--threads", "many", code=2).stderr
    assert "nowhere.yaml: " in simulate("-c", "nowhere.yaml", code=1).stderr


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_each_example_runs(file):
    document = counted("-c", file, "--users", 2000)
    assert document["users"] == 2000 and document["results"]


def test_comparing_takes_every_balancer_that_a_configuration_knows(scenario):
    words = re.search(
        r"^\| `balance` \| choice \|[^|]*\|([^|]*)\|", (ROOT / "docs/configuration.md").read_text(),
        re.M,
    )[1]
    known = re.findall(r"`(\w+)`(?! \*not yet\*)", words)
    pools = SMALL[SMALL.index("pools:") : SMALL.index("events:")]
    document = counted("-c", scenario(SMALL.replace(pools, "compare: [balance]\n")))
    assert [one["pool"] for one in document["results"]][::2] == known and len(known) >= 5


def commands():
    return re.findall(r"^holdfast simulate (.*)$", GUIDE.read_text(), re.M)


@pytest.mark.parametrize("words", commands())
def test_each_command_of_the_guide_works(words, tmp_path):
    words = [
        str(tmp_path / "plot.svg") if word.endswith(".svg") else word for word in shlex.split(words)
    ]
    assert simulate(*words, "--users", 1000, cwd=ROOT).stdout
    assert "--plot" not in words or xml.parse(tmp_path / "plot.svg")


def test_the_guide_shows_commands_and_the_scripts_pictures():
    assert len(commands()) >= 3
    shown = set(re.findall(r"\(balancing/([\w-]+)\.svg\)", GUIDE.read_text()))
    drawn = set(re.findall(r"^([\w-]+)$", (ROOT / "docs/balancing/pictures").read_text(), re.M))
    assert shown and shown == drawn == {one.stem for one in (ROOT / "docs/balancing").glob("*.svg")}
