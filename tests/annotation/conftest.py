"""Label Studio's JSON in small, and small projects in the real one."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest

from annotation.items import read_items
from annotation.judgement import Context
from annotation.known import KNOWN_QUARANTINE, Known, newest
from annotation.labeling import DEFAULT_DIMENSIONS
from annotation.members import sign_up
from annotation.projects import ensure_project, import_items
from annotation.serving import serve_media
from annotation.versions import Version

DIMENSIONS = ("motion", "shape")
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def stamp(minutes=0.0):
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def answer(dimension, choice):
    return {
        "from_name": dimension,
        "to_name": "video",
        "type": "choices",
        "value": {"choices": [choice]},
    }


def annotation(number, user=1, *, created=0.0, changed=None, **values):
    """An annotation; `values` are dimension=choice, and fields of Label Studio's in capitals."""
    fields = {key.lower(): value for key, value in values.items() if key.isupper()}
    answers = [answer(key, value) for key, value in values.items() if not key.isupper()]
    return {
        "id": number,
        "completed_by": user,
        "result": answers,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": stamp(created),
        "updated_at": stamp(created if changed is None else changed),
        "lead_time": 4.5,
        **fields,
    }


def task(number, *annotations, item="default", created=0.0, changed=None, **data):
    item_id = f"clip_{number}" if item == "default" else item
    return {
        "id": number,
        "created_at": stamp(created),
        "updated_at": stamp(created if changed is None else changed),
        "data": {"item_id": item_id, "prompt": f"a ball {number}", "video": "v.mp4", **data},
        "annotations": list(annotations),
    }


def known(*observed):
    """What the warehouse knows after these events were stored."""

    def table(name):
        return pa.concat_tables([events.tables[name] for events in observed])

    resolved = set(table("resolutions")["quarantine_id"].to_pylist())
    rows = [
        {**row, "resolved": row["quarantine_id"] in resolved}
        for row in table("quarantine").to_pylist()
    ]
    return Known(
        labels=newest(table("label_events"), "label_events"),
        tasks=newest(table("task_events"), "task_events"),
        people=table("people"),
        quarantine=pa.Table.from_pylist(rows, schema=KNOWN_QUARANTINE),
        item_prompts={row["item_id"]: row["prompt_id"] for row in table("items").to_pylist()},
        prompt_ids=frozenset(table("prompts")["prompt_id"].to_pylist()),
    )


def context(dimensions=DIMENSIONS, mapping=None, **changes):
    """A context of one version, unless `versions` are given."""
    fields = {
        "source": "11111111-1111-4111-8111-111111111111",
        "pull_id": "pull",
        "versions": (Version(1, tuple(dimensions), mapping or {}),),
        "now": START + timedelta(days=1),
    }
    return Context(**{**fields, **changes})


@pytest.fixture(scope="session")
def studio():
    return SimpleNamespace(
        stamp=stamp,
        answer=answer,
        annotation=annotation,
        task=task,
        known=known,
        context=context,
        start=START,
        dimensions=DIMENSIONS,
    )


@dataclass(frozen=True)
class Act:
    kind: str
    annotator: str
    item_id: str
    values: dict
    seconds: float = 3.5


@pytest.fixture(scope="session")
def act():
    return Act


@pytest.fixture(scope="session")
def annotators(admin, label_studio):
    """Two people who signed up, by name."""
    emails = {name: f"{name.lower()}@annotators.example" for name in ("Ana", "Ben")}
    return sign_up(admin, emails, label_studio.home / "annotators.json")


@pytest.fixture
def make_project(admin, media_root):
    """Function that makes a project of its own with the four real clips as tasks."""

    def make(dimensions=DEFAULT_DIMENSIONS):
        project = ensure_project(admin, str(uuid.uuid4()), "Clips of a test", dimensions)
        names = sorted(path.name for path in (media_root / "clips").glob("*.mp4"))
        rows = [
            {
                "item_id": f"v{n}",
                "prompt": f"a clip {n}",
                "media": f"clips/{name}",
                "generator": "g",
            }
            for n, name in enumerate(names)
        ]
        path = media_root / f"{project.source}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        found = read_items(path, [media_root])
        serve_media(admin, project.id, media_root / "clips")
        import_items(admin, project, found.items, found.prompts, media_root)
        return project, found

    return make
