"""Which packages are installed, which ranges Soli needs, and what the lock file says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ANY = SpecifierSet()


def ranges() -> dict[str, SpecifierSet]:
    """Package -> versions that Soli works with, without those of extras."""
    wanted = map(Requirement, requires("soli") or ())
    return {each.name: each.specifier for each in wanted if each.marker is None}


def installed(names: Iterable[str]) -> dict[str, str | None]:
    """Package -> its version, None where it is absent."""
    return {name: _version(name) for name in names}


def outside(have: Mapping[str, str | None], ranges: Mapping[str, SpecifierSet]) -> list[str]:
    """Sentences about packages that are absent or outside their range.

    >>> outside({"duckdb": "1.4", "av": None}, {"duckdb": SpecifierSet(">=2"), "av": ANY})
    ['duckdb is 1.4, needed is >=2', 'av is not installed']
    """
    return [
        f"{name} is not installed" if found is None else f"{name} is {found}, needed is {wanted}"
        for name, wanted in ranges.items()
        if (found := have[name]) is None or not wanted.contains(found, prereleases=True)
    ]


def locked(path: Path) -> dict[str, str]:
    """Package -> version of a lock file (NAME==VERSION lines); empty where there is none."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("==") for line in lines if re.match(r"[\w.-]+==", line)]
    return {name.lower().replace("_", "-"): pinned for name, _, pinned in pairs}


def _version(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]  # a build's tag, as in 2.13.0+cpu, is no version
    except PackageNotFoundError:
        return None
