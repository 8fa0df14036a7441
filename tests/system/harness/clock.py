"""Deadlines, scaled for slow builds (sanitizers)."""
import os
import time

SLOWNESS = float(os.environ.get("HF_TEST_SLOWNESS", "1"))


def scaled(seconds):
    """A deadline for this machine and build. Never for a time that is itself under test."""
    return seconds * SLOWNESS


def poll(condition, seconds=5.0, what="the condition", interval=0.005):
    """Asks until the answer is true, and gives it; fails after `seconds` (scaled)."""
    deadline = time.monotonic() + scaled(seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {scaled(seconds):.1f} s: {what}")
        time.sleep(interval)
