"""The server itself."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from flows.listening import Connection
from flows.rewards_server.guard import App

IDLE_SECONDS = 30  # that a connection is kept between requests
CONNECTIONS = 512


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
