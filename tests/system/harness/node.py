"""Packages of Node.js, from where npm finds them."""
import subprocess

from .clock import scaled

INSTALL_SECONDS = 120


def install(folder):
    """What the folder's package-lock.json names, unless it is there."""
    wanted = folder / "package-lock.json"
    installed = folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
        timeout=scaled(INSTALL_SECONDS),
        stdout=subprocess.DEVNULL,
    )
