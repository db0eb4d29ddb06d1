"""Words that no log line may say: tokens as they are set, and the names of people."""

from __future__ import annotations

from flows import logs
from flows.settings import Settings
from warehouse.errors import PlatformError


def turn_on_where_asked(settings: Settings) -> None:
    """Write log lines for machines from now on, where the settings ask for that."""
    if settings.log_json:
        logs.turn_on(settings.secrets | names_of(settings))


def names_of(settings: Settings) -> set[str]:
    """Names and e-mails that the warehouse knows; none where it cannot be read."""
    if not (settings.home / "people").exists():
        return set()
    try:
        people = settings.store.read("people").select(["name", "email"]).to_pylist()
    except PlatformError:
        return set()
    whole = {word for row in people for word in row.values() if word}
    return whole | {part for word in whole if "@" not in word for part in word.split()}
