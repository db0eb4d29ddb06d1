"""The whole story on one page: people judge clips, and at the end stands a reward model.

One Prefect flow of the same steps that users run singly. Every step can be repeated: what is there
already is found, so a killed demo is simply run again and ends at the same digests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pyarrow.parquet as pq
import typer
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from annotation import server as servers
from annotation.judge import perform
from annotation.members import sign_up
from flows import annotate, items, measure, pair, people, score, train
from flows.choose import chosen_method
from flows.console import progress, say, show_rows
from flows.evaluate import evaluate
from flows.ingest import Ingested
from flows.meter import Meter, Step
from flows.report import Learned, example_item, write_report
from flows.settings import Settings
from flows.world import WORLDS, make_world
from flows.world_plan import WorldSpec
from warehouse.digest import canonical_json
from warehouse.errors import SettingsError
from warehouse.lease import lease
from warehouse.store import Store

OOD_GENERATORS = ["sketch-2"]
RECIPES = {"full": "tiny", "tiny": "tiny-test"}
# A quarter of the prompts is held out; the generator sketch-2 is out of domain altogether.
PAIRS: dict[str, Any] = {
    "name": "demo",
    "ood_generators": OOD_GENERATORS,
    "split": {"train": 0.65, "validation": 0.1, "test": 0.25, "salt": "demo"},
}
T = TypeVar("T")


@dataclass
class State:
    """What a rerun has to know that nothing else tells: demo.json in the home."""

    world: str
    seed: int
    source: str
    judged: bool = False  # everybody's first judgements are given; corrections may have begun

    def save(self, home: Path) -> None:
        """Write demo.json, whole or not at all."""
        part = home / "demo.part"
        part.write_text(canonical_json(asdict(self)) + "\n")
        part.replace(home / "demo.json")


@dataclass(frozen=True)
class Outcome:
    """What the demo found, for its closing table and for tests."""

    home: Path
    report: Path
    model_id: str
    example: str
    consensus_digest: str
    pair_set_digest: str
    learned: list[Learned]
    agreement: list[dict[str, Any]]
    events: dict[str, int]
    steps: list[Step] = field(default_factory=list)


def run_demo(
    settings: Settings, *, world: str = "full", seed: int = 7, keep_server: bool = False
) -> Outcome:
    """Run the demo in the settings' home.

    Raises: SettingsError where the home holds another demo, or a warehouse that is no demo.
    """
    own = settings.model_copy(
        update={
            "label_studio_url": None,  # never somebody's real server
            "label_studio_api_key": None,
            "media_roots": (),
            "dimensions": (),
            "mapping": {},
            "gates": (),
            "consensus": {},
            "pairs": PAIRS | {"seed": seed},
        }
    )
    with lease(own.home / "demo.lock", "soli demo", wait=0):
        _claim(own.home, world, seed)
        _end_orphans(own.home)
        outcome: Outcome = story(own, keep_server)
    return outcome


@flow(name="soli-demo", validate_parameters=False, log_prints=False, persist_result=False)
def story(settings: Settings, keep_server: bool) -> Outcome:
    """Labels to rewards, in eleven steps."""
    state = _state(settings.home)
    spec = WorldSpec(**(asdict(WORLDS[state.world]) | {"seed": state.seed}))
    meter = Meter()
    run = _Runner(meter)
    try:
        run("make the world", draw_world, settings, spec)
        server = run("start Label Studio", start_server, settings)
        meter.also.add(server.pid)
        run("make the project", make_project, settings, state)
        run("six people judge", judge, settings, state)
        run("pull labels", pull_labels, settings)
        run("corrections, withdrawals", correct, settings, state)
        run("pull again", pull_labels, settings)
        measured = run("measure agreement", measure_agreement, settings)
        consensus = run("decide a consensus", decide, settings)
        pairs = run("build pairs", build_pairs, settings)
        trained = run("train", train_model, settings, state)
        run("score and evaluate", score_items, settings, trained.model_id)
        learned = run("write the report", report, settings, trained.model_id, meter.steps)
    finally:
        if not keep_server:
            servers.stop(settings.server_home)
    return Outcome(
        home=settings.home,
        report=_report_path(settings.home),
        model_id=trained.model_id,
        example=example_item(settings.store, trained.model_id),
        consensus_digest=measure.consensus_digest(consensus.table),
        pair_set_digest=pairs.digest,
        learned=learned,
        agreement=[row for row in measured.report.agreement.to_pylist() if row["slice"] == "all"],
        events=_event_counts(settings.store),
        steps=meter.steps,
    )


step: Callable[..., Any] = task(cache_policy=NO_CACHE, persist_result=False)


@step
def draw_world(settings: Settings, spec: WorldSpec) -> str:
    """Clips, prompts and truth; then the items, each video decoded once."""
    folder = _world(settings)
    with progress("drawing clips") as advance:
        summary = make_world(folder, spec, advance)
    added = items.add_items(settings, folder / "items.jsonl")
    assert not added.refused, added.refused[0]
    return f"{summary.items} clips of {summary.prompts} prompts"


@step
def start_server(settings: Settings) -> servers.LabelStudio:
    """A real Label Studio on a free port of 127.0.0.1."""
    return annotate.start_server(settings)


@step
def make_project(settings: Settings, state: State) -> str:
    """The project from our template, with a task for each item."""
    title = f"Soli demo, world {state.world}, seed {state.seed}"
    with annotate.connect(settings) as client:
        project = annotate.create_project(settings, client, title, source=state.source)
        added = items.add_items(
            settings, _world(settings) / "items.jsonl", client=client, project=project
        )
    assert added.tasks
    return f"project {project.id}, {added.tasks.made + added.tasks.there} tasks"


@step
def judge(settings: Settings, state: State) -> str:
    """Everybody's first judgements and skips, through the API, as themselves."""
    if state.judged:
        return "done before"
    done = _perform(settings, state, "first")
    state.judged = True
    state.save(settings.home)
    return _words(done)


@step
def pull_labels(settings: Settings) -> list[Ingested]:
    """Label events into the warehouse; the face is published."""
    with progress("pulling tasks") as advance:
        return annotate.ingest_server(settings, progress=advance)


@step
def correct(settings: Settings, state: State) -> str:
    """A few people change their mind, or take a label back."""
    return _words(_perform(settings, state, "second"))


@step
def measure_agreement(settings: Settings) -> measure.Measurement:
    """Agreement with intervals, annotators, gates. Raises: GateStop where a gate says stop."""
    measured = measure.measure(settings, settings.store)
    measure.stop_at_gate(measured)
    return measured


@step
def decide(settings: Settings) -> Any:
    """Consensus by majority and by Dawid-Skene; returns the one that pairs read."""
    tables = measure.build(settings, settings.store)
    return tables[chosen_method(settings)]


@step
def build_pairs(settings: Settings) -> pair.Built:
    """Cross-prompt win-lose and win-tie pairs, splits disjoint by prompt."""
    store = settings.store
    built, _ = pair.build(settings, store, pair.recipe_of(settings, store))
    return built


@step
def train_model(settings: Settings, state: State) -> train.Trained:
    """HPQA on a tiny InternVL, BT-WT loss, DeepSpeed on this machine."""
    trained = train.train(settings.store, recipe=RECIPES[state.world], seed=state.seed)
    assert isinstance(trained, train.Trained)
    return trained


@step
def score_items(settings: Settings, model_id: str) -> str:
    """Rewards of all items, into the warehouse and to Label Studio; then the evaluation."""
    with progress("scoring") as advance:
        _, new, unreadable = score.score(settings.store, model=model_id, progress=advance)
    assert not unreadable, unreadable[0]
    evaluate(settings.store, models=[model_id])
    pushed = annotate.push_scores(settings, model_id)
    return f"{new} rewards, {pushed} predictions"


@step
def report(settings: Settings, model_id: str, steps: list[Step]) -> list[Learned]:
    """One page with everything; the only reader of the truth besides the simulated people."""
    truth = _world(settings) / "truth.parquet"
    return write_report(settings.store, _report_path(settings.home), model_id, steps, truth)


class _Runner:
    """Runs steps under the meter and says on stderr which one it is."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __call__(self, name: str, run: Callable[..., T], *arguments: object) -> T:
        say(f"· {name}")
        with self.meter.step(name) as measured:
            result = run(*arguments)
            measured.note = _note(result)
        say(f"  {measured.seconds:.1f} s, {measured.peak_mib:.0f} MiB  {measured.note}")
        return result


def _note(result: object) -> str:
    """One line about a step's result."""
    if isinstance(result, list):
        return "; ".join(filter(None, map(_note, result)))
    match result:
        case str() as note:
            return note
        case servers.LabelStudio(url=url):
            return url
        case measure.Measurement() as measured:
            return f"open: {', '.join(measured.open)}"
        case pair.Built() as built:
            pairs = sum(row["pairs"] for row in built.counts)
            return f"{pairs} pairs, digest {built.digest[:16]}"
        case train.Trained() as trained:
            return f"{trained.steps} steps, model {trained.model_id[:16]}"
        case Ingested() as pulled:
            return _words(pulled.events) or "nothing new"
        case _:
            return ""


def _perform(settings: Settings, state: State, phase: str) -> dict[str, int]:
    """Carry out one phase of everybody's plan."""
    items = [
        (row["item_id"], row["design_k"])
        for row in map(json.loads, (_world(settings) / "items.jsonl").read_text().splitlines())
    ]
    truth = people.truth_by_item(pq.read_table(_world(settings) / "truth.parquet"))
    plan = people.actions(state.seed, items, truth)
    acts = [act for work in plan.values() for act in getattr(work, phase)]
    emails = {person.name: person.email for person in (*people.TEAM, people.LEAD)}
    with ExitStack() as opened:
        client = opened.enter_context(annotate.connect(settings))
        project = client.find_project(state.source)
        assert project
        members = sign_up(client, emails, settings.server_home / "annotators.json")
        for member in members.values():
            opened.callback(member.close)
        advance = opened.enter_context(progress("judging"))
        return perform(acts, members, project.id, progress=advance)


def _claim(home: Path, world: str, seed: int) -> None:
    """Make the home this demo's, or find that it is."""
    if world not in WORLDS:
        raise SettingsError(f"no world {world!r}; the worlds are {', '.join(WORLDS)}")
    home.mkdir(parents=True, exist_ok=True)
    if (home / "demo.json").exists():
        state = _state(home)
        if (state.world, state.seed) != (world, seed):
            raise SettingsError(
                f"{home} holds the demo of world {state.world}, seed {state.seed}; choose another"
                " folder with --home, or delete it"
            )
    elif (home / "tables").exists():
        raise SettingsError(
            f"{home} holds a warehouse that is no demo; choose another folder with --home"
        )
    else:
        State(world, seed, str(uuid.uuid4())).save(home)


def _end_orphans(home: Path) -> None:
    """End the Prefect servers that killed demos of this home left behind; they never end alone.

    Called under the demo's lock: whatever works in this home is nobody's any more.
    """
    ours = str(home.absolute() / "prefect")
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environment = process.environ()
            ephemeral = environment.get("PREFECT__SERVER_EPHEMERAL") == "1"
            if ephemeral and environment.get("PREFECT_HOME") == ours:
                process.kill()


def _state(home: Path) -> State:
    return State(**json.loads((home / "demo.json").read_text()))


def _world(settings: Settings) -> Path:
    return settings.media_root / "world"


def _report_path(home: Path) -> Path:
    return home.absolute() / "report.html"


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _event_counts(store: Store) -> dict[str, int]:
    rows = store.query("SELECT event, count(*) AS n FROM label_events GROUP BY event ORDER BY 1")
    return {row["event"]: row["n"] for row in rows.to_pylist()}


def show(outcome: Outcome) -> None:
    """Closing tables: what was learned, what it cost, where to look, what to try."""
    show_rows([asdict(row) for row in outcome.learned],
              ("dimension", "split", "acc", "low", "high", "pairs", "true_acc"),
              "Did the model learn? ACC with 95 % interval by prompt")  # fmt: skip
    alpha = [row for row in outcome.agreement if row["statistic"] in ("alpha", "kappa", "ac1")]
    show_rows(alpha, ("dimension", "statistic", "value", "low", "high", "word"), "Agreement")
    show_rows([asdict(s) for s in outcome.steps], ("name", "seconds", "peak_mib", "note"), "Cost")
    home = "" if outcome.home == Path(".soli") else f"--home {outcome.home} "
    commands = [
        (f"soli {home}annotate server", "Label Studio, as the annotators saw it"),
        (f'soli {home}warehouse open -q "FROM rewards"', "rewards beside labels, in SQL"),
        (f"soli {home}trace latest:{outcome.example}", "which labels a reward comes from"),
    ]
    width = max(len(command) for command, _ in commands)
    lines = [
        f"consensus digest  {outcome.consensus_digest}",
        f"pair set digest   {outcome.pair_set_digest}",
        f"report            {outcome.report}",
        "",
        "Next:",
        *(f"  {command:<{width}}  {why}" for command, why in commands),
    ]
    typer.echo("\n".join(lines))
