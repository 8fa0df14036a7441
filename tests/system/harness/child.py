"""Processes that do not outlive the tests, however these end."""

# setpriv has the kernel end what it becomes when the thread that started it is gone: so a pytest
# that is killed leaves no proxy or server behind. The pid is that of the command itself.
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]
