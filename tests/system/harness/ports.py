"""Free ports outside the ephemeral range, so that no outgoing connection can take one meanwhile."""
import itertools
import os
import socket

FIRST, LAST = 24000, 25999
_next = itertools.count(os.getpid() * 37 % (LAST - FIRST))


def free_port():
    """A port that nobody is bound to; not handed out again by this process for a long while."""
    for _ in range(LAST - FIRST + 1):
        port = FIRST + next(_next) % (LAST - FIRST + 1)
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
        finally:
            probe.close()
    raise AssertionError("no free port")
