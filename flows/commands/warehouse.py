"""soli warehouse."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import diff, quarantine, web
from flows.commands.common import DryRun, Json, group, settings_of

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse.session import Session

app = group("The tables of record and the face that people read.")
app.add_typer(quarantine.app, name="quarantine")
app.command("diff")(diff.diff)
app.command("ui")(web.ui)


@app.command("open")
def open_(
    context: typer.Context,
    *,
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="Answer one SQL query and leave.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Show what was known then; {diff.TIME}."),
    ] = None,
    json: Json = False,
) -> None:
    """Ask the warehouse in SQL, read-only; without --query, one question after another.

    \b
    Examples:
      soli warehouse open
      soli warehouse open --as-of 2026-11-20 -q "FROM pass_rates"
      soli warehouse open -q "FROM latest_agreement WHERE slice = 'all'"
      duckdb -readonly .soli/warehouse.duckdb  the same, with DuckDB's own program
    """
    from warehouse.moment import moment_of
    from warehouse.session import Session

    settings = settings_of(context)
    moment = None if as_of is None else moment_of(settings.store, as_of)
    with Session(settings.home, moment) as session:
        if query is not None:
            _answer(session.ask(query), json=json)
            return
        if moment is not None:
            typer.echo(f"as it was known at {moment:%Y-%m-%d %H:%M:%S} UTC", err=True)
        _greet(session)
        while sql := _typed():
            _answer_or_say(session, sql, json=json)


def _greet(session: Session) -> None:
    """Say what can be asked and how; keep what is typed for the arrow keys."""
    names = f"read-only; tables and views: {', '.join(session.names())}"
    typer.echo(fill(names, get_terminal_size().columns, break_long_words=False), err=True)
    typer.echo("a query ends at ; or an empty line; an empty query ends the session", err=True)
    if sys.stdin.isatty():
        import readline  # noqa: F401  # from now on input() knows the arrow keys


def _typed() -> str:
    """Next query typed or pasted, over as many lines as it takes; empty at the end."""
    lines = [_line("soli> ")]
    while lines[-1] and not lines[-1].endswith(";"):
        lines.append(_line(" ...> "))
    return "\n".join(lines).strip()


def _line(prompt: str) -> str:
    """Next line typed; empty at the end."""
    try:
        return input(prompt).rstrip()
    except EOFError:
        return ""


def _answer_or_say(session: Session, sql: str, *, json: bool) -> None:
    from warehouse.errors import StoreError

    try:
        _answer(session.ask(sql), json=json)
    except StoreError as error:
        typer.echo(str(error), err=True)


def _answer(table: pa.Table, *, json: bool) -> None:
    from flows.console import show_json, show_rows

    if json:
        show_json(table.to_pylist())
    else:
        show_rows(table.to_pylist(), table.column_names, as_named=True)


@app.command("rebuild")
def rebuild(context: typer.Context) -> None:
    """Publish the face anew, after moving the folder or deleting faces.

    \b
    Examples:
      soli warehouse rebuild
      soli --home /data/soli warehouse rebuild
    """
    from warehouse.face import publish

    typer.echo(publish(settings_of(context).store, anew=True))


@app.command("verify")
def verify(context: typer.Context, *, json: Json = False) -> None:
    """Check every table against its contract, its commits and what it refers to, and the face.

    unrecorded: rows whose commit left no digest to compare them with (written before Soli did so,
    or by another program).

    \b
    Examples:
      soli warehouse verify
      soli warehouse verify --json
    """
    from flows.console import show_json, show_rows
    from warehouse.audit import audit
    from warehouse.errors import ContractError

    rows = audit(settings_of(context).store)
    if json:
        show_json(rows)
    else:
        show_rows(rows, ("table", "rows", "digest", "unrecorded", "problems"), "Warehouse")
    broken = [row for row in rows if row["problems"]]
    if broken:
        raise ContractError(
            f"{len(broken)} tables have problems, the first is {broken[0]['table']}:"
            f" {broken[0]['problems']}"
        )


@app.command("compact")
def compact(
    context: typer.Context,
    *,
    keep_hours: Annotated[
        int, typer.Option(min=0, help="Keep files for so long after they went out of use.")
    ] = 24,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Merge small files, publish, and remove files that no face and no table needs any more.

    Rows and digests stay as they are. What a face reads is kept as long as the face is among the
    newest or somebody has it open.

    \b
    Examples:
      soli warehouse compact
      soli warehouse compact --keep-hours 0 --dry-run
    """
    from flows.console import show_json, show_rows
    from warehouse.maintenance import compact

    rows = compact(settings_of(context).store, hours=keep_hours, dry_run=dry_run)
    if json:
        show_json(rows)
    else:
        show_rows(rows, ("table", "files", "merged", "removed"), "Files")
