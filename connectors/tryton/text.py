"""Texts as Tryton keeps them, and the number that carries a key."""

from __future__ import annotations

import re
import unicodedata

_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")
_WORK, _SECTION = "handoff:", "handoff-section:"


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends, composed (NFC)."""
    return unicodedata.normalize("NFC", _forbidden.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def line(text: str) -> str:
    """One line: Tryton refuses a second one in a field of that kind."""
    return " ".join(clean(text).split())


def name(text: str) -> str:
    """The name of a work: without the backslash, which Tryton puts between the names of works above each other, and refuses in one."""
    return line(text.replace("\\", "/"))


def normal(text: str) -> str:
    """The same for texts that read the same: without white space at the ends of lines, and empty lines around."""
    return "\n".join(each.rstrip() for each in clean(text).split("\n")).strip()


def number(key: str, *, section: bool = False) -> str:
    """The number of the work that stands for `key`. Numbers are unique in a database; those of Tryton's own never begin like this."""
    return (_SECTION if section else _WORK) + key


def is_section(text: str | None) -> bool:
    return bool(text) and str(text).startswith(_SECTION)


def key_in(text: str | None) -> str:
    """The key a number carries; empty when it is none of ours."""
    for prefix in (_SECTION, _WORK):
        if text and text.startswith(prefix):
            return text.removeprefix(prefix)
    return ""
