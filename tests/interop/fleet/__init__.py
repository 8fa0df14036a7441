"""What the session tests are made of: a shop in each framework, three instances of it behind the
proxy, and the places where they may keep their sessions.

What says where sessions are kept is not written here: it is read from docs/sessions/, so that a
guide's configuration is the one that is tested.
"""
from .applications import APPLICATIONS
from .fleet import NAMES, Fleet
from .stores import STORES

__all__ = ["APPLICATIONS", "Fleet", "NAMES", "STORES"]
