"""What every flow of ours does around its work: settings, log lines, a heartbeat, events, errors.

No flow has a parameter that is secret or of one machine: address, token and home come from the
environment of the process that runs it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import wraps
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
from flows.unsaid import names_of, turn_on_where_asked
from warehouse.errors import GateStop, PlatformError

GATE_STOPPED = "soli.gate.stopped"
RUN_LOST = "soli.run.lost"
RUN_HANGS = "soli.run.hangs"
PAIRS_BUILT = "soli.pairs.built"

TO_THE_SERVER = ("prefect.flow_runs", "prefect.task_runs")  # its loggers whose lines it keeps


def step(work: Callable[..., Any], **options: Any) -> Any:
    """A task of which Prefect keeps nothing but its state, and that says no secrets and media.

    options: of Prefect's task; without them it is not tried again by itself.
    """
    return task(cache_policy=NO_CACHE, persist_result=False, **options)(_discreet(work))


def _discreet(work: Callable[..., Any]) -> Callable[..., Any]:
    """The work, with the words of its errors as anybody may read them; see `whole`."""

    @wraps(work)
    def told(*arguments: Any, **options: Any) -> Any:
        try:
            return work(*arguments, **options)
        except PlatformError as error:
            public = copy(error)
            public.args = (redacted(str(error)),)
            raise public from error

    return told


def whole(error: PlatformError) -> PlatformError:
    """The error of a step as it was raised there, for whoever sits at this machine."""
    cause = error.__cause__
    told = isinstance(cause, PlatformError) and redacted(str(cause)) == str(error)
    return cause if isinstance(cause, PlatformError) and told else error


class _Discreet(logging.Formatter):
    """Log lines, tracebacks included, without secrets, people and media."""

    def __init__(self, known: Collection[str]) -> None:
        super().__init__()
        self.known = known

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record), self.known)


@contextmanager
def running(flow: str) -> Iterator[Settings]:
    """Settings of the process, for the block in which the run is known as alive.

    Raises: SettingsError, and StoreError where the home is not writable.
    """
    settings = load()
    turn_on_where_asked(settings)
    known = settings.secrets | names_of(settings)
    for name in TO_THE_SERVER:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(_Discreet(known))
    with beating(settings.home, flow, str(flow_run.id or uuid.uuid4())):
        yield settings


def failed(error: PlatformError) -> State[Any]:
    """State that says in one line what went wrong; who called the flow gets the error itself.

    Prefect keeps the line, and shows it to everybody: without secrets and media.
    """
    error = whole(error)
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
