from __future__ import annotations

from tests.flows.conftest import desk

__all__ = ["desk"]
