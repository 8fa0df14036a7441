"""The shops: how an instance is started, and what its framework does with a session."""
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import guides

HERE = Path(__file__).resolve().parents[1]
PHP_REQUEST_SECONDS_MAX = 30  # a lock's lifetime; the command line alone knows no limit


def _php(instance, file):
    limit = f"max_execution_time={PHP_REQUEST_SECONDS_MAX}"
    address = f"127.0.0.1:{instance.port}"
    quiet = "display_errors=0"  # as everywhere but on a developer's desk
    settings = ["-c", str(file), "-d", limit, "-d", quiet]
    return ["php", *settings, "-S", address, str(HERE / "php/shop.php")]


def _express(instance, file):
    return ["node", str(HERE / "express/shop.js"), instance.name, str(instance.port), str(file)]


def _django(instance, file):
    shop = str(HERE / "django/shop.py")
    return [sys.executable, shop, instance.name, str(instance.port), str(file)]


def _flask(instance, file):
    shop = str(HERE / "flask/shop.py")
    return [sys.executable, shop, instance.name, str(instance.port), str(file)]


def _rack(instance, file):
    address = f"tcp://127.0.0.1:{instance.port}"
    puma = ["puma", "--config", "-", "--environment", "production", "--threads", "2:4"]
    return [*puma, "--bind", address, str(HERE / "rack/shop.ru")]


@dataclass(frozen=True)
class Application:
    """`block` names the part of the guide that is used. `rotates`: a login gives the session a new
    id. `locks`: requests of one session wait for each other, whichever server they reach. `away`:
    the status of an answer while the store cannot be reached; with 200 it is that of a visitor;
    None: there may be none, and nobody asks."""

    name: str
    guide: str
    block: str
    protocol: str
    command: Callable = field(repr=False)
    rotates: bool = True
    locks: bool = False
    away: int | None = 500

    def store_file(self, directory, instance, port):
        """Writes what tells an instance where sessions are kept: a file of its own, as others read theirs now."""
        made = Path(directory) / f"{instance}.session"
        made.write_text(guides.store_block(self.guide, self.block, self.protocol, port))
        return made

    @property
    def cookie(self):
        return guides.session_of(self.guide)["cookie"]


APPLICATIONS = [
    Application("php-redis", "php", "redis", "redis", _php, away=503),
    Application("php-redis-locking", "php", "redis-locking", "redis", _php, locks=True, away=503),
    Application("php-memcached", "php", "memcached", "memcached", _php, locks=True, away=503),
    # A command given to node-redis while its connection ends or comes back may never be answered.
    Application("express-node-redis", "express", "node-redis", "redis", _express, away=None),
    Application("express-ioredis", "express", "ioredis", "redis", _express),
    Application("express-memcached", "express", "memcached", "memcached", _express),
    Application("django-redis", "django", "redis", "redis", _django, away=200),
    Application("django-memcached", "django", "memcached", "memcached", _django, away=200),
    # Flask-Session below 0.7 has no way to give a session another id.
    Application("flask-redis", "flask", "redis", "redis", _flask, rotates=False),
    Application("rack-dalli", "rack", "dalli", "memcached", _rack, away=200),
]
