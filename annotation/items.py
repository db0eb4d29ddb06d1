"""Items and their prompts: from a file of items, or from the tasks of somebody else's project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from annotation.judgement import Rejection
from annotation.media import Media, inside, is_remote, probe
from annotation.payload import MEDIA_KEY, PROMPT_KEY, Task, cleaned
from annotation.tables import from_rows
from warehouse.digest import canonical_json
from warehouse.errors import AnnotationError, PlatformError
from warehouse.identity import normal_prompt, prompt_id

UNKNOWN_GENERATOR = "unknown"  # of a task that does not name its generator
FIELDS = ("item_id", "prompt", "media", "generator", "attributes", "design_k")
MEDIA_FACTS = ("codec", "width", "height", "fps", "frames", "duration", "media_sha256")
LARGEST_K = 100

Row = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A row that is not taken in."""

    row: int
    """1 for the first row of the file."""
    item_id: str | None
    reason: str


@dataclass(frozen=True)
class Items:
    """Items of a file: tables as in the contracts, and what was refused."""

    prompts: pa.Table
    items: pa.Table
    refused: list[Refused]


def read_items(
    path: Path,
    roots: Sequence[Path],
    design_k: int = 3,
    progress: Callable[[int], None] = lambda _: None,
) -> Items:
    """Items of a JSONL, CSV or Parquet file, each local video probed.

    path: fields item_id, prompt, media (a URL, or a path relative to the file), and optionally
        generator, attributes (what the prompt asks for: an object, in CSV as JSON), design_k;
        any further field becomes an attribute of the item.
    roots: folders that local videos must lie in.
    design_k: design labels of an item that does not say.
    progress: called with the number of rows done.
    Raises: AnnotationError where the file itself cannot be read; a bad ROW is refused alone.
    """
    rows: list[Row] = []
    refused = []
    seen: set[str] = set()
    for number, raw in enumerate(_raw_rows(path), start=1):
        try:
            row = _checked(raw, path.parent, roots, design_k)
            if row["item_id"] in seen:
                raise AnnotationError(f"item {row['item_id']} stands twice; keep one row")
        except PlatformError as error:
            refused.append(Refused(number, _raw_id(raw), str(error)))
        else:
            seen.add(row["item_id"])
            rows.append(row)
        progress(number)
    return Items(_prompts(rows), from_rows("items", rows), refused)


def _prompts(rows: Sequence[Row]) -> pa.Table:
    """One row per prompt; the first item's attributes count."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["prompt_id"], row["prompt_row"])
    return from_rows("prompts", list(first.values()))


def _raw_rows(path: Path) -> Iterator[Any]:
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AnnotationError(f"items {path}: ending {path.suffix!r} is none of {list(readers)}")
    if not path.is_file():
        raise AnnotationError(f"items {path}: no such file; correct the path")
    return reader(path)


def _jsonl(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.strip():
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    yield line.strip()[:80]


def _csv(path: Path) -> Iterator[Any]:
    from pyarrow import csv  # only for this format

    try:
        header = csv.open_csv(path).schema.names
        text = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
        parse = csv.ParseOptions(newlines_in_values=True)
        yield from csv.read_csv(path, parse_options=parse, convert_options=text).to_pylist()
    except pa.ArrowInvalid as error:
        raise AnnotationError(f"items {path}: no readable CSV ({error})") from error


def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow import parquet  # only for this format

    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise AnnotationError(f"items {path}: no readable Parquet ({error})") from error


def _raw_id(raw: Any) -> str | None:
    value = raw.get("item_id") if isinstance(raw, Mapping) else None
    return str(value) if value not in (None, "") else None


def _checked(raw: Any, folder: Path, roots: Sequence[Path], design_k: int) -> Row:
    """Row of the items table, with its prompt's row beside it."""
    if not isinstance(raw, Mapping):
        raise AnnotationError(f"row {raw!r} is no object with the fields {list(FIELDS)}")
    item_id = _raw_id(raw)
    if item_id is None:
        raise AnnotationError("row has no item_id; give every item a name of its own")
    uri, media = _media(raw.get("media"), item_id, folder, roots)
    facts = asdict(media) if media else dict.fromkeys(MEDIA_FACTS)
    extra = {str(key): value for key, value in raw.items() if key not in FIELDS}
    return _row(
        item_id=item_id,
        text=_prompt_text(raw.get("prompt"), item_id),
        prompt_attributes=_object(raw.get("attributes"), item_id),
        uri=uri,
        generator=str(raw.get("generator") or UNKNOWN_GENERATOR),
        attributes={key: value for key, value in extra.items() if value is not None},
        design_k=_count(raw.get("design_k"), item_id, design_k),
        **facts,
    )


def _row(
    *,
    item_id: str,
    text: str,
    prompt_attributes: Mapping[str, Any],
    attributes: Mapping[str, Any],
    **rest: Any,
) -> Row:
    prompt = prompt_id(text)
    return {
        "item_id": item_id,
        "prompt_id": prompt,
        "attributes": canonical_json(cleaned_json(attributes)),
        "prompt_row": {
            "prompt_id": prompt,
            "text": normal_prompt(text),
            "attributes": canonical_json(cleaned_json(prompt_attributes)),
        },
        **rest,
    }


def cleaned_json(value: Mapping[str, Any]) -> Any:
    """Object as plain JSON; what JSON does not know (dates, decimals, NaN) as text.

    >>> cleaned_json({"speed": float("nan"), "fast": True})
    {'speed': 'nan', 'fast': True}
    """
    text = json.dumps(value, default=str)
    return json.loads(text, parse_constant=lambda constant: constant.lower())


def _prompt_text(value: Any, item_id: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"item {item_id}: prompt {value!r} is no text; give the one it is of")
    return value


def _object(value: Any, item_id: str) -> dict[str, Any]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError as error:
            raise AnnotationError(f"item {item_id}: attributes {value!r} are no JSON") from error
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise AnnotationError(f"item {item_id}: attributes {value!r} are no object")
    return {key: inner for key, inner in value.items() if inner is not None}


def _count(value: Any, item_id: str, default: int) -> int:
    if value in (None, ""):
        return default
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if not 1 <= number <= LARGEST_K:
        raise AnnotationError(
            f"item {item_id}: design_k {value!r} is no count from 1 to {LARGEST_K}"
        )
    return number


def _media(
    value: Any, item_id: str, folder: Path, roots: Sequence[Path]
) -> tuple[str, Media | None]:
    """Where the video is, and its facts where it is a file of ours."""
    if not isinstance(value, str) or not value.strip():
        raise AnnotationError(f"item {item_id}: media {value!r} is no path and no URL")
    if is_remote(value):
        return value, None
    path = folder / value
    media = probe(path, roots)
    return str(inside(path, roots)), media


def item_rows(task: Task, item_id: str, design_k: int) -> tuple[Row, Row] | Rejection:
    """Item and prompt that a task describes, or why it describes none."""
    text = task.text(PROMPT_KEY)
    if text is None:
        detail = (
            f"item {item_id} of task {task.id} comes without a prompt; its labels are kept, the"
            f" item waits: add the field {PROMPT_KEY!r} to the task"
        )
        return Rejection(None, "no_prompt", detail, {"data": cleaned(task.data)})
    row = _row(
        item_id=item_id,
        text=text,
        prompt_attributes=_dict(task.data.get("attributes")),
        uri=task.text("media") or task.text(MEDIA_KEY) or "",
        generator=task.text("generator") or UNKNOWN_GENERATOR,
        attributes=_dict(task.data.get("item_attributes")),
        design_k=_task_count(task.data.get("design_k"), design_k),
        **dict.fromkeys(MEDIA_FACTS),
    )
    prompt = row.pop("prompt_row")
    return row, prompt


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _task_count(value: Any, default: int) -> int:
    sound = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_K
    return value if sound else default
