"""Deadlines, scaled for slow builds (sanitizers)."""
import contextlib
import os
import signal
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


@contextlib.contextmanager
def alarm(seconds):
    """Raises in the main thread when its body takes longer than `seconds` (scaled)."""

    def hung(number, frame):
        raise AssertionError(f"hung: not done within {scaled(seconds):.0f} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, scaled(seconds))
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
