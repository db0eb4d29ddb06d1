"""The server itself: a socket, the token's file, and connections that end."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.rewards_server.guard import App
from warehouse.errors import SettingsError

REQUEST_SECONDS = 10.0  # in which the first request of a connection has begun
IDLE_SECONDS = 30  # that a connection is kept between requests
CONNECTIONS = 512
TOKEN_BYTES = 32


class Connection(H11Protocol):
    """A connection that does not wait for ever for a request that never comes whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with a time limit."""
        super().connection_made(transport)
        self.loop.call_later(REQUEST_SECONDS, self._give_up, transport)

    def _give_up(self, transport: asyncio.Transport) -> None:
        begun = getattr(self, "cycle", None) is not None  # uvicorn sets it with the first request
        if not (begun or transport.is_closing()):
            transport.close()


def listen(bind: str, port: int) -> socket.socket:
    """A socket that listens: who connects before the server runs waits. Port 0: a free one.

    Raises: SettingsError where it cannot be.
    """
    try:
        # By its number: only then asyncio turns Nagle off, which holds an answer back for 40 ms.
        family, kind, protocol = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0][:3]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((bind, port))
        found.listen(CONNECTIONS)
    except OSError as error:
        raise SettingsError(
            f"port {port} of {bind} cannot be had ({error.strerror}); name another with --port"
        ) from error
    return found


def address(listening: socket.socket) -> str:
    """URL of a bound socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(app: App, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests at hand are answered first."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    ready()
    server.run(sockets=[listening])


def token_of(path: Path) -> str:
    """The token in a file that only its owner reads, made where there is none.

    Raises: SettingsError where the file cannot be used, or others can read it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w") as file:
                file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others can read the token; run chmod 600 on it")
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the token cannot be read or made ({error})") from error
    if len(token) < TOKEN_BYTES // 2:
        raise SettingsError(f"{path}: a token of {len(token)} characters is too short; take 16")
    return token
