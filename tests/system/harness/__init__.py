"""What the system tests are made of: the proxy as a process, scripted servers, raw clients.

Everything runs on loopback. Nothing waits by sleeping: conditions are polled with a deadline, and
every deadline is scaled by HF_TEST_SLOWNESS (1 = a release build on an idle machine).
"""
from .backend import Backend, BackendConnection, Request
from .client import Browser, Client, Gone, ProtocolError, Response
from .clock import SLOWNESS, poll, scaled
from .config import checks, configuration, pool
from .ports import free_port
from .proxy import Proxy

__all__ = [
    "Backend",
    "BackendConnection",
    "Browser",
    "Client",
    "Gone",
    "ProtocolError",
    "Proxy",
    "Request",
    "Response",
    "SLOWNESS",
    "checks",
    "configuration",
    "free_port",
    "poll",
    "pool",
    "scaled",
]
