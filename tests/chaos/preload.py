"""The test's side of preload.c: one file of orders for each process that it is loaded into."""
import mmap
import struct
from pathlib import Path

from harness.proxy import BINARY

LIBRARY = Path(BINARY).parent / "tests" / "chaos" / "libchaos_preload.so"
SIZE = 4096


class Orders:
    """What is done to one process from now on."""

    def __init__(self, path):
        assert LIBRARY.exists(), f"there is no {LIBRARY}: build first"
        self.path = Path(path)
        self.path.write_bytes(bytes(SIZE))
        with open(self.path, "r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), SIZE)

    def command(self, command):
        """The command as it obeys."""
        return ["env", f"LD_PRELOAD={LIBRARY}", f"HF_CHAOS_FILE={self.path}", *command]

    def clock(self, seconds):
        """Its wall clock is wrong by so much."""
        struct.pack_into("=q", self.mapped, 0, seconds)

    def allocations(self, one_in):
        """One of so many of its allocations fails; 0: none."""
        struct.pack_into("=Q", self.mapped, 8, one_in)

    @property
    def failed(self):
        """How many allocations failed so far."""
        return struct.unpack_from("=Q", self.mapped, 16)[0]
