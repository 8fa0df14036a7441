"""Rules that look at several files together: layers, names, magics, builds, documents."""

import os
import re

from rules_source import calls, declared_functions, is_test
from tree import Finding

# A folder includes only folders of lower layers, and these of its own layer.
LAYERS = [
    {"base"},
    {"proto", "balance", "net", "table", "model", "store"},
    {"affinity", "upstream", "config", "fabric", "remote"},
    {"proxy", "agent", "migrate", "admin", "sim"},
    {"cmd"},
]
SIBLINGS = {
    # addresses, cookie attributes and what hashes precompute are values of a configuration
    "model": {"balance", "net", "proto"},
}
# Whatever the layers say: who must run without whom.
NEVER = {
    "proxy": {"store", "agent", "admin"},
    "admin": {"proxy"},
}
NEVER_INCLUDED = {"cmd", "tests"}
ONLY_FROM_CMD = {"sim"}  # it drives the product's code; the product does not know it

# Nouns that a file may use beside its folder, the files of its folder, and the structs and enums it
# declares.
NOUNS = {
    "src/base/assert.h": {"check"},
    "src/base/hash.h": {"hash64"},
    "src/base/rng.h": {"random"},
    "src/proto/http.h": {"status"},
    "src/net/conn.h": {"connect"},
    "src/net/listener.h": {"listen"},
    "src/base/metrics.h": {"count"},
    "src/agent/redis/resp_client.h": {"resp_go", "resp_prepare"},
}


def _layer(folder):
    for number, folders in enumerate(LAYERS):
        if folder in folders:
            return number
    return None


def _folder(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def _included(tree, source, rest):
    """The path of a quoted include, from src/ or beside the file; None when it is not ours."""
    name = rest.strip('"')
    for base in ("src", os.path.dirname(source.path), ""):
        path = os.path.normpath(os.path.join(base, name))
        if path in tree.files:
            return path
    return None


def _why_not(source, target):
    """What is wrong with source including target, or None."""
    own, other = _folder(source.path), _folder(target)
    if target.startswith("tests/") or other in NEVER_INCLUDED - {own}:
        return f"nothing includes {target.split('/')[0] if other is None else other}/"
    if own is None or other is None or own == other:
        return None
    if other in ONLY_FROM_CMD and own != "cmd":
        return f"only cmd/ includes {other}/"
    if re.search(r"_(internal|private)\.h$", target) or target.count("/") > 2:
        return f"{target} is an inside of {other}/: use its public headers"
    if other in NEVER.get(own, ()):
        return f"{own}/ never includes {other}/"
    if own == "sim":
        return None
    if _layer(own) is None or _layer(other) is None:
        return f"give {own}/ and {other}/ a layer (tests/tidy/rules_tree.py, docs/ARCHITECTURE.md)"
    if _layer(other) > _layer(own):
        return f"{other}/ lies above {own}/: turn the dependency round (a callback, a table in base/)"
    if _layer(other) == _layer(own) and other not in SIBLINGS.get(own, ()):
        return f"{other}/ is a sibling of {own}/: meet in a lower layer"
    return None


def check_layers(tree):
    for source in tree.c_sources(".c", ".h", ".def"):
        if not source.path.startswith("src/"):
            continue
        for directive in source.directives:
            if directive.name != "include" or not directive.rest.startswith('"'):
                continue
            target = _included(tree, source, directive.rest)
            if target is None:
                advice = f"{directive.rest} is no file of this tree: system headers take <>"
                yield Finding(source.path, directive.line, "layers", advice)
                continue
            wrong = _why_not(source, target)
            if wrong:
                yield Finding(source.path, directive.line, "layers", wrong)


def check_unique_magics(tree):
    seen = {}
    pattern = re.compile(r"\b(\w*MAGIC\w*)\s*=?\s*(0[xX][0-9a-fA-F']+|\d+)[uUlL]*")
    for source in tree.c_sources():
        for number, line in enumerate(source.lines, 1):
            for name, text in pattern.findall(line):
                value = int(text, 0)
                if value in seen:
                    advice = f"{name} is {text}, as is {seen[value]}: draw another number"
                    yield Finding(source.path, number, "unique-magic", advice)
                seen.setdefault(value, f"{name} ({source.path}:{number})")
            if re.search(r"\bmagic\s*[=!]=?\s*(0[xX]|\d*[1-9])", line):
                yield Finding(source.path, number, "unique-magic", "name it: HF_<THING>_MAGIC")


def _nouns(tree, path):
    """First words of names that a file may export."""
    folder = os.path.dirname(path)
    nouns = set(NOUNS.get(path, ())) | {_folder(path)}
    nouns |= {re.split(r"[.]", name.rpartition("/")[2])[0] for name in tree.files
              if os.path.dirname(name) == folder}
    return nouns | set(re.findall(r"\b(?:struct|enum) hf_(\w+)\s*\{", tree.text(path)))


def _fits(name, nouns):
    rest = name[len("hf_"):]
    return any(rest == noun or rest.startswith(noun + "_") for noun in nouns)


def check_names(tree):
    declared = set()
    for source in tree.c_sources(".h"):
        declared |= {name for name, _ in declared_functions(source)}
        if _folder(source.path):
            nouns = _nouns(tree, source.path)
            inline = [(function.name, function.line) for function in source.functions]
            for name, line in dict(declared_functions(source) + inline).items():
                if not name.startswith("hf_") or not _fits(name, nouns):
                    advice = f"{name}: exported names are hf_<module>_<verb>"
                    yield Finding(source.path, line, "names", advice)
    for source in tree.c_sources(".c"):
        yield from _undeclared(source, declared)


def _undeclared(source, declared):
    for function in source.functions:
        known = function.static or function.name in declared
        if not known and function.name not in ("main", "LLVMFuzzerTestOneInput"):
            advice = f"{function.name} is in no header: make it static, or declare it"
            yield Finding(source.path, function.line, "names", advice)


def check_recursion(tree):
    """No function of proto/ reaches itself: a peer must not choose our stack's depth."""
    shared, scopes = {}, []
    for source in tree.c_sources():
        if source.path.startswith("src/proto/") and not is_test(source.path):
            own = {function.name: (source.path, function) for function in source.functions}
            scopes.append(own)
            shared.update({name: at for name, at in own.items() if not at[1].static})
    graph = {}
    for own in scopes:
        seen = {**shared, **own}
        for path, function in own.values():
            called = {name for name, _ in calls(function.body)} & set(seen)
            graph[path, function.name] = (function.line, {(seen[name][0], name) for name in called})
    for (path, name), (line, called) in graph.items():
        if (path, name) in _reached(graph, called):
            advice = f"{name} reaches itself: write a loop with a bound"
            yield Finding(path, line, "recursion", advice)


def _reached(graph, start):
    reached, waiting = set(start), list(start)
    while waiting:
        fresh = graph[waiting.pop()][1] - reached
        reached |= fresh
        waiting += fresh
    return reached


def check_built(tree):
    """Each source is named by the meson.build of its folder or of one above."""
    for path in tree.matching(".c"):
        folder, found = os.path.dirname(path), False
        while not found:
            recipe = os.path.join(folder, "meson.build")
            if recipe in tree.files:
                name = os.path.relpath(path, folder or ".")
                found = re.search(rf"['/]{re.escape(name)}'", tree.text(recipe)) is not None
            if not folder:
                break
            folder = os.path.dirname(folder)
        if not found:
            yield Finding(path, 1, "built", "no meson.build names it: list it, or delete it")


_FLAGS = ["-Wshadow", "-Wconversion", "-Wformat=2", "-Wmissing-prototypes", "-Wswitch-enum", "-Wvla",
          "-fstack-protector-strong", "-fcf-protection", "_FORTIFY_SOURCE=3", "relro", "b_pie=true"]


def check_flags(tree):
    text = tree.text("meson.build") if "meson.build" in tree.files else ""
    for flag in _FLAGS:
        if flag not in text:
            yield Finding("meson.build", 1, "flags", f"{flag} is missing")


_PLACES = re.compile(
    r"(?<![\w./-])/(?:work|root|home/\w+|Users)/|/tmp/(?:build|land)-"
    r"|\bregis" r"try\.\w+\.\w+|\bnpm" r"js\.|\bpy" r"pi\.org|\b(?:deb|ftp)\.deb" r"ian\.org"
)


def check_places(tree):
    """Nothing in the tree knows one machine's paths or one network's hosts."""
    for path in tree.files:
        if re.search(r"\.(png|ico|woff2?|gz|bin)$", path) or "/corpus/" in path:
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = _PLACES.search(line)
            if match:
                advice = f"`{match.group()}` belongs to one machine: take a relative path or an option"
                yield Finding(path, number, "places", advice)


TREE_RULES = [
    check_layers, check_unique_magics, check_names, check_recursion, check_built, check_flags,
    check_places,
]
