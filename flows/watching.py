"""Runs that died or hang: found by their heartbeats, told to Prefect, and resumed.

Prefect marks a run as crashed where the process that served it lives on. Where the whole service,
or the machine, was killed nobody does: the run stays "Running", and with one run at a time it
keeps its place until the server lets that lapse.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed, Scheduled

from flows.beats import (
    FOLDER,
    Beat,
    await_again,
    awaited,
    beats,
    begun_again,
    forget,
    home_tag,
    tell_once,
)
from flows.console import say
from flows.flow_run import RUN_HANGS, RUN_LOST, emit, now
from flows.prefect_server import NO_ANSWER
from warehouse.errors import StoreError
from warehouse.lease import lease

EVERY_SECONDS = 15.0
MOST_RUNS = 3  # a run that dies again and again is not resumed after so many
GRACE = timedelta(minutes=5)  # from a run's start in Prefect to its first heartbeat
UNDER_WAY = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
Outcome = Literal["resumed", "crashed", "cancelled", "hangs"]


@dataclass(frozen=True)
class Found:
    """A run that died, or that hangs."""

    run_id: str
    run: str
    """Prefect's name of it."""
    outcome: Outcome
    """What was made of it; a run that hangs is left alone."""
    reason: str


def watch(home: Path, ended: threading.Event) -> None:
    """Look for dead and hanging runs now and then, until the event is set.

    A server that does not answer is said once, and asked again.
    """
    away = False
    while True:
        try:
            sweep(home)
            away = False
        except NO_ANSWER as error:
            if not away:
                words = f"{now()} Prefect does not answer ({type(error).__name__}); asked again"
                say(words, "watch.away", level="warning")
            away = True
        if ended.wait(EVERY_SECONDS):
            return


def sweep(home: Path, *, dry_run: bool = False) -> list[Found]:
    """Look once: mark dead runs as crashed, resume those of a deployment, tell of hanging ones.

    dry_run: only say what was found.
    Raises: httpx.HTTPError, PrefectException where the server does not answer.
    """
    home = home.absolute()
    try:
        with lease(home / FOLDER / "watch", "looking for dead runs", wait=0):
            return _sweep(home, dry_run=dry_run)
    except StoreError:  # somebody else looks just now
        return []


def _sweep(home: Path, *, dry_run: bool) -> list[Found]:
    known = {beat.run_id: beat for beat in beats(home)}
    found = []
    with get_client(sync_client=True) as client:
        for beat in known.values():
            if beat.hangs:
                found.append(_hanging(home, beat, dry_run=dry_run))
            if beat.alive:
                continue
            run = _run(client, beat.run_id)
            if run and run.state_type in {*UNDER_WAY, StateType.CRASHED}:
                reason = f"process {beat.pid} ended without a word (killed, or the machine was)"
                found.append(_lost(client, home, run, reason, dry_run=dry_run))
            elif not dry_run:  # it told its end itself, or another server's it is
                forget(home, beat.run_id)
        for run in _without_beat(client, home_tag(home), set(known)):
            reason = "no process of this home does it (it ended before its first heartbeat)"
            found.append(_lost(client, home, run, reason, dry_run=dry_run))
        for run_id in awaited(home):
            if run_id not in known:
                found += _told_late(client, home, run_id, dry_run=dry_run)
    return found


def _run(client: SyncPrefectClient, run_id: str) -> FlowRun | None:
    """None where this server does not know it."""
    try:
        return client.read_flow_run(UUID(run_id))
    except ObjectNotFound:
        return None


def _without_beat(client: SyncPrefectClient, tag: str, known: set[str]) -> Iterator[FlowRun]:
    """Runs of this home that Prefect takes to go on, and nobody here does."""
    old = datetime.now(UTC) - GRACE
    asked = {"state": {"type": {"any_": list(UNDER_WAY)}}, "tags": {"all_": [tag]}}
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(asked)):
        began = run.state.timestamp if run.state else None
        if str(run.id) not in known and began and began < old:
            yield run


def _lost(
    client: SyncPrefectClient, home: Path, run: FlowRun, reason: str, *, dry_run: bool
) -> Found:
    """A dead run: crashed in Prefect, too, and scheduled again where a deployment does its runs."""
    again = run.deployment_id is not None and run.run_count < MOST_RUNS
    outcome: Outcome = "resumed" if again else "crashed"
    if run.state_type == StateType.CANCELLING:
        outcome = "cancelled"
    found = Found(str(run.id), run.name, outcome, reason)
    if dry_run:
        return found
    if run.state_type != StateType.CRASHED:
        end = Cancelled if outcome == "cancelled" else Crashed
        client.set_flow_run_state(run.id, end(message=reason), force=True)
    forget(home, found.run_id)  # before it is scheduled: it may begin at once
    if outcome == "resumed":
        await_again(home, found.run_id)
        _schedule(client, run, reason)
    words = f"{now()} run {run.name}: {reason}; {outcome}"
    say(words, "run.lost", level="warning", run_id=found.run_id, outcome=outcome)
    emit(RUN_LOST, f"run.{run.id}", run=run.name, outcome=outcome, reason=reason)
    return found


def _told_late(client: SyncPrefectClient, home: Path, run_id: str, *, dry_run: bool) -> list[Found]:
    """A resumed run that was called crashed before it began: it is scheduled once more, once.

    The process that served the dead run says that it crashed when the last child of it, such as a
    training that goes on, has let go of its output: minutes after we resumed the run.
    """
    run = _run(client, run_id)
    if run and run.state_type in {StateType.SCHEDULED, StateType.PENDING}:
        return []
    if not dry_run:
        begun_again(home, run_id)
    if run is None or run.state_type != StateType.CRASHED:
        return []
    reason = "called crashed after it was resumed: a child of its dead process ended only now"
    if not dry_run:
        _schedule(client, run, reason)
        words = f"{now()} run {run.name}: {reason}; resumed"
        say(words, "run.lost", level="warning", run_id=run_id, outcome="resumed")
    return [Found(run_id, run.name, "resumed", reason)]


def _schedule(client: SyncPrefectClient, run: FlowRun, reason: str) -> None:
    again_soon: State[None] = Scheduled(message=f"resumed: {reason}")
    client.set_flow_run_state(run.id, again_soon, force=True)


def _hanging(home: Path, beat: Beat, *, dry_run: bool) -> Found:
    """A run that gives no sign; each of its silences is told once."""
    reason = (
        f"{beat.flow}: no sign of progress for {beat.silent.total_seconds() / 60:.0f} minutes; look"
        f" at process {beat.pid}, and end it where it is stuck: the run is resumed then"
    )
    if not dry_run and tell_once(home, beat):
        words = f"{now()} run {beat.run_id} hangs: {reason}"
        say(words, "run.hangs", level="warning", run_id=beat.run_id)
        emit(RUN_HANGS, f"run.{beat.run_id}", run=beat.run_id, outcome="hangs", reason=reason)
    return Found(beat.run_id, beat.run_id, "hangs", reason)
