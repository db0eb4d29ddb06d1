"""What every flow of ours does around its work: settings, log lines, a heartbeat, events, errors.

No flow has a parameter that is secret or of one machine: address, token and home come from the
environment of the process that runs it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Failed

from flows.beats import beating
from flows.console import say
from flows.logs import redacted, safe
from flows.prefect_server import is_named
from flows.settings import Settings, load
from flows.unsaid import turn_on_where_asked
from warehouse.errors import GateStop, PlatformError

GATE_STOPPED = "soli.gate.stopped"
RUN_LOST = "soli.run.lost"
RUN_HANGS = "soli.run.hangs"
PAIRS_BUILT = "soli.pairs.built"

step: Callable[..., Any] = task(cache_policy=NO_CACHE, persist_result=False)
"""A task that is not tried again by itself, and of which Prefect keeps nothing but its state."""


@contextmanager
def running(flow: str) -> Iterator[Settings]:
    """Settings of the process, for the block in which the run is known as alive.

    Raises: SettingsError, and StoreError where the home is not writable.
    """
    settings = load()
    turn_on_where_asked(settings)
    with beating(settings.home, flow, str(flow_run.id or uuid.uuid4())):
        yield settings


def failed(error: PlatformError) -> State[Any]:
    """State that says in one line what went wrong; who called the flow gets the error itself.

    Prefect keeps the line, and shows it to everybody: without secrets and media.
    """
    stop = isinstance(error, GateStop)
    say(
        f"{now()} {'stopped' if stop else 'failed'}: {error}",
        "run.stopped" if stop else "run.failed",
    )
    return Failed(message=redacted(str(error)), data=error)


def emit(event: str, about: str, **payload: object) -> None:
    """Tell Prefect of an event that automations may answer; without a server nobody would.

    about: id of what it happened to, such as gate.NAME or run.ID.
    """
    if is_named():
        known = {"prefect.resource.id": f"soli.{about}", "prefect.resource.name": about}
        emit_event(event=event, resource=known, payload=safe(payload))


def now() -> str:
    """UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
