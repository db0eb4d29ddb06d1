"""Listening: one socket, bound before anything is said, on loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import uvicorn

from flows.listening import Connection, is_loopback, listen, place_of, token_of, url_of
from flows.web.app import Site, make_app
from flows.web.guard import Door
from warehouse.session import Session

TOKEN_FILE = "web.token"  # noqa: S105 -- a file's name
BUSIEST = 64  # requests at once; more are told to come again


def serve(
    site: Site,
    host: str,
    port: int,
    names: Iterable[str],
    ready: Callable[[str, Path | None], None],
    *,
    token: bool = False,
) -> None:
    """Answer until Ctrl-C.

    host, port: where to listen; port 0: a free one.
    names: further names that a request may come under.
    ready: told the URL, and the file of the token where one is asked for.
    token: ask for one on loopback, too; elsewhere it is always asked for.
    Raises: StoreError where there is no face; SettingsError where the address cannot be listened
        on, or the token's file not be used.
    """
    with Session(site.home):  # where there is no face, say so now, not on every page
        listening = listen(host, port)
    with closing(listening):
        guarded = token or not is_loopback(place_of(listening)[0])
        file = site.home / TOKEN_FILE if guarded else None
        door = Door(frozenset(map(str.lower, names)), token_of(file) if file else None)
        ready(f"{url_of(listening)}/", file)
        config = uvicorn.Config(
            make_app(site, door),
            http=Connection,
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,  # addresses hold ids and words of prompts
            proxy_headers=False,
            server_header=False,
            limit_concurrency=BUSIEST,
        )
        with suppress(KeyboardInterrupt):  # raised again once everything is closed
            uvicorn.Server(config).run(sockets=[listening])
