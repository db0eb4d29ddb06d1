"""soli doctor."""

from __future__ import annotations

import typer

from flows.commands.common import Json, settings_of


def doctor(context: typer.Context, *, json: Json = False) -> None:
    """Look whether everything is in place, and say the next step where it is not.

    Versions, home, disk, tables, runs, Label Studio with token and clock, Prefect with clock,
    Chromium. Takes three seconds at most; writes nothing. Each line says ok, warn or fail; exits 1
    where one fails.

    \b
    Examples:
      soli doctor
      soli doctor --json
      soli --home /srv/soli doctor
    """
    from flows.console import show_json, show_rows
    from flows.doctor import examine

    checks = examine(settings_of(context))
    if json:
        show_json(checks)
    else:
        show_rows([vars(check) for check in checks], ("state", "what", "found", "step"))
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)
