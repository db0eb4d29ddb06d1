"""A small home with clips, labels, pairs and two models, and `soli warehouse ui` over it."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from flows import measure
from flows.pair import build
from flows.settings import Settings
from pairing.recipe import Recipe
from soak.paper_world import DIMENSIONS, PaperWorld, add_labels, add_videos
from warehouse.contracts import TABLES
from warehouse.face import publish
from warehouse.identity import prompt_id
from warehouse.store import Store

ROOT = Path(__file__).parents[3]
VIDEOS = ROOT / "tests" / "data" / "videos"
WORLD = PaperWorld(in_house=110, others=10, prompts=20, calibration=10, seed=5)
UP_TO = {"train": "up to 40", "validation": "up to 5", "test": "up to 5", "ood": "up to 5"}
RECIPE = {
    "dimensions": list(DIMENSIONS),
    "counts": {"win_lose": UP_TO, "win_tie": UP_TO},
    "ood_generators": ["other-a"],
}
HOSTILE = (
    "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>'; DROP TABLE items; --"
)
ODD = "a\"b'<c>&d=1#\n☃/../100%_e"
NAME, EMAIL = "Ana Example", "ana@annotators.example"


def rows_of(name, rows):
    """Rows of a table of record; what they leave out is '{}', 0 or NULL."""
    schema = pa.schema([field for field in TABLES[name].schema if field.name != "observed_at"])
    plain = {"string": "{}", "double": 0.0, "int64": 0, "int32": 3}
    empty = {f.name: None if f.nullable else plain[str(f.type)] for f in schema}
    return pa.Table.from_pylist([empty | row for row in rows], schema=schema)


def clips(root, outside):
    """uri of each special item: files that may be shown, and those that may not."""
    shutil.copytree(VIDEOS, root / "clips")
    good = sorted(path.name for path in (root / "clips").glob("*.mp4"))
    for number in range(WORLD.items):
        (root / "clips" / f"clip_{number:06}.mp4").symlink_to(good[number % len(good)])
    (outside / "secret.mp4").write_bytes(b"secret")
    (root / "notes.json").write_text("{}")
    (root / "leaving.mp4").symlink_to(outside / "secret.mp4")
    (root / "away").symlink_to(outside)
    (root / "staying.mp4").symlink_to(root / "clips" / good[0])
    (root / "folder.mp4").mkdir()
    os.mkfifo(root / "pipe.mp4")
    return {
        ODD: f"clips/{good[0]}",
        "hostile": f"clips/{good[1]}",
        "absolute": str(root / "clips" / good[2]),
        "staying": "staying.mp4",
        "up": f"../{outside.name}/secret.mp4",
        "outside": str(outside / "secret.mp4"),
        "leaving": "leaving.mp4",
        "away": "away/secret.mp4",
        "notes": "notes.json",
        "passwd": "/etc/passwd",
        "nul": "clips/a\0.mp4",
        "folder": "folder.mp4",
        "pipe": "pipe.mp4",
        "gone": "clips/none.mp4",
        "scheme": "file:///etc/passwd.mp4",
        "remote": "https://clips.example/a.mp4",
    }


def add_specials(store, uris):
    """Items with odd ids, prompts and files; a person; two models that gave rewards."""
    texts = {"hostile": HOSTILE, ODD: "100%_ odd"}
    items = [
        {"item_id": item, "prompt_id": prompt_id(texts.get(item, "a clip")), "uri": uri}
        for item, uri in uris.items()
    ]
    prompts = [{"prompt_id": prompt_id(text), "text": text} for text in {*texts.values(), "a clip"}]
    person = {"source": "s", "user_id": 1, "annotator_id": "x", "email": EMAIL, "name": NAME}
    with store.batch("specials") as batch:
        batch.add("items", rows_of("items", items))
        batch.add("prompts", rows_of("prompts", prompts))
        batch.add("people", rows_of("people", [person]))


def add_models(store, pair_set_id):
    config = json.dumps({"head": {"kind": "hpqa"}, "loss": {"kind": "bt-wt"}})
    runs = [{"model_id": model, "pair_set_id": pair_set_id, "config": config} for model in "ab"]
    given = [
        {"model_id": model, "item_id": f"clip_{n:06}", "dimension": dimension,
         "reward": (n * step + shift) % 97 / 10}
        for model, step in (("a", 37), ("b", 53))
        for shift, dimension in enumerate(DIMENSIONS)
        for n in range(WORLD.items)
    ]  # fmt: skip
    found = [
        {"model_id": model, "pair_set_id": pair_set_id, "dimension": dimension, "split": split,
         "metric": "acc", "value": 0.7, "low": 0.6, "high": 0.8, "pairs": 9, "items": 8}
        for model in "ab" for dimension in DIMENSIONS for split in ("test", "ood")
    ]  # fmt: skip
    with store.batch("models") as batch:
        batch.add("runs", rows_of("runs", runs))
        batch.add("scores", rows_of("scores", given))
        batch.add("evaluations", rows_of("evaluations", found))


@pytest.fixture(scope="session")
def media_home(tmp_path_factory):
    """Home and media root, filled."""
    place = tmp_path_factory.mktemp("web")
    root, outside = place / "media", place / "outside"
    root.mkdir()
    outside.mkdir()
    settings = Settings(home=place / "home")
    store = settings.store
    with pytest.MonkeyPatch.context() as patch:
        for module in ("measure", "pair"):  # one face is enough, at the end
            patch.setattr(f"flows.{module}.publish", lambda store: None)
        add_videos(store, WORLD)
        add_labels(store, WORLD, pulls=2)
        measure.measure(settings, store)
        measure.build(settings, store)
        newest, _ = build(settings, store, Recipe.from_dict(RECIPE))
    add_specials(store, clips(root, outside))
    add_models(store, newest.pair_set_id)
    publish(store)
    return store.home, root


@contextmanager
def running(home, root, *options):
    """What `soli warehouse ui --json` says, while it runs."""
    command = [sys.executable, "-m", "flows", "--home", str(home), "warehouse", "ui", "--json"]
    environment = {**os.environ, "SOLI_MEDIA_ROOTS": json.dumps([str(root)])}
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            text = ""
            for line in process.stdout:
                text += line
                if line.startswith("}"):
                    break
            yield json.loads(text)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def site(media_home):
    """Client of a page on loopback."""
    with running(*media_home) as said, httpx.Client(base_url=said["url"], timeout=60) as client:
        assert said["token_file"] is None
        yield client


@pytest.fixture(scope="session")
def guarded(media_home):
    """URL and token of a page that asks for one."""
    with running(*media_home, "--host", "0.0.0.0") as said:
        file = Path(said["token_file"])
        assert file.stat().st_mode & 0o777 == 0o600
        token = file.read_text().strip()
        assert token not in json.dumps(said)
        yield said["url"].replace("0.0.0.0", "127.0.0.1"), token


@pytest.fixture(scope="session")
def odd():
    return ODD


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def person():
    return NAME, EMAIL


@pytest.fixture
def own_home(media_home, tmp_path):
    """A copy to write into, with its own face."""
    home, root = media_home
    shutil.copytree(home / "tables", tmp_path / "home" / "tables")
    publish(Store(tmp_path / "home"))
    return tmp_path / "home", root


@pytest.fixture(scope="session")
def served():
    return running


@pytest.fixture(scope="session")
def table_rows():
    return rows_of
