"""Rules about the documents: what they point at exists."""

import os
import re

from tree import Finding

_ARCHITECTURE = "docs/ARCHITECTURE.md"
_CONFIGURATION = "docs/configuration.md"
_PROTOCOLS = "docs/agent-protocols.md"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_REFERENCE = re.compile(r"`((?:src/)?[\w/]+\.(?:[ch]|def)|tests/[\w/]+\.py):(\w+)`")


def _prose(text):
    """The lines of a document, with fenced blocks blanked."""
    fenced = False
    for line in text.split("\n"):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            yield ""
        else:
            yield "" if fenced else line


def anchors(text):
    """What #fragments may name: the headings as a web front end spells them."""
    found = set()
    for line in _prose(text):
        heading = re.match(r"#+\s+(.*)", line)
        if heading:
            words = re.sub(r"[^\w\s-]", "", heading.group(1).lower())
            found.add(re.sub(r"\s", "-", words.strip()))
    return found


def check_links(tree):
    for path in tree.matching(".md"):
        for number, line in enumerate(_prose(tree.text(path)), 1):
            for target in _LINK.findall(line):
                wrong = _broken(tree, path, target)
                if wrong:
                    yield Finding(path, number, "links", f"{target}: {wrong}")


def _broken(tree, path, target):
    if re.match(r"[a-z]+:", target):
        return None
    name, _, fragment = target.partition("#")
    place = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
    if not os.path.exists(os.path.join(tree.top, place)):
        return "there is no such file"
    if fragment and place.endswith(".md") and fragment not in anchors(tree.text(place)):
        return "there is no such heading"
    return None


def check_folders_named(tree):
    if _ARCHITECTURE not in tree.files:
        yield Finding(_ARCHITECTURE, 1, "folders", "it is missing")
        return
    text = tree.text(_ARCHITECTURE)
    folders = {path.split("/")[1] for path in tree.matching(".c") if path.startswith("src/")}
    for folder in sorted(folders):
        if f"{folder}/" not in text:
            yield Finding(_ARCHITECTURE, 1, "folders", f"src/{folder}/ is not named: say what it is for")


def check_references(tree):
    """`proxy/steps.c:hf_step_route` names a function that stands in that file, and
    `tests/interop/test_x.py:test_y` a test."""
    for path in tree.matching(".md"):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for name, function in _REFERENCE.findall(line):
                place = name if name.startswith(("src/", "tests/")) else f"src/{name}"
                if place not in tree.files:
                    yield Finding(path, number, "references", f"{name}: there is no such file")
                elif not re.search(rf"\b{function}\b", tree.text(place)):
                    yield Finding(path, number, "references", f"{name} has no {function}")


def check_keys_documented(tree):
    """Each key of the schema tables stands in the reference."""
    reference = tree.text(_CONFIGURATION) if _CONFIGURATION in tree.files else ""
    for source in tree.c_sources(".c"):
        if not source.path.startswith("src/config/") or source.path.endswith("_test.c"):
            continue
        for number, line in enumerate(source.lines, 1):
            for key in re.findall(r"\{\.key = \"(\w+)\"", line):
                if f"`{key}`" not in reference:
                    advice = f"`{key}` is not in {_CONFIGURATION}: say what it does and its default"
                    yield Finding(source.path, number, "keys", advice)


def check_commands_documented(tree):
    """Each command that the agent's codecs understand stands in their reference."""
    reference = tree.text(_PROTOCOLS) if _PROTOCOLS in tree.files else ""
    for path in tree.matching("_commands.def", "_subcommands.def"):
        rows = re.findall(r'^HF_\w+_ROW\(.*?"(\w+)"', tree.text(path), re.MULTILINE)
        for name in rows:
            if not re.search(rf"`(?:\w+ )?{name.upper()}\b", reference):
                advice = f"`{name.upper()}` is not in {_PROTOCOLS}: say what it is for"
                yield Finding(path, 1, "commands", advice)


DOC_RULES = [check_links, check_folders_named, check_references, check_keys_documented,
             check_commands_documented]
