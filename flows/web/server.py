"""Listening: one socket, bound before anything is said, on loopback unless told otherwise."""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

import uvicorn

from annotation.server import write_secret
from flows.web.app import Site, make_app
from flows.web.connection import Connection
from flows.web.guard import Door
from warehouse.errors import SettingsError, StoreError
from warehouse.session import Session

KEPT_IN = "web.json"  # in the home
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
    Raises: StoreError where there is no face, or the address cannot be listened on.
    """
    with Session(site.home):  # where there is no face, say so now, not on every page
        listening = listen(host, port)
    with closing(listening):
        address, number = listening.getsockname()[:2]
        guarded = token or not ipaddress.ip_address(address).is_loopback
        file = site.home / KEPT_IN if guarded else None
        door = Door(frozenset(map(str.lower, names)), token_of(file) if file else None)
        shown = f"[{address}]" if ":" in address else address
        ready(f"http://{shown}:{number}/", file)
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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises: StoreError where nobody can listen there.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        raise StoreError(
            f"nobody can listen on {host}, port {port} ({error}); choose another with --host"
            " and --port"
        ) from error


def token_of(file: Path) -> str:
    """The home's token: random, made at first need, readable by its owner alone.

    Raises: SettingsError where the file holds none.
    """
    try:
        if not file.exists():
            write_secret(file, {"token": secrets.token_urlsafe(32)})
        token = json.loads(file.read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} holds no token ({error}); remove it, and start again"
        ) from error
    if not isinstance(token, str) or not token:
        raise SettingsError(f"{file} holds no token; remove it, and start again")
    return token
