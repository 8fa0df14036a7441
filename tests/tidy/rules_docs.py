"""Rules about the documents: what they point at exists."""

import fnmatch
import os
import re

from tree import Finding

_ARCHITECTURE = "docs/ARCHITECTURE.md"
_CONFIGURATION = "docs/configuration.md"
_PROTOCOLS = "docs/agent-protocols.md"
# Where a word with a slash is a path of this tree, and the endings that make one of a word alone.
_TOP_FOLDERS = ("bench", "docs", "examples", "fuzz", "packaging", "scripts", "src", "tests", "web")
_SOURCE_ENDINGS = (".c", ".h", ".def", ".py", ".pml")
_PATH = re.compile(rf"(?<![\w./:@-])(?:{'|'.join(_TOP_FOLDERS)})/[\w./*-]*[\w*/]")
_SPAN = re.compile(r"`([^`<\s:]+)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"docs/[\w/.-]*\w\.md\b")
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
    """Each folder of code has its word in the picture of the whole; one with a page of its own has that."""
    if _ARCHITECTURE not in tree.files:
        yield Finding(_ARCHITECTURE, 1, "folders", "it is missing")
        return
    text = tree.text(_ARCHITECTURE)
    folders = {os.path.dirname(path) for path in tree.matching(".c") if path.startswith("src/")}
    for folder in sorted(folders):
        named = folder.removeprefix("src/")
        if not re.search(rf"(?<![\w/]){named}/|src/{named}/", text) and f"{folder}/README.md" not in tree.files:
            yield Finding(_ARCHITECTURE, 1, "folders", f"{folder}/ is not named: say what it is for")


def check_paths(tree):
    """A path that a document names leads to a file or a folder of the tree: in prose, in code spans and
    in commands. A word in capitals (`fuzz/corpus/TARGET/`) and a star stand for any."""
    folders = {os.path.dirname(path) for path in tree.files}
    folders |= {os.path.dirname(folder) for folder in folders}
    code = {folder.split("/")[1] for folder in folders if folder.startswith("src/")}
    known = set(tree.files) | folders
    for path in tree.matching(".md"):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            named = {name for name in _SPAN.findall(line) if _is_code(name, code)}
            for name in sorted(named | set(_PATH.findall(line))):
                if not _leads_somewhere(known, path, name):
                    yield Finding(path, number, "paths", f"{name}: there is no such file or folder")


def _is_code(name, code):
    first, slash, _ = name.partition("/")
    return first in code if slash else name.endswith(_SOURCE_ENDINGS)


def _leads_somewhere(known, path, name):
    """From the top, from src/, or, as a file's name alone, from anywhere; the ending may be left out."""
    name = re.sub(r"\b[A-Z]{2,}\b", "*", name) if name not in known else name
    name = name.rstrip("/")
    places = [name, f"src/{name}", os.path.join(os.path.dirname(path), name)]
    if "/" not in name:
        places.append(f"*/{name}")
    return any(fnmatch.filter(known, place) or fnmatch.filter(known, f"{place}.h") for place in places)


def check_identifiers(tree):
    """A name of the code that a document mentions is in the code; a family (`hf_x_*`) has members."""
    names = set()
    for path in tree.matching(".c", ".h", ".def"):
        names.update(re.findall(r"\b(?:hf|HF)_\w+", tree.text(path)))
    for path in tree.matching(".md"):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for name in re.findall(r"\b(?:hf|HF)_\w*\w(?![\w<])\*?", line):
                if name not in names and not (name[-1] in "*_" and any(n.startswith(name.rstrip("*")) for n in names)):
                    yield Finding(path, number, "identifiers", f"{name} is nowhere in the code")


def check_targets(tree):
    """`make TARGET` in a code span or a code block names a target that there is."""
    targets = set()
    for line in re.findall(r"^([a-z ]+):", tree.text("Makefile") if "Makefile" in tree.files else "", re.MULTILINE):
        targets |= set(line.split())
    for path in tree.matching(".md"):
        fenced = False
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            fenced ^= line.startswith("```")
            pattern = r"\bmake ([a-z]+)" if fenced else r"`(?:[A-Z_]+=\S+ )?make ([a-z]+)"
            for target in re.findall(pattern, line.partition("#")[0] if fenced else line):
                if target not in targets:
                    yield Finding(path, number, "targets", f"make {target}: there is no such target")


def check_blanks(tree):
    """No place of a template was left unfilled: a line that is @WORD@ and nothing else."""
    for path in tree.matching(".md"):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if re.fullmatch(r"\s*@\w+@\s*", line):
                yield Finding(path, number, "blanks", f"{line.strip()}: write what belongs here")


def check_documents_named(tree):
    """A document that code, a test or a script sends its reader to is there."""
    for path in tree.matching(".c", ".h", ".def", ".py", ".build", ".pml", ".yaml"):
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for name in _NAMED.findall(line):
                if name not in tree.files and not path.startswith("tests/tidy/"):
                    yield Finding(path, number, "documents", f"{name}: there is no such document")


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


DOC_RULES = [check_links, check_folders_named, check_paths, check_identifiers, check_targets, check_blanks,
             check_documents_named, check_references, check_keys_documented, check_commands_documented]
