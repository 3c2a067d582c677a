"""Programs that serve on this machine: a port for one, and whether it is up."""

from __future__ import annotations

import socket

import httpx


def free_port() -> int:
    """A port of the loopback that nobody has at the moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def answers(url: str) -> bool:
    """Whether somebody answers there, with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
