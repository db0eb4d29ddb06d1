"""What servers of ours have in common: a socket, a token in a file, connections that end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from warehouse.errors import SettingsError

WAITING = 512  # connections that wait to be taken
TOKEN_BYTES = 32


class Connection(H11Protocol):
    """An HTTP connection that waits for each request, head and body, a limited time.

    uvicorn limits the time between requests alone (`timeout_keep_alive`), and not once a request
    has begun.
    """

    patience: ClassVar[float] = 10.0
    """Seconds in which a request must be there as a whole."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._watch()

    def _watch(self) -> None:
        if self.transport.is_closing():
            return
        now = self.loop.time()
        if self._owes_nothing():
            self._waiting_since = now
        elif now - self._waiting_since > self.patience:
            self.transport.close()
            return
        self.loop.call_later(self.patience / 4, self._watch)

    def _owes_nothing(self) -> bool:
        """Whether the answer to a whole request is on its way, or no byte of the next one came."""
        cycle = self.cycle
        if not cycle:
            return False
        if cycle.response_complete:
            return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return not cycle.more_body


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens: who connects before the server runs waits. Port 0: a free one.

    Raises: SettingsError where nobody can listen there.
    """
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return _bound(*known[0])
    except (OSError, UnicodeError, OverflowError) as error:
        raise SettingsError(
            f"nobody can listen on {host}, port {port} ({error}); choose another with --host"
            " and --port"
        ) from error


def _bound(family: int, kind: int, protocol: int, _: str, place: tuple[Any, ...]) -> socket.socket:
    """A listening socket that knows its protocol.

    Only then asyncio turns Nagle off, which holds an answer back for 40 ms.
    """
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(WAITING)
    except BaseException:
        found.close()
        raise
    return found


def url_of(listening: socket.socket) -> str:
    """URL of a bound socket, without a slash at its end."""
    address, port = place_of(listening)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def place_of(listening: socket.socket) -> tuple[str, int]:
    """Address, as a number, and port of a bound socket."""
    address, port = listening.getsockname()[:2]
    return address, port


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, which is a number: a name may mean any."""
    return ipaddress.ip_address(address).is_loopback


def token_of(file: Path) -> str:
    """The token in a file that its owner alone reads; random, made where there is none.

    Raises: SettingsError where the file cannot be used, or others can read it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w") as opened:
                opened.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
        if file.stat().st_mode & 0o077:
            raise SettingsError(f"{file}: others can read the token; run chmod 600 on it")
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: the token cannot be read or made ({error})") from error
    if len(token) < TOKEN_BYTES // 2:
        raise SettingsError(
            f"{file}: a token of {len(token)} characters is too short; write one of"
            f" {TOKEN_BYTES // 2} or more, or remove the file and start again"
        )
    return token
