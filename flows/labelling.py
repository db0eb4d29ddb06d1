"""How a project's answers are read, and every way they were read before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from annotation.tables import from_rows
from warehouse.digest import canonical_json, text_digest
from warehouse.store import Store

DEFAULT_DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")


@dataclass(frozen=True)
class Labelling:
    """How a project's answers are read."""

    dimensions: tuple[str, ...]
    config: str = ""
    mapping: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()

    def over(self, before: Labelling) -> Labelling:
        """This one where it says something, the earlier one elsewhere."""
        return Labelling(
            self.dimensions or before.dimensions,
            self.config or before.config,
            self.mapping or before.mapping,
            self.reviewers or before.reviewers,
        )

    @property
    def content(self) -> dict[str, str]:
        """Columns of `projects` that make a version."""
        return {
            "config_digest": text_digest(self.config),
            "config": self.config,
            "dimensions": canonical_json(list(self.dimensions)),
            "mapping": canonical_json({k: dict(v) for k, v in self.mapping.items()}),
            "reviewers": canonical_json(sorted(self.reviewers)),
        }


@dataclass(frozen=True)
class Projects:
    """Versions of a source's labelling: those known, and the one to add, if any."""

    rows: list[dict[str, Any]]
    """By rising version, the new one included."""
    new: pa.Table
    """No row, or the one to append to `projects`."""


def project_rows(store: Store, source: str) -> list[dict[str, Any]]:
    """Labelling versions of a source, the oldest first."""
    rows: list[dict[str, Any]] = store.query(
        "FROM projects WHERE source = $s ORDER BY version", {"s": source}
    ).to_pylist()
    return rows


def known_labelling(rows: list[dict[str, Any]]) -> Labelling | None:
    """How a source was read last; None for a source never seen."""
    if not rows:
        return None
    row = rows[-1]
    return Labelling(
        tuple(json.loads(row["dimensions"])),
        row["config"],
        json.loads(row["mapping"]),
        tuple(json.loads(row["reviewers"])),
    )


def with_labelling(
    rows: list[dict[str, Any]],
    source: str,
    labelling: Labelling,
    *,
    before: datetime | None = None,
    now: datetime | None = None,
) -> Projects:
    """The versions of a source, with a new one where this labelling differs from the last.

    before: server's time up to which the last version was certainly in force.
    now: server's time at which this labelling was read.
    """
    content = labelling.content
    if rows and all(rows[-1][name] == value for name, value in content.items()):
        return Projects(rows, from_rows("projects", ()))
    row = {
        "source": source,
        "version": rows[-1]["version"] + 1 if rows else 1,
        **content,
        "changed_after": before if rows else None,
        "in_force_at": now,
    }
    return Projects([*rows, row], from_rows("projects", [row]))
