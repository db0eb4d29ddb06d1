"""What a word on the command line stands for: an annotator, an item, or a single label."""

from __future__ import annotations

from datetime import datetime

from warehouse.errors import StoreError
from warehouse.store import Store
from warehouse.touched import Asked

_ANNOTATOR = """
SELECT annotator_id FROM label_events WHERE annotator_id = $a
UNION SELECT annotator_id FROM comparisons WHERE annotator_id = $a
UNION SELECT annotator_id FROM quarantine WHERE annotator_id = $a
"""
_ANNOTATORS = """
SELECT annotator_id FROM label_events WHERE starts_with(annotator_id, $start)
UNION SELECT annotator_id FROM comparisons WHERE starts_with(annotator_id, $start)
UNION SELECT annotator_id FROM quarantine WHERE starts_with(annotator_id, $start)
"""
_ITEM = """
SELECT item_id FROM items WHERE item_id = $i
UNION SELECT item_id FROM label_events WHERE item_id = $i
UNION SELECT item_id FROM task_events WHERE item_id = $i
UNION SELECT item_id FROM comparisons, unnest([item_a, item_b]) AS t(item_id) WHERE item_id = $i
"""
_LABELS = """
SELECT DISTINCT source, annotation_id, annotation_created_at, dimension, revision
FROM label_events
WHERE annotation_id = $annotation
  AND ($source IS NULL OR source = $source)
  AND ($created_at IS NULL OR annotation_created_at = $created_at)
  AND ($dimension IS NULL OR dimension = $dimension)
  AND ($revision IS NULL OR revision = $revision)
ORDER BY ALL
"""
SHORT = 8  # letters of an annotator's id that tell people apart in a table
LABEL = "label:"
LABEL_FORM = "label:[SOURCE/CREATED_AT/]ANNOTATION[/DIMENSION[/REVISION]]"


def is_annotator(store: Store, text: str) -> bool:
    """Whether this is the random id of somebody who judged. Not all who ask may read `people`."""
    return bool(store.query(_ANNOTATOR, {"a": text}).num_rows)


def annotator_of(store: Store, start: str) -> str | None:
    """The id of the one annotator whose id starts so; None for nobody, and for several.

    start: SHORT letters or more, as tables and pages print them. Fewer name nobody: they could be
        meant as the start of a model's id.
    """
    if len(start) < SHORT:
        return None
    found = store.query(_ANNOTATORS, {"start": start})["annotator_id"].to_pylist()
    return str(found[0]) if len(found) == 1 else None


def is_item(store: Store, text: str) -> bool:
    """Whether an item of this id is known."""
    return bool(store.query(_ITEM, {"i": text}).num_rows)


def label_of(store: Store, text: str) -> Asked:
    """The annotation, dimension and revision that `label:...` names, as far as it names them.

    Raises: StoreError for another form, for none such, and where the server used an id twice.
    """
    asked = _parts(text.removeprefix(LABEL))
    values = {
        name: getattr(asked, name)
        for name in ("source", "annotation", "created_at", "dimension", "revision")
    }
    rows = store.query(_LABELS, values).to_pylist()
    if not rows:
        raise StoreError(f"no label {text!r}; write {LABEL_FORM}, as `soli trace MODEL:ITEM` shows")
    keys = {(row["source"], row["annotation_created_at"]) for row in rows}
    if len(keys) > 1:
        among = " or ".join(
            f"label:{source}/{created.isoformat()}/{asked.annotation}"
            for source, created in sorted(keys)
        )
        raise StoreError(f"label {text!r} could be any of {len(keys)}: write {among}")
    ((source, created),) = keys
    return Asked(
        source=source,
        annotation=asked.annotation,
        created_at=created,
        dimension=asked.dimension,
        revision=asked.revision,
    )


def _parts(text: str) -> Asked:
    parts = text.split("/")
    try:
        source, created = None, None
        if not parts[0].isdecimal():
            source, created = parts[0], datetime.fromisoformat(parts[1])
            parts = parts[2:]
        annotation = int(parts[0])
        revision = int(parts.pop()) if len(parts) > 2 and parts[-1].isdecimal() else None  # noqa: PLR2004
    except (ValueError, IndexError):
        raise StoreError(f"label {text!r} is none; write {LABEL_FORM}") from None
    return Asked(
        source=source,
        annotation=annotation,
        created_at=created,
        dimension="/".join(parts[1:]) or None,
        revision=revision,
    )
