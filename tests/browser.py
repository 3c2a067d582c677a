"""A real Chromium that asks nobody for anything by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_QUIET = (
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "no-sandbox",
)


def program() -> str:
    """Where it is; empty where there is none."""
    return shutil.which("chromium") or ""


@contextmanager
def page(profile: Path, **options: Any) -> Iterator[Any]:
    """A page of a browser that lives for as long as the block lasts; `options` are Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        args = [f"--{word}" for word in _QUIET]
        context = started.chromium.launch_persistent_context(profile, executable_path=program(), headless=True, args=args, **options)
        yield context.new_page()
        context.close()
