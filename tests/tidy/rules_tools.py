"""Rules that a compiler or a formatter judges."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tree import Finding

COMPILERS = ("gcc", "clang")
_TEST_ONLY = ("-D_GNU_SOURCE", '-DHF_VERSION="0"', "-DHF_TEST_BUILD")


def _run(command, top):
    return subprocess.run(command, cwd=top, capture_output=True, text=True, check=False)


def _compile_alone(tree, compiler, path):
    command = [compiler, "-std=gnu17", "-fsyntax-only", "-x", "c", "-Isrc", *_TEST_ONLY, path]
    ended = _run(command, tree.top)
    if ended.returncode == 0:
        return None
    said = re.search(r"^([^:\s]+):(\d+):[\d:]* (?:fatal )?error: (.*)$", ended.stderr, re.MULTILINE)
    place, line, why = said.groups() if said else (path, "1", ended.stderr[:200])
    advice = f"{why}: include what it uses ({compiler})"
    return Finding(place, int(line), "self-contained", advice)


def check_headers_alone(tree):
    headers = [path for path in tree.matching(".h") if path.startswith("src/")]
    for compiler in COMPILERS:
        if not shutil.which(compiler):
            yield Finding("src", 1, "self-contained", f"{compiler} is not installed: scripts/install-deps test")
            continue
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda path, by=compiler: _compile_alone(tree, by, path), headers)
            yield from sorted(set(filter(None, found)))  # one that others include breaks them all


def check_format(tree):
    if not shutil.which("clang-format"):
        yield Finding("src", 1, "format", "clang-format is not installed: scripts/install-deps test")
        return
    files = tree.matching(".c", ".h")
    if not files:
        return
    ended = _run(["clang-format", "--dry-run", "--Werror", "--ferror-limit=1", *files], tree.top)
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: error: ", ended.stderr, re.MULTILINE):
        yield Finding(path, int(line), "format", "run `make format`")
    if ended.returncode != 0 and "error: " not in ended.stderr:
        yield Finding(".clang-format", 1, "format", ended.stderr.strip()[:200])


TOOL_RULES = [check_headers_alone, check_format]
