"""How many system calls a proxied request costs, by name, counted by strace.

Tracing slows the proxy down, so that fewer events arrive at once than at full speed: the calls that
wait for events (epoll_wait) are overstated, all others are exact.
"""
import re
import signal
import subprocess
import time

from proxies import BenchError

ATTACH_S_MAX = 10
LEAST_SHOWN = 0.005  # calls a request


def attached(pids):
    """Whether every thread of these processes has a tracer."""
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            if re.search(r"^TracerPid:\s+0$", status.read(), re.M):
                return False
    return True


def count(proxy, load):
    """Calls a request while `load` runs, which answers what bench-load measured. {name: calls}"""
    report = proxy.directory / "strace"
    pids = proxy.pids()
    watched = [word for pid in pids for word in ("-p", str(pid))]
    try:
        tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(report), *watched],
                                  stderr=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise BenchError("system calls are counted by strace, which is not installed") from error
    with tracer:
        deadline = time.monotonic() + ATTACH_S_MAX
        while not attached(pids):
            if tracer.poll() is not None or time.monotonic() > deadline:
                tracer.kill()
                raise BenchError(f"{proxy.name}: strace cannot attach")
            time.sleep(0.05)
        requests = sum(load()["served"])
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    # "% time  seconds  usecs/call  calls  [errors]  name"
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$",
                      report.read_text(), re.M)
    each = {name: round(int(calls) / requests, 3) for calls, name in rows if name != "total"}
    return {name: calls for name, calls in each.items() if calls >= LEAST_SHOWN}
