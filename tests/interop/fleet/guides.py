"""The guides of docs/sessions/ as configurations: fenced blocks with a name.

A block begins with ```LANGUAGE NAME. Guides speak of the addresses that their readers will have;
these are replaced by those of the test.
"""
import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "sessions"
REDIS, MEMCACHED = "127.0.0.1:6380", "127.0.0.1:11311"
_BLOCK = re.compile(r"^```\w+ ([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide):
    """{name: text} of a guide's named blocks; a name that comes twice is a failure."""
    found = _BLOCK.findall((FOLDER / f"{guide}.md").read_text())
    made = dict(found)
    assert len(made) == len(found), f"{guide}.md: two blocks of one name: {[n for n, _ in found]}"
    return made


def store_block(guide, name, protocol, port):
    """The block that says where sessions are kept, with the test's port in it."""
    text = blocks(guide)[name]
    address = {"redis": REDIS, "memcached": MEMCACHED}[protocol]
    assert text.count(address) == 1, f"{guide}.md, {name}: {address} must stand there once"
    return text.replace(address, f"127.0.0.1:{port}")


def session_of(guide):
    """What the guide tells the proxy about the session: {"cookie": NAME, "format": FORMAT}."""
    return yaml.safe_load(blocks(guide)["proxy"])["session"]
