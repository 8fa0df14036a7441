"""Configurations as Python dictionaries, written as JSON (which is YAML)."""
import json

from .clock import SLOWNESS


def pool(servers, name="app", **keys):
    """A pool with a sealed cookie and no active checks. servers: of (name, port), Backend-like objects, or dicts."""
    rows = []
    for server in servers:
        if isinstance(server, dict):
            rows.append(server)
            continue
        label, port = server if isinstance(server, tuple) else (server.name, server.port)
        rows.append({"name": label, "address": f"127.0.0.1:{port}"})
    sealed = {"cookie": "HOLDFAST", "mode": "insert"}
    made = {"name": name, "affinity": [sealed], "health": "off"}
    made.update(keys)
    made["servers"] = rows
    return {key: value for key, value in made.items() if value is not None}


def configuration(pools, **keys):
    """A whole file; Proxy adds listeners, admin, state_dir and log when they are absent."""
    made = {"node": "test", "workers": 2}
    made.update(keys)
    made["pools"] = pools if isinstance(pools, list) else [pools]
    return {key: value for key, value in made.items() if value is not None}


def text(config):
    """One key a line, so that messages that name a line are of use."""
    return json.dumps(config, indent=1) + "\n"


def checks(kind=None, interval_ms=200, **keys):
    """Active checks, quick and patient enough for a slow build."""
    time = f"{int(interval_ms * SLOWNESS)}ms"
    made = {
        **(kind or {"http": "/healthz"}),
        "interval": time,
        "timeout": time,
        "rise": 2,
        "fall": 2,
    }
    return {**made, **keys}
