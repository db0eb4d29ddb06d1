"""A handful of clips, a pair set over them and a tiny base model, made once per session."""

import importlib.util
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from training.config_json import to_json
from training.recipes import tiny_test
from training.tiny import TinyShape, build_tiny_internvl
from warehouse.contracts import PAIR_SET_ITEMS, PAIRS

DIMENSIONS = ("physical_plausibility", "subject_deformity", "semantic_alignment")
PROMPTS = ("a red ball falls", "a blue square slides", "a green ring swings", "a star rises")
SPLITS = ("train",) * 12 + ("validation",) * 4 + ("test",) * 4
SHAPE = TinyShape(image=16, patch=4, vision_hidden=16, vision_layers=1, hidden=16, layers=3)


def encode_clip(path, frames, fps=8):
    """H.264 mp4 of uint8 (T, H, W, 3) frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def draw_square(seed, frames=8, size=32):
    """A bright square on a dark ground, moving by the seed."""
    rng = np.random.default_rng(seed)
    clip = np.full((frames, size, size, 3), 20, np.uint8)
    y, x = rng.integers(0, size // 2, 2)
    for number, image in enumerate(clip):
        left = (x + number * (seed % 3)) % (size - 8)
        image[y : y + 8, left : left + 8] = (200, 40 * (seed % 5), 60)
    return clip


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, longest where other tests run beside us."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def write_clip():
    return encode_clip


@pytest.fixture(scope="session")
def moving_square():
    return draw_square


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """Twenty items: item_id, path, prompt, media_sha256."""
    folder = tmp_path_factory.mktemp("clips")
    ids = [f"item_{number:02}" for number in range(len(SPLITS))]
    paths = [str(encode_clip(folder / f"{i}.mp4", draw_square(n))) for n, i in enumerate(ids)]
    prompts = [PROMPTS[number % len(PROMPTS)] for number in range(len(ids))]
    digests = pa.nulls(len(ids), pa.string())
    return pa.table([ids, paths, prompts, digests], ["item_id", "path", "prompt", "media_sha256"])


def labels_of(number):
    """Pass or fail of an item in each dimension: three different patterns."""
    return ["pass" if (number >> bit) % 2 == 0 else "fail" for bit in range(3)]


@pytest.fixture(scope="session")
def pair_set(tmp_path_factory, media):
    """Folder with all win-lose and win-tie pairs within each split, as the contracts say."""
    folder = tmp_path_factory.mktemp("pair_set")
    items, pairs = [], []
    for bit, dimension in enumerate(DIMENSIONS):
        rows = [(n, SPLITS[n], labels_of(n)[bit]) for n in range(len(SPLITS))]
        common = {"pair_set_id": "0" * 16, "dimension": dimension}
        for number, split, label in rows:
            ordinal = len(rows) - 1 - number  # ordinals are not item numbers
            facts = {"item_id": f"item_{number:02}", "prompt_id": f"prompt_{number % 4}"}
            items.append(
                {**common, **facts, "ordinal": ordinal, "split": split, "label": label, "p_pass": 1}
            )
        for one, split, label in rows:
            for two, other_split, other_label in rows:
                tie = label == other_label == "pass" and one < two
                if split == other_split and (tie or (label, other_label) == ("pass", "fail")):
                    ends = {"winner": len(rows) - 1 - one, "other": len(rows) - 1 - two}
                    kind = {"kind": "win_tie" if tie else "win_lose", "mu": 0.5 if tie else 1.0}
                    pairs.append({**common, **ends, **kind, "split": split, "weight": 1.0})
    write_pair_set(folder, items, pairs)
    return folder


def write_pair_set(folder, items, pairs):
    for name, table, rows in (("items", PAIR_SET_ITEMS, items), ("pairs", PAIRS, pairs)):
        fields = [field for field in table.schema if field.name != "observed_at"]
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), folder / f"{name}.parquet")
    (folder / "manifest.json").write_text("{}")


@pytest.fixture(scope="session")
def base_model(tmp_path_factory):
    """A tiny random InternVL: 3 layers, width 16, frames of 16 px."""
    return build_tiny_internvl(tmp_path_factory.mktemp("base"), 0, PROMPTS, SHAPE)


@pytest.fixture(scope="session")
def authors():
    """Module that writes InternVL checkpoints in their authors' layout."""
    path = Path(__file__).parent / "authors.py"
    spec = importlib.util.spec_from_file_location("soli_authors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def frame_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="session")
def config(base_model, pair_set, frame_cache):
    """A run of a few seconds over the fixtures."""
    recipe = tiny_test(str(base_model), str(pair_set), seed=3)
    return replace(
        recipe,
        frame_cache=str(frame_cache),
        frames=replace(recipe.frames, count=3, shift=1),
        head=replace(recipe.head, layers=(1, 3), heads=4),
        batch=replace(recipe.batch, size=6, max_steps=4),
        log_every=2,
        evaluate_every=2,
        engine=replace(recipe.engine, threads=1),
    )


@pytest.fixture
def write_job(tmp_path, media):
    """Function that writes a job folder for a config."""

    def write(config, name="job", media=media):
        job = tmp_path / name
        job.mkdir()
        (job / "config.json").write_text(json.dumps(to_json(config)))
        pq.write_table(media, job / "media.parquet")
        return job

    return write
