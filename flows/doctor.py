"""Is everything in place? Each check looks at one thing and, where it is not well, names a step.

The checks run at once, each in a thread of its own, so that servers that do not answer cost their
time together and not one after another. Nothing heavy is imported, and nothing is changed.
"""

from __future__ import annotations

import errno
import queue
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal
from urllib.parse import quote

import httpx

from annotation.health import Health, look
from annotation.server import running
from annotation.transport import server_time
from flows.beats import beats
from flows.settings import CHECKOUT, Settings, chromium, prefect_api_url
from flows.versions import installed, locked, outside, ranges
from warehouse.errors import PlatformError, one_line

SECONDS = 1.5  # for everything together, beside some 1.2 to start: what has not answered has failed
PYTHON = (3, 11)
GIB = 2**30
LITTLE, TOO_LITTLE = 10 * GIB, GIB  # bytes free: of a training, and of a day's labels
SKEW, TOO_SKEWED = 5.0, 300.0  # seconds between two clocks; a Date header is of whole seconds
State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    what: str
    state: State
    found: str
    step: str = ""


def examine(settings: Settings) -> list[Check]:
    """Everything, in the order of CHECKS; what does not answer in time is a failure."""
    answers: queue.Queue[tuple[str, list[Check]]] = queue.Queue()
    due = time.monotonic() + SECONDS
    for name, check in CHECKS.items():
        work = (name, check, settings, answers)
        # A daemon: one that hangs in a system call keeps nobody from ending.
        threading.Thread(target=_answer, args=work, daemon=True).start()
    found: dict[str, list[Check]] = {}
    while len(found) < len(CHECKS) and (left := due - time.monotonic()) > 0:
        try:
            name, checks = answers.get(timeout=left)
        except queue.Empty:
            break
        found[name] = checks
    slow = f"no answer within {SECONDS:g} s"
    step = "see what it waits for: network, disk, or a busy server"
    return [
        check for name in CHECKS for check in found.get(name, [Check(name, "fail", slow, step)])
    ]


def _answer(
    name: str,
    check: Callable[[Settings], Iterator[Check]],
    settings: Settings,
    answers: queue.Queue[tuple[str, list[Check]]],
) -> None:
    try:
        found = list(check(settings))
    except PlatformError as error:
        words, _, step = str(error).partition("; ")
        found = [Check(name, "fail", words, step)]
    except Exception as error:  # noqa: BLE001 -- a check that breaks is a finding, too
        words = f"{type(error).__name__}: {one_line(error)}"
        found = [Check(name, "fail", words, "this is unexpected; please report it")]
    answers.put((name, found))


def versions(_settings: Settings) -> Iterator[Check]:
    """Python, and every package that Soli needs, against its ranges and the lock file."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON:
        yield Check("python", "fail", python, "use Python 3.11 or newer")
    have = installed(ranges())
    wrong = outside(have, ranges())
    if wrong:
        step = "run `make`, or `pip install -c constraints.txt -e .`"
        yield Check("versions", "fail", "; ".join(wrong), step)
        return
    pins = locked(CHECKOUT / "constraints.txt")
    other = [
        f"{name} {found} ({pins.get(name, 'not in it')})"
        for name, found in have.items()
        if found != pins.get(name)
    ]
    if pins and other:
        words = f"within the ranges, but not as in constraints.txt: {', '.join(other)}"
        step = "files are the same to the byte under constraints.txt alone; run `make` for that"
        yield Check("versions", "warn", words, step)
        return
    how = "as locked" if pins else "within their ranges"
    yield Check("versions", "ok", f"Python {python}, {len(have)} packages {how}")


def storage(settings: Settings) -> Iterator[Check]:
    """Whether the home can be written, and how much room there is."""
    home = settings.home.absolute()
    there = next(place for place in (home, *home.parents) if place.is_dir())
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        step = "make room" if full else "mend its permissions, or name another folder with --home"
        yield Check("home", "fail", f"{there} cannot be written ({error.strerror})", step)
    else:
        yield Check("home", "ok", f"{home} is writable" if there == home else f"{home} can be made")
    free = shutil.disk_usage(there).free
    state: State = "fail" if free < TOO_LITTLE else "warn" if free < LITTLE else "ok"
    step = "" if state == "ok" else "make room; `soli warehouse compact` removes files out of use"
    yield Check("disk", state, f"{free / GIB:.1f} GiB free at {there}", step)


def runs(settings: Settings) -> Iterator[Check]:
    """Whether a flow's run in this home died without anybody looking after it, or hangs."""
    found = beats(settings.home)
    dead = sum(not beat.alive for beat in found)
    stuck = sum(beat.hangs for beat in found)
    if dead or stuck:
        step = "look at them with `soli flows watch --dry-run`; without it dead ones are resumed"
        yield Check("runs", "warn", f"{dead} died, {stuck} give no sign of progress", step)
    else:
        yield Check("runs", "ok", f"{len(found)} going on" if found else "none going on")


def tables(settings: Settings) -> Iterator[Check]:
    """Whether the tables of record can be read, at an object store above all."""
    where = settings.tables or str(settings.home / "tables")
    if settings.tables is None and not (settings.home / "tables").exists():
        yield Check("tables", "ok", f"none yet in {settings.home}")
        return
    version = settings.store.lake.version("label_events")
    found = f"{where}, label events in version {version}"
    yield Check("tables", "ok", found if version >= 0 else f"no label events yet at {where}")


def label_studio(settings: Settings) -> Iterator[Check]:
    """Whether the labelling server answers, takes the token, and has the right time."""
    name, key = "label studio", settings.label_studio_api_key
    url, token = settings.label_studio_url, key.get_secret_value() if key else None
    if url is None:
        own = running(settings.server_home)
        if own is None:
            step = "set LABEL_STUDIO_URL, or start one with `soli annotate server`"
            yield Check(name, "warn", "none is named, and none runs in this home", step)
            return
        url, token = own.url, own.token
    health = look(url, token, SECONDS)
    yield Check(name, "ok", f"{url}, version {health.version or 'unknown'}")
    yield _token(settings, health)
    yield from _clock("clock of label studio", health.clock)


def _token(settings: Settings, health: Health) -> Check:
    if health.knows_token:
        return Check("token", "ok", "taken")
    if health.knows_token is False:
        step = "set LABEL_STUDIO_API_KEY to the one on the server's page Account & Settings"
        return Check("token", "fail", "refused", step)
    if settings.label_studio_api_key_block:
        return _block(settings.label_studio_api_key_block)
    step = "set LABEL_STUDIO_API_KEY, or name a Secret block in SOLI_LABEL_STUDIO_API_KEY_BLOCK"
    return Check("token", "fail", "none is set", step)


def _block(name: str) -> Check:
    """Whether Prefect has the Secret block; what it holds is not asked for."""
    url = prefect_api_url()
    if url is None:
        step = "set PREFECT_API_URL to the server that keeps the block"
        return Check("token", "fail", f"in the Secret block {name} of no Prefect server", step)
    where = f"{url}/block_types/slug/secret/block_documents/name/{quote(name, safe='')}"
    try:
        status = httpx.get(where, timeout=SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        status = 0
    if status == httpx.codes.OK:
        return Check("token", "ok", f"in Prefect's Secret block {name}; not tried here")
    step = "make it on the page Blocks of the Prefect server, of the type Secret"
    said = "no" if status == httpx.codes.NOT_FOUND else "no answer about the"
    return Check("token", "fail", f"{said} Secret block {name} at {_shown(url)}", step)


def _shown(url: str) -> str:
    """An address without a name or password.

    >>> _shown("https://ann:pw@prefect.example.org/api")
    'https://prefect.example.org/api'
    """
    return re.sub(r"//[^/]*@", "//", url)


def _clock(what: str, theirs: datetime | None) -> Iterator[Check]:
    """Ours against the one in an answer: times of labels are the server's, commits' are ours."""
    if theirs is None:
        yield Check(what, "warn", "the server does not say its time", "is a proxy in between?")
        return
    apart = (datetime.now(UTC) - theirs).total_seconds()
    size = abs(apart)
    state: State = "ok" if size <= SKEW else "warn" if size <= TOO_SKEWED else "fail"
    words = f"ours is {size:.0f} s {'ahead' if apart > 0 else 'behind'}" if size > SKEW else "alike"
    yield Check(what, state, words, "" if state == "ok" else "set both clocks by NTP")


def prefect(_settings: Settings) -> Iterator[Check]:
    """Whether the Prefect server that is named answers, and is of our version."""
    url = prefect_api_url()
    if url is None:
        yield Check("prefect", "ok", "no server is named; runs are kept in the home")
        return
    try:
        with httpx.Client(timeout=SECONDS) as client:
            health, said = client.get(f"{url}/health"), client.get(f"{url}/admin/version")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        step = "start it with `prefect server start`, or correct PREFECT_API_URL"
        words = f"no server answers at {_shown(url)} ({type(error).__name__})"
        yield Check("prefect", "fail", words, step)
        return
    if not health.is_success:
        step = "correct PREFECT_API_URL: it ends in /api; look at the server's log"
        words = f"{_shown(url)} answered {health.status_code} to health"
        yield Check("prefect", "fail", words, step)
        return
    theirs = str(said.json()) if said.is_success else "unknown"
    ours = installed(["prefect"])["prefect"]
    alike = theirs.split(".")[:2] == (ours or "").split(".")[:2]
    step = "" if alike else "run the same minor version on both sides"
    words = f"version {theirs}" if alike else f"the server is {theirs}, this is {ours}"
    yield Check("prefect", "ok" if alike else "warn", words, step)
    yield from _clock("clock of prefect", server_time(health))


def browser(_settings: Settings) -> Iterator[Check]:
    """Chromium, which only tests of pages need."""
    path = chromium()
    found = f"{Path(path).name} is there" if path else "absent; only browser tests need it"
    yield Check("chromium", "ok", found)


CHECKS: Mapping[str, Callable[[Settings], Iterator[Check]]] = {
    "versions": versions,
    "home": storage,
    "tables": tables,
    "runs": runs,
    "label studio": label_studio,
    "prefect": prefect,
    "chromium": browser,
}
