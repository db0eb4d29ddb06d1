"""The same pairs to the byte: any threads, any environment, any order in which things came."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import build as build_consensus
from flows.measure import measure
from flows.pair import build, items_known, newest_pair_set, sources
from pairing import Recipe, build_pairs, write_pair_set
from warehouse import engine
from warehouse.contracts import TABLES
from warehouse.store import Store

THREE = ("physical_plausibility", "semantic_alignment", "subject_deformity")
SOURCE = "11111111-1111-4111-8111-111111111111"
RECIPE = """
dimensions = ["subject_deformity", "physical_plausibility", "both"]
kinds = ["win_lose", "win_tie"]
soft = true
seed = 77
ood_generators = ["south"]
[combined]
both = "semantic_alignment & physical_plausibility"
[split]
train = 0.5
validation = 0.2
test = 0.3
[counts.win_lose]
train = "up to 20"
test = "up to 9"
ood = "up to 9"
[counts.win_tie]
train = "up to 5"
ood = "up to 9"
"""
# DuckDB and Arrow take so many threads, whatever the machine has.
COMMAND = """
import sys, pyarrow
from warehouse import engine
threads = int(sys.argv[1])
pyarrow.set_cpu_count(threads)
engine.SPILL["threads"] = threads
from flows.__main__ import run
sys.exit(run(sys.argv[2:]))
"""
ENVIRONMENTS = {
    1: {"TZ": "Pacific/Apia", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
    4: {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "2"},
    8: {"TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "random"},
}


@pytest.mark.slow
def test_threads_time_zone_locale_and_hash_seed_change_no_byte(small, small_home, tmp_path, files):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    ours, _ = build(small, small.store, Recipe.from_toml(RECIPE))
    for threads, environment in ENVIRONMENTS.items():
        home = tmp_path / f"home{threads}"
        shutil.copytree(small_home, home, symlinks=True)
        command = [str(threads), "--home", home, "pairs", "build", "--recipe", recipe]
        subprocess.run(
            [sys.executable, "-c", COMMAND, *command],
            env=os.environ | environment | {"OMP_NUM_THREADS": str(threads)},
            check=True,
            capture_output=True,
        )
        assert files(home / "pair_sets" / ours.pair_set_id) == files(ours.path)


@pytest.mark.slow
@pytest.mark.usefixtures("no_faces")
def test_two_orders_of_ingestion_give_the_same_bytes(settings, tmp_path, tasks, export, files):
    """Three exports of one project, in one order and in the other."""
    exports = [export(tasks[place::3], f"{place}.json") for place in range(3)]
    found = []
    for name, order in (("there", exports), ("back", exports[::-1])):
        home = settings.model_copy(update={"home": tmp_path / name})
        for path in order:
            ingest_export(home.store, path, source=SOURCE, labelling=Labelling(THREE))
        measure(home, home.store)
        build_consensus(home, home.store)
        built, _ = build(home, home.store, Recipe.from_toml(RECIPE))
        written = files(built.path)
        del written["manifest.json"]  # says when
        found.append((built.digest, home.store.digest("pairs"), written))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.usefixtures("no_faces")
def test_a_consensus_that_came_later_is_not_used(small, tasks, export):
    """The recipe's moment decides: the same pairs as then, while those of now are others."""
    recipe = Recipe.from_toml(RECIPE)
    then, _ = build(small, small.store, recipe)
    moment = newest_pair_set(small.store)["as_of"].isoformat()
    for task in tasks:
        for annotation in task["annotations"]:
            annotation["updated_at"] = "2026-02-01T00:00:00.000000Z"
            for answer in annotation["result"]:
                (choice,) = answer["value"]["choices"]
                answer["value"]["choices"] = [{"Pass": "Fail", "Fail": "Pass"}[choice]]
    ingest_export(small.store, export(tasks))
    measure(small, small.store)
    build_consensus(small, small.store)
    now, _ = build(small, small.store, recipe)
    again, _ = build(small, small.store, Recipe.from_toml(f"as_of = '{moment}'\n{RECIPE}"))
    assert again.digest == then.digest != now.digest


def large(items):
    """Consensus, items and prompts: more rows than one thread of DuckDB takes at a time."""
    dice = np.random.default_rng(0)
    names = [f"v{number:06}" for number in dice.permutation(items)]
    prompts = [f"p{number}" for number in dice.integers(0, items // 10, items)]
    p = np.round(dice.random(2 * items), 6)
    consensus = {
        "item_id": names * 2,
        "dimension": ["looks"] * items + ["moves"] * items,
        "label": np.where(p >= 0.5, "pass", "fail"),
        "p_pass": p,
    }
    given = {"consensus_id": "run", "method": "majority", "n_pass": 2, "n_fail": 1}
    clips = {"item_id": names, "prompt_id": prompts, "uri": names}
    same = {"generator": "g", "attributes": "{}", "design_k": 3}
    texts = {"prompt_id": sorted(set(prompts)), "text": sorted(set(prompts))}
    tables = {"consensus": (consensus, given), "items": (clips, same),
              "prompts": (texts, {"attributes": "{}"})}  # fmt: skip
    return {name: filled(name, *columns) for name, columns in tables.items()}


def filled(name, columns, same):
    """Table of a contract, unstamped; what is not given is NULL."""
    schema = TABLES[name].schema
    schema = schema.remove(schema.get_field_index("observed_at"))
    rows = len(next(iter(columns.values())))
    return pa.table(
        [
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else pa.repeat(pa.scalar(same.get(field.name), field.type), rows)
            for field in schema
        ],
        schema=schema,
    )


@pytest.mark.slow
def test_threads_and_the_order_of_rows_change_no_byte_of_a_large_set(
    tmp_path, monkeypatch, latest_consensus, files
):
    store, found, dice = Store(tmp_path / "home"), set(), np.random.default_rng(1)
    counts = {"win_lose": {"train": 9_000}, "win_tie": {"train": 3_000}}
    recipe = Recipe(("looks", "moves"), counts=counts, soft=True)
    for name, rows in large(70_000).items():
        store.append(name, rows)
    before = pa.cpu_count()
    for threads in (1, 2, 4, 8):
        monkeypatch.setitem(engine.SPILL, "threads", threads)
        engine.forget()
        pa.set_cpu_count(threads)
        consensus = latest_consensus(store, "majority")
        items = sources(store, items_known(store, None), recipe)
        shuffled = (table.take(dice.permutation(table.num_rows)) for table in (consensus, items))
        folder = write_pair_set(build_pairs(*shuffled, recipe), tmp_path / f"set{threads}")
        found.add(tuple(sorted(files(folder).items())))
    engine.forget()
    pa.set_cpu_count(before)
    assert len(found) == 1
