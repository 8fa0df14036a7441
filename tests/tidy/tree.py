"""The tree under test: its files and what is read from them. A finding says where, which rule, what to do."""

import os
import subprocess
from collections import namedtuple

from c_source import Source

Finding = namedtuple("Finding", "path line rule advice")

_SKIPPED = (".git", "node_modules", "__pycache__", ".cache")


class Tree:
    """`top` is the folder that holds src/. Files are named relative to it."""

    def __init__(self, top):
        self.top = top
        self.files = sorted(self._tracked() or self._walked())
        self._texts = {}
        self._sources = {}

    def _tracked(self):
        """What git knows or would add; nothing when the tree is no repository."""
        if not os.path.exists(os.path.join(self.top, ".git")):
            return []
        command = ["git", "-C", self.top, "ls-files", "-z", "-c", "-o", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        names = [name for name in listed.split("\0") if name]
        return [name for name in names if os.path.isfile(os.path.join(self.top, name))]

    def _walked(self):
        for folder, folders, names in os.walk(self.top):
            folders[:] = [name for name in folders if name not in _SKIPPED]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.top)

    def matching(self, *endings):
        return [name for name in self.files if name.endswith(endings)]

    def text(self, name):
        if name not in self._texts:
            with open(os.path.join(self.top, name), encoding="utf-8", errors="replace") as file:
                self._texts[name] = file.read()
        return self._texts[name]

    def source(self, name):
        if name not in self._sources:
            self._sources[name] = Source(name, self.text(name))
        return self._sources[name]

    def c_sources(self, *endings):
        """The C files, as Source objects."""
        return [self.source(name) for name in self.matching(*(endings or (".c", ".h")))]
