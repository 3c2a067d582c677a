"""Debian packages, fetched and unpacked into a folder. The system's package sources and its list of what is installed stay as they are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tests.real.place import Unavailable, home, need, run

_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


def fetch(package: str, suite: str = "sid") -> Path:
    """The newest package file of that name in the suite; the one fetched before is kept and used. Raises Unavailable."""
    kept = home() / "debs" / suite
    kept.mkdir(parents=True, exist_ok=True)
    if found := sorted(kept.glob(f"{package}_*.deb")):
        return found[-1]
    run(["apt-get", "-c", _update(suite), "download", package], cwd=kept)
    found = sorted(kept.glob(f"{package}_*.deb"))
    if not found:
        raise Unavailable(f"Debian's {suite} gave no package {package}")
    return found[-1]


def closure(packages: Sequence[str]) -> list[Path]:
    """The package files of this machine's own release, with all they need that is not installed here; those fetched before are kept and used."""
    kept = home() / "debs" / f"closure-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    if not (kept / "complete").exists():
        need("apt-get", "dpkg-deb", hint="these come from Debian packages")
        (kept / "partial").mkdir(parents=True, exist_ok=True)
        install = ("install", "--yes", "--download-only", "--no-install-recommends", *packages)
        options = (f"Dir::Cache::archives={kept}/", "Debug::NoLocking=1", "APT::Sandbox::User=")
        run(["apt-get", "-c", _update(_release()), *(word for option in options for word in ("-o", option)), *install])
        (kept / "complete").touch()
    return sorted(kept.glob("*.deb"))


def tree(packages: Sequence[str], into: Path, suite: str) -> None:
    """A root directory with the packages and all they need, for `within`; none of their scripts runs, and nothing installed here is used."""
    need("apt-get", "dpkg-deb", hint="these come from Debian packages")
    kept = home() / "debs" / f"tree-{suite}-{sha256(' '.join(packages).encode()).hexdigest()[:12]}"
    (kept / "partial").mkdir(parents=True, exist_ok=True)
    if not (kept / "complete").exists():
        install = ("install", "--yes", "--download-only", "--no-install-recommends", *packages)
        options = (f"Dir::Cache::archives={kept}/", "Dir::State::status=/dev/null", "Debug::NoLocking=1", "APT::Sandbox::User=")
        run(["apt-get", "-c", _update(suite), *(word for option in options for word in ("-o", option)), *install])
        (kept / "complete").touch()
    for folder in ("bin", "sbin", "lib", "lib64"):  # links since the merge of /usr, made by a script that does not run here
        (into / "usr" / folder).mkdir(parents=True, exist_ok=True)
        if not (into / folder).is_symlink():
            (into / folder).symlink_to(f"usr/{folder}")
    for folder in ("dev", "etc", "proc", "tmp"):
        (into / folder).mkdir(exist_ok=True)
    for package in sorted(kept.glob("*.deb")):
        unpack(package, into)


def within(root: Path) -> list[str]:
    """The words that run a command in such a directory as its root user, whoever we are."""
    return ["chroot", str(root)] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot", str(root)]


def unpack(package: Path, into: Path, *choice: str) -> None:
    """The package's files below `into`; none of its scripts runs. `choice` are words for tar that say which files."""
    into.mkdir(parents=True, exist_ok=True)
    run(["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$@"', package, into, *choice])


def _release() -> str:
    """The name of this machine's own release."""
    told = Path("/etc/os-release")
    found = re.search(r"(?m)^VERSION_CODENAME=(\w+)$", told.read_text(encoding="utf-8")) if told.exists() else None
    if found is None:
        raise Unavailable(f"{told} names no release, so it is not known which packages fit this machine")
    return found[1]


def _update(suite: str) -> Path:
    """A configuration of apt that knows just this suite, with lists of its own, brought up to date."""
    need("apt-get", "dpkg-deb", hint="these come from Debian packages")
    if not _SOURCES.exists():
        raise Unavailable(f"{_SOURCES} is not there, so it is not known where Debian's packages come from")
    place = home() / "apt" / suite
    configuration = place / "apt.conf"
    if not configuration.exists():
        for folder in ("lists/partial", "cache/archives/partial", "parts"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        first = _SOURCES.read_text(encoding="utf-8").strip().split("\n\n")[0]
        (place / "parts" / f"{suite}.sources").write_text(re.sub(r"(?m)^Suites:.*", f"Suites: {suite}", first) + "\n", encoding="utf-8")
        run(["apt-get", "-c", _written(place / "new.conf", place), "update"])
        (place / "new.conf").rename(configuration)
    return configuration


def _written(path: Path, place: Path) -> Path:
    settings = {
        "State::lists": place / "lists",
        "Cache": place / "cache",
        "Etc::sourcelist": "/dev/null",
        "Etc::sourceparts": place / "parts",
    }
    path.write_text("".join(f'Dir::{name} "{value}";\n' for name, value in settings.items()), encoding="utf-8")
    return path
