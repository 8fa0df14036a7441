"""Free ports outside the ephemeral range, so that no outgoing connection can take one meanwhile."""
import fcntl
import os
import socket
import tempfile

FIRST, LAST = 24000, 25999
COUNTER = os.path.join(tempfile.gettempdir(), f"holdfast-test-ports-{os.getuid()}")


def free_port():
    """A port that nobody is bound to; not handed out again to any of this user's processes before
    all others were: who asked for it may bind it much later."""
    for _ in range(LAST - FIRST + 1):
        port = _next_port()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


def accepts(port):
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def _next_port():
    """One step of the counter that all test processes of this user share. The lock belongs to the
    open file, so it holds between threads as well, and ends with a process that is killed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(COUNTER, flags, 0o600), "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = file.read().strip()
        port = int(said) if said.isdigit() else FIRST
        if not FIRST <= port <= LAST:
            port = FIRST
        file.seek(0)
        file.truncate()
        file.write(str(port + 1))
        file.flush()
        return port
