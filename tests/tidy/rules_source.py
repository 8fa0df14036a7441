"""Rules that look at one C file at a time."""

import re

from c_source import deepest_nesting
from tree import Finding

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
PARAMETERS_MAX = 6
NESTING_MAX = 3
COLUMNS_MAX = 100

_USE_INSTEAD = {
    "strcpy": "memcpy with a checked size",
    "strncpy": "memcpy with a checked size",
    "stpcpy": "memcpy with a checked size",
    "strcat": "a bounded writer or snprintf",
    "strncat": "a bounded writer or snprintf",
    "sprintf": "snprintf, and look at what it answers",
    "vsprintf": "vsnprintf, and look at what it answers",
    "strtok": "slices (base/slice.h)",
    "strtok_r": "slices (base/slice.h)",
    "atoi": "hf_slice_to_u64",
    "atol": "hf_slice_to_u64",
    "atoll": "hf_slice_to_u64",
    "atof": "strtod, and look at its end pointer",
    "gets": "a bounded read",
    "alloca": "an array of a named maximum, or an arena",
    "rand": "hf_rng_u64 (base/rng.h)",
    "srand": "hf_rng_seed (base/rng.h)",
    "random": "hf_rng_u64 (base/rng.h)",
    "drand48": "hf_rng_u64 (base/rng.h)",
    "sleep": "a timer of the loop, or poll with a deadline",
    "usleep": "a timer of the loop, or poll with a deadline",
    "nanosleep": "a timer of the loop, or poll with a deadline",
    "clock_nanosleep": "a timer of the loop, or poll with a deadline",
}

# Time, randomness and readiness have one door each, so that a simulator can stand in it.
_DOORS = {
    "time": "src/base/clock.c",
    "gettimeofday": "src/base/clock.c",
    "clock_gettime": "src/base/clock.c",
    "getrandom": "src/base/rng.c",
    "getentropy": "src/base/rng.c",
    "epoll_wait": "src/net/loop.c",
    "epoll_pwait2": "src/net/loop.c",
    "epoll_ctl": "src/net/loop.c",
}

# Codecs and algorithms: bytes in, answer out.
_PURE = ("src/proto/", "src/balance/")
_IO_HEADERS = re.compile(r"<(sys/(socket|epoll|un|ioctl|uio)|unistd|fcntl|poll|netdb|pthread)\.h>")
_ALLOCATORS = {"malloc", "calloc", "realloc", "free", "strdup", "strndup", "aligned_alloc"}
_LIFETIME = re.compile(r"_(new|free|init|fini)$")


def is_test(path):
    return path.endswith("_test.c") or not path.startswith("src/")


def calls(tokens):
    """(name, line) of each call; not members, which have names of their own."""
    for before, name, after in zip([None] + tokens, tokens, tokens[1:]):
        if name.kind == "name" and after.text == "(":
            if before is None or before.text not in (".", "->"):
                yield name.text, name.line


def check_columns(source):
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield Finding(source.path, number, "columns", f"{len(line)} columns: wrap at {COLUMNS_MAX}")


def check_file_lines(source):
    count = source.text.count("\n")
    if count > FILE_LINES_MAX:
        advice = f"{count} lines: split it by what changes together (at most {FILE_LINES_MAX})"
        yield Finding(source.path, 1, "file-lines", advice)


def check_function_lines(source):
    for function in source.functions:
        count = function.end_line - function.line + 1
        if count > FUNCTION_LINES_MAX:
            advice = f"{function.name} has {count} lines: give its parts names (at most {FUNCTION_LINES_MAX})"
            yield Finding(source.path, function.line, "function-lines", advice)


def check_parameters(source):
    for function in source.functions:
        if function.parameters > PARAMETERS_MAX:
            advice = f"{function.name} takes {function.parameters} parameters: pass a struct (at most 6)"
            yield Finding(source.path, function.line, "parameters", advice)


def check_nesting(source):
    for function in source.functions:
        levels, line = deepest_nesting(function.body)
        if levels > NESTING_MAX:
            advice = f"{levels} levels in {function.name}: return early or name the inner part (at most 3)"
            yield Finding(source.path, line, "nesting", advice)


def check_banned_calls(source):
    for name, line in calls(source.tokens + source.macro_tokens):
        if name in _USE_INSTEAD:
            yield Finding(source.path, line, "banned-call", f"{name}: use {_USE_INSTEAD[name]}")


def check_doors(source):
    if is_test(source.path):
        return
    for name, line in calls(source.tokens + source.macro_tokens):
        if name in _DOORS and source.path != _DOORS[name]:
            yield Finding(source.path, line, "one-door", f"{name}: only {_DOORS[name]} asks the system")


def check_purity(source):
    if not source.path.startswith(_PURE) or is_test(source.path):
        return
    for directive in source.directives:
        if directive.name == "include" and _IO_HEADERS.match(directive.rest):
            advice = f"{directive.rest}: this folder is pure; move the I/O up a layer"
            yield Finding(source.path, directive.line, "pure", advice)
    for function in source.functions:
        for name, line in calls(function.body):
            if name in _ALLOCATORS and not _LIFETIME.search(function.name):
                advice = f"{name} in {function.name}: only new/free and init/fini allocate in this folder"
                yield Finding(source.path, line, "pure", advice)


def check_directives_in_functions(source):
    for directive in source.directives:
        if directive.name not in ("if", "ifdef", "ifndef", "elif", "else"):
            continue
        for function in source.functions:
            if function.line < directive.line < function.end_line:
                advice = f"#{directive.name} inside {function.name}: choose between two whole functions"
                yield Finding(source.path, directive.line, "ifdef", advice)


def check_include_guard(source):
    if not source.path.endswith(".h"):
        return
    if not any(d.name == "pragma" and d.rest == "once" for d in source.directives):
        yield Finding(source.path, 1, "pragma-once", "open with a comment, then #pragma once")


def check_header_comment(source):
    if not source.path.endswith(".h") or not source.path.startswith("src/"):
        return
    first = source.comments[0] if source.comments else None
    if first is None or first[0] != 1:
        yield Finding(source.path, 1, "header-comment", "open with: purpose, what it never does, Threads:, Layer:")
        return
    needed = ["Layer:"] + (["Threads:"] if _declares_functions(source) else [])
    for word in needed:
        if word not in first[2]:
            yield Finding(source.path, first[1], "header-comment", f"the opening comment has no `{word}`")


def _declares_functions(source):
    return bool(source.functions) or bool(declared_functions(source))


def declared_functions(source):
    """(name, line) of each prototype at file level."""
    found, depth, tokens = [], 0, source.tokens
    typedef = False
    for position, token in enumerate(tokens):
        if depth == 0 and token.text == "typedef":
            typedef = True
        if token.text == ";" and depth == 0:
            typedef = False
        if token.text == "(" and depth == 0 and not typedef and position > 0:
            name = tokens[position - 1]
            macro = name.text.isupper() or name.text in ("__attribute__", "_Static_assert")
            if name.kind == "name" and not macro:
                found.append((name.text, name.line))
        depth += (token.text in "([{") - (token.text in ")]}")
    return found


def check_typedefs(source):
    tokens = source.tokens
    for position, token in enumerate(tokens):
        if token.text != "typedef":
            continue
        end = position
        while end < len(tokens) and tokens[end].text != ";":
            end += 1
        text = " ".join(piece.text for piece in tokens[position:end])
        if not re.search(r"\( \* \w+_fn \) \(|\w+_fn \(", text):
            advice = "only function pointers get a typedef, called hf_<noun>_fn"
            yield Finding(source.path, token.line, "typedef", advice)


def check_owed_work(source):
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    for first, _, text in source.comments:
        match = words.search(text)
        if match:
            line = first + text[: match.start()].count("\n")
            advice = "do it, or name it under `Known gaps` in CHANGELOG.md and drop the mark"
            yield Finding(source.path, line, "owed-work", advice)


SOURCE_RULES = [
    check_columns, check_file_lines, check_function_lines, check_parameters, check_nesting,
    check_banned_calls, check_doors, check_purity, check_directives_in_functions,
    check_include_guard, check_header_comment, check_typedefs, check_owed_work,
]
