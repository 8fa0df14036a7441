"""A strict reader of the Prometheus text format 0.0.4; what it accepts, every scraper does."""
import math
import re

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\Z)')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.kind = name, help_text, None
        self.samples = {}  # (sample's name, sorted labels) -> value

    def value(self, **labels):
        """The sum of the samples that carry these labels."""
        return sum(
            value for (_, own), value in self.samples.items() if labels.items() <= dict(own).items()
        )


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        found = LABEL.match(text, at)
        assert found, f"not a label: {text[at:]!r}"
        assert found[1] not in labels, f"label twice: {found[1]}"
        assert not found[1].startswith("__"), f"reserved label: {found[1]}"
        labels[found[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], found[2])
        at = found.end()
        assert found[3] != "," or at < len(text), "a comma at the end"
    return tuple(sorted(labels.items()))


def parse_value(text):
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text.replace("Inf", "inf"))
    assert re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text), f"not a number: {text!r}"
    return float(text)


def parse(text):
    """{name: Family}. Fails at anything that is not exactly the format, or against its conventions."""
    assert text.endswith("\n"), "the last line has no end"
    families, current = {}, None
    for line in text[:-1].split("\n"):
        assert line == line.strip() and line, f"blank: {line!r}"
        if line.startswith("# HELP "):
            name, _, rest = line[7:].partition(" ")
            assert name not in families, f"{name} comes in two places"
            assert rest, f"{name} has no help"
            current = families[name] = Family(name, rest)
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert (
                current and name == current.name and current.kind is None
            ), f"TYPE out of place: {line}"
            assert not current.samples and kind in ("counter", "gauge", "histogram"), line
            current.kind = kind
        else:
            assert not line.startswith("#"), f"odd comment: {line}"
            add_sample(current, line)
    for family in families.values():
        check_family(family)
    return families


def add_sample(family, line):
    found = SAMPLE.match(line)
    assert found, f"not a sample: {line!r}"
    assert family and family.kind, f"no HELP and TYPE before {line!r}"
    allowed = [family.name + suffix for suffix in SUFFIXES.get(family.kind, ("",))]
    assert found[1] in allowed, f"{found[1]} stands in the family {family.name}"
    key = (found[1], parse_labels(found[2] or ""))
    assert key not in family.samples, f"twice: {line}"
    family.samples[key] = parse_value(found[3])


def check_family(family):
    """The conventions: prefix, _total for counters alone, base units, whole histograms."""
    assert NAME.match(family.name) and family.name.startswith("holdfast_"), family.name
    assert family.samples, f"{family.name} has no samples"
    assert family.help.endswith("."), f"{family.name}: help is no sentence: {family.help}"
    assert family.name.endswith("_total") == (
        family.kind == "counter"
    ), f"{family.name} is a {family.kind}"
    assert not re.search(
        r"_(ms|us|milliseconds|microseconds|kb|mb)(_|\Z)", family.name
    ), family.name
    if family.kind == "counter":
        assert all(value >= 0 for value in family.samples.values()), family.name
    if family.kind == "histogram":
        check_histogram(family)


def check_histogram(family):
    rows = {}
    for (name, labels), value in family.samples.items():
        own = tuple(pair for pair in labels if pair[0] != "le")
        row = rows.setdefault(own, {"buckets": []})
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            row["buckets"].append((math.inf if bound == "+Inf" else float(bound), value))
        else:
            row[name.rsplit("_", 1)[1]] = value
    for own, row in rows.items():
        bounds = [bound for bound, _ in row["buckets"]]
        counts = [count for _, count in row["buckets"]]
        assert (
            bounds == sorted(set(bounds)) and bounds[-1] == math.inf
        ), f"{family.name}{own}: bounds"
        assert counts == sorted(counts), f"{family.name}{own}: buckets do not add up"
        assert counts[-1] == row["count"], f"{family.name}{own}: +Inf is not the count"
        assert row["sum"] >= 0, f"{family.name}{own}: sum"
