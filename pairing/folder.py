"""A pair set as a folder of three files: the same bytes for the same set, published at once.

manifest.json, items.parquet and pairs.parquet are written under a temporary name beside the
folder, which is then renamed: a reader, or a rerun after a kill, meets a whole set or none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairing.blocks import blocks_of, identity_of, repeated, without_stamp
from pairing.checks import is_moment
from pairing.pairset import FORMAT, PairSet
from warehouse.contracts import PAIR_SET_ITEMS, PAIRS, Table
from warehouse.disk import PARTIAL, partial_folder, put, sync
from warehouse.errors import PairingError

MANIFEST, ITEMS, PAIRS_FILE = "manifest.json", "items.parquet", "pairs.parquet"
ROW_GROUP = 2**20  # rows
ITEMS_DISTINCT, PAIRS_DISTINCT = ("item_id", "ordinal"), ("winner", "other")  # hardly repeat
_AGAIN = "remove the folder and build the set again"
_NAME_ONE = "name the manifest.json of a pair set"
_SAID: dict[str, type | tuple[type, ...]] = {  # what every manifest says, as JSON has it
    **dict.fromkeys(("pair_set_id", "digest", "items_digest", "pairs_digest"), str),
    **dict.fromkeys(("recipe", "counts", "splits", "left_out"), dict),
    **dict.fromkeys(("warnings", "leakage"), list),
    **dict.fromkeys(("as_of", "consensus_id"), (str, type(None))),
    "format": int,
    "items": int,
    "code_version": str,
}


def write_pair_set(pair_set: PairSet, folder: Path) -> Path:
    """Publish a pair set as `folder`; nothing is done where that set already stands there.

    Raises: PairingError where the folder holds another set, a damaged one, or other files, and
        where it cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        return _standing(pair_set, folder)
    try:
        with partial_folder(folder) as partial:
            _write_files(pair_set, partial)
            put(partial, folder)
    except OSError as error:
        if folder.exists():  # another process was quicker
            return _standing(pair_set, folder)
        raise PairingError(
            f"pair set {pair_set.pair_set_id}: cannot write {folder} "
            f"({error.strerror or error}); free the place or choose another folder"
        ) from error
    return folder


def clear_partial(parent: Path) -> None:
    """Remove what killed writers left beside the sets; nobody else may be writing there."""
    for left in parent.glob(f".*{PARTIAL}"):
        shutil.rmtree(left)


def read_pair_set(folder: Path) -> PairSet:
    """Pair set of a folder, verified against its manifest's digests.

    Raises: PairingError naming the file that is missing or unreadable, or the part that differs.
    """
    folder = Path(folder)
    manifest = read_manifest(folder / MANIFEST, _AGAIN)
    items = _read_table(folder / ITEMS, PAIR_SET_ITEMS)
    pairs = _read_table(folder / PAIRS_FILE, PAIRS)
    _verify(folder, manifest, items, pairs)
    return PairSet(items, pairs, manifest)


def _standing(pair_set: PairSet, folder: Path) -> Path:
    found = read_pair_set(folder)
    if found.digest != pair_set.digest:
        raise PairingError(
            f"{folder} holds pair set {found.pair_set_id}, not {pair_set.pair_set_id}; "
            "choose another folder"
        )
    return folder


def note_override(folder: Path, override: Mapping[str, Any]) -> None:
    """Let a set's manifest say that a gate was overridden; it may be older than the gate's stop."""
    manifest = read_manifest(folder / MANIFEST)
    if manifest.get("override") != override:
        fresh = folder / f".{MANIFEST}"
        _write_manifest(manifest | {"override": override}, fresh)
        sync(fresh)
        fresh.replace(folder / MANIFEST)
        sync(folder)


def _write_manifest(manifest: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_files(pair_set: PairSet, folder: Path) -> None:
    _write_table(pair_set.items, folder / ITEMS, ITEMS_DISTINCT)
    _write_table(pair_set.pairs, folder / PAIRS_FILE, PAIRS_DISTINCT)
    _write_manifest(pair_set.manifest, folder / MANIFEST)


def _write_table(table: pa.Table, path: Path, distinct: tuple[str, ...]) -> None:
    pq.write_table(table, path, row_group_size=ROW_GROUP, **options(table.schema, distinct))


def options(schema: pa.Schema, distinct: tuple[str, ...]) -> dict[str, Any]:
    """Every option of the Parquet writer that shapes the bytes. distinct: hardly repeat a value."""
    return {
        "version": "2.6",
        "compression": "zstd",
        "compression_level": 1,
        "data_page_version": "1.0",
        "use_dictionary": [name for name in schema.names if name not in distinct],
    }


def read_manifest(path: Path, advice: str = _NAME_ONE) -> dict[str, Any]:
    """What a manifest says.

    advice: next step, where it is no manifest.
    Raises: PairingError where it is missing, unreadable, or of another format.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PairingError(f"{path} is missing; {path.parent} is no pair set") from error
    except (OSError, ValueError) as error:
        raise PairingError(f"{path} cannot be read ({error}); {advice}") from error
    if unsaid := _unsaid(manifest):
        raise PairingError(f"{path} does not say {', '.join(unsaid)}; {advice}")
    if manifest["format"] != FORMAT:
        raise PairingError(
            f"{path} has format {manifest['format']!r}, this version reads {FORMAT}; "
            "use the version of Soli that wrote it"
        )
    return dict(manifest)


def _unsaid(manifest: object) -> list[str]:
    """What a manifest should say, and does not, or not as it should."""
    if not isinstance(manifest, dict):
        return sorted(_SAID)
    if "format" in manifest and manifest["format"] != FORMAT:
        return []  # another version may say other things
    wrong = {
        n for n, kind in _SAID.items() if n not in manifest or not isinstance(manifest[n], kind)
    }
    if "as_of" not in wrong and manifest["as_of"] is not None and not is_moment(manifest["as_of"]):
        wrong.add("as_of")
    return sorted(wrong)


def _read_table(path: Path, contract: Table) -> pa.Table:
    repeating = ["pair_set_id", "dimension", "split", "kind"]
    try:
        coded = pq.read_table(path, partitioning=None, read_dictionary=repeating)
    except FileNotFoundError as error:
        raise PairingError(f"{path} is missing; {_AGAIN}") from error
    except (OSError, pa.ArrowException) as error:
        raise PairingError(f"{path} cannot be read ({_line(error)}); {_AGAIN}") from error
    columns = [_plain(column) for column in coded.columns]
    expected = without_stamp(contract.schema)
    if (coded.column_names, [c.type for c in columns]) != (expected.names, expected.types):
        raise PairingError(
            f"{path} has columns {', '.join(coded.column_names)}, not those of the contract "
            f"{contract.name} ({', '.join(expected.names)}); {_AGAIN}"
        )
    table = pa.Table.from_arrays(columns, schema=expected)
    needed = [field.name for field in expected if not field.nullable]
    empty = [name for name in needed if table[name].null_count]
    if empty:
        raise PairingError(f"{path} is damaged: {empty[0]} has rows without a value; {_AGAIN}")
    return table


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings of a coded column; chunks of one value share memory: they are most of a set."""
    if not pa.types.is_dictionary(column.type):
        return column
    chunks: list[pa.Array] = []
    for chunk in column.chunks:
        values = chunk.unique().to_pylist()
        if len(values) == 1 and not chunk.null_count:
            chunks += repeated(values[0], len(chunk), pa.string()).chunks
        else:
            chunks.append(chunk.cast(pa.string()))
    return pa.chunked_array(chunks, pa.string())


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _verify(folder: Path, manifest: dict[str, Any], items: pa.Table, pairs: pa.Table) -> None:
    files = {"items_digest": ITEMS, "pairs_digest": PAIRS_FILE}
    for name, digest in identity_of(items, blocks_of(pairs)).items():
        if manifest[name] != digest:
            raise PairingError(
                f"{folder / files.get(name, MANIFEST)} is damaged: {name} is {digest[:16]}, the "
                f"manifest says {str(manifest[name])[:16]}; {_AGAIN}"
            )
    for name, table in ((ITEMS, items), (PAIRS_FILE, pairs)):
        ids = set(table["pair_set_id"].unique().to_pylist())
        if ids - {manifest["pair_set_id"]}:
            raise PairingError(
                f"{folder / name} belongs to pair set {', '.join(sorted(map(str, ids)))}, not "
                f"{manifest['pair_set_id']}; {_AGAIN}"
            )
