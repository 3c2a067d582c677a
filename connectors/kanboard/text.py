"""Texts and keys as Kanboard keeps them: Markdown goes as it is, a key is a task's reference and, digested, a project's identifier."""

from __future__ import annotations

import re
import unicodedata
from base64 import b32encode
from hashlib import sha256

LONGEST_TITLE = 1024
LONGEST_COLUMN = 191
LONGEST_REFERENCE = 191
LONGEST = 60_000  # characters; a longer text is cut and says so

_forbidden = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x84\x86-\x9f]")
_shortened = re.compile(r".{150}~[0-9a-f]{32}", re.DOTALL)
_identifier = re.compile(r"HO[A-Z2-7]{16}")


def clean(text: str) -> str:
    """Without control characters, lone surrogates and foreign line ends, composed (NFC)."""
    return unicodedata.normalize("NFC", _forbidden.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def line(text: str, most: int = LONGEST_TITLE) -> str:
    """A name: one line, at most so long."""
    return " ".join(clean(text).split())[:most].rstrip()


def title(text: str, most: int = LONGEST_TITLE) -> str:
    """A name as it is sent. PHP takes the text "0" for none."""
    name = line(text, most)
    return "0 " if name == "0" else name


def body(markdown: str) -> str:
    """A description or comment, no longer than LONGEST."""
    text = clean(markdown)
    if len(text) <= LONGEST:
        return text
    note = f"\n\n(cut here: the whole text has {len(text)} characters)"
    return text[: LONGEST - len(note)] + note


def normal(markdown: str) -> str:
    """The same for texts that differ in white space only."""
    return " ".join(body(markdown).split())


def reference(key: str) -> str:
    """The key as a task or a comment carries it: itself, unless it is longer than Kanboard's 191 characters."""
    if len(key) <= LONGEST_REFERENCE:
        return key
    return f"{key[:150]}~{sha256(key.encode()).hexdigest()[:32]}"


def key_in(reference: object) -> str:
    """The key a reference is; empty where it is none, or what is left of one that was too long."""
    text = str(reference or "")
    return "" if _shortened.fullmatch(text) else text


def identifier(key: str) -> str:
    """A project's identifier: letters and digits only, the same for the same key, and no other's."""
    return "HO" + b32encode(sha256(key.encode()).digest()[:10]).decode()


def is_identifier(text: object) -> bool:
    """Whether a project's identifier is one of ours."""
    return bool(_identifier.fullmatch(str(text or "")))
