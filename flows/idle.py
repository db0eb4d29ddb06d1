"""Where the next pull begins after one that found nothing new.

Such a pull commits nothing, not even its watermark. A note beside the pages spares the next one
from reading the same tasks again; it only counts beside the pull that it was made after, and a note
that is lost costs time, nothing else.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

_NOTE = "idle"


def remember(folder: Path, pull_id: str, watermark: datetime) -> None:
    """Note how far an idle pull of this folder's source has read.

    pull_id: newest pull of the source in the warehouse.
    """
    fresh = folder / f"{_NOTE}.new"
    fresh.write_text(json.dumps({"pull_id": pull_id, "watermark": watermark.isoformat()}))
    fresh.replace(folder / _NOTE)


def recall(folder: Path, pull_id: str) -> datetime | None:
    """What was noted after this pull; None where nothing was, or it cannot be read."""
    try:
        note = json.loads((folder / _NOTE).read_bytes())
        return datetime.fromisoformat(note["watermark"]) if note["pull_id"] == pull_id else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
