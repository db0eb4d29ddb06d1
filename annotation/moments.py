"""Times as whole microseconds since 1970 in UTC: cheap to compare, to hash and to store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

Micros = int

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND
EARLIEST = (datetime(2015, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""Before any Label Studio."""
CLOCK_SLACK = DAY
"""A server's clock may be that far ahead of ours."""


def micros(moment: datetime) -> Micros:
    """Microseconds of an aware time.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    since = moment - EPOCH
    return since.days * DAY + since.seconds * SECOND + since.microseconds


def moment_of(us: Micros) -> datetime:
    """The time, in UTC.

    >>> moment_of(1000005).isoformat()
    '1970-01-01T00:00:01.000005+00:00'
    """
    return EPOCH + timedelta(microseconds=us)


def possible(us: Micros, now: Micros) -> bool:
    """Whether a server can have claimed this time: not before Label Studio, hardly in the future.

    now: our clock.
    """
    return EARLIEST <= us <= now + CLOCK_SLACK


def exact(text: object) -> Micros | None:
    """Microseconds of a time written as Label Studio writes it; None for any other shape.

    >>> exact("2026-11-20T10:00:00.000001Z") - exact("2026-11-20T10:00:00Z")
    1
    >>> exact("2026-11-20 10:00:00Z") is None
    True
    """
    if type(text) is not str:
        return None
    marks = text[4:20:3]  # every third character: the separators, whichever there are
    whole = (len(text) == 27 and marks == "--T::.") or (len(text) == 20 and marks == "--T::Z")  # noqa: PLR2004
    if not whole or text[-1] != "Z":
        return None
    try:
        since = datetime.fromisoformat(text) - EPOCH
    except ValueError:
        return None
    return since.days * DAY + since.seconds * SECOND + since.microseconds
