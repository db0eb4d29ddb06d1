"""soli warehouse ui."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import Json, settings_of


def ui(
    context: typer.Context,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; a token is asked for on any but loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    name: Annotated[
        list[str] | None,
        typer.Option(help="A further host name that people may write; repeat for several."),
    ] = None,
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token on loopback, too.")
    ] = False,
    json: Json = False,
) -> None:
    """Look at the warehouse in a browser, read-only, until Ctrl-C.

    Labels, agreement, annotators, clips, disagreements, pair sets and models; every number leads to
    the SQL behind it. Clips are shown from the folders of `media_roots`. The token lies in a file
    of the home that its owner alone can read.

    \b
    Examples:
      soli warehouse ui
      soli warehouse ui --port 8765
      soli warehouse ui --host 0.0.0.0 --name reports.example
    """
    from flows.console import show_json
    from flows.web.app import Site
    from flows.web.server import serve

    settings = settings_of(context)
    home = settings.home.absolute()

    def ready(url: str, file: Path | None) -> None:
        if json:
            show_json({"url": url, "token_file": file})
            return
        typer.echo(url)
        if file is not None:
            typer.echo(f"token: in {file}", err=True)
        typer.echo("read-only; Ctrl-C ends it", err=True)

    site = Site(home, settings.media_roots or (settings.media_root,))
    serve(site, host, port, name or (), ready, token=token)
