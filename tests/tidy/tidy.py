#!/usr/bin/python3
"""The rules of the house as a test: prints `file:line: rule: what to do`, and fails when it found any.

usage: tests/tidy/tidy.py [TOP]      default: the tree this file stands in
A breach stands when a comment `rule zero: why` ends on the line above it (or on the line itself).
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rules_docs import DOC_RULES  # noqa: E402
from rules_source import SOURCE_RULES  # noqa: E402
from rules_tools import TOOL_RULES  # noqa: E402
from rules_tree import TREE_RULES  # noqa: E402
from tree import Tree  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = SOURCE_RULES + TREE_RULES + DOC_RULES + TOOL_RULES


def findings(tree, rule):
    """What one rule finds in a tree, without what rule zero excuses."""
    if rule in SOURCE_RULES:
        found = [finding for source in tree.c_sources() for finding in rule(source)]
    else:
        found = list(rule(tree))
    return [finding for finding in found if not _excused(tree, finding)]


def _excused(tree, finding):
    if not finding.path.endswith((".c", ".h", ".def")) or finding.path not in tree.files:
        return False
    return tree.source(finding.path).excused(finding.line)


def main(arguments):
    tree = Tree(os.path.abspath(arguments[0]) if arguments else TOP)
    found = sorted(finding for rule in RULES for finding in findings(tree, rule))
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.rule}: {finding.advice}")
    print(f"tidy: {len(RULES)} rules, {len(tree.files)} files, {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
