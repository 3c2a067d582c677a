"""Suggestions for misspelt words."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The allowed word most like `word`, or "" when none is."""
    known = {known.lower(): known for known in allowed}
    close = get_close_matches(word.lower(), known, n=1) if len(word) <= 80 else []
    return known[close[0]] if close else ""


def suggest(word: str, allowed: Iterable[str]) -> str:
    """A hint for an unknown word: what was probably meant, and what is allowed."""
    words = sorted(set(allowed))
    close = nearest(word, words)
    listed = f"allowed: {', '.join(words)}" if words else ""
    return "; ".join(part for part in (f"did you mean {close}?" if close else "", listed) if part)
