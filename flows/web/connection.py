"""Connections that end: one that brings no whole request would hold its place for ever."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """An HTTP connection that waits for each request, head and body, a limited time.

    uvicorn limits the time between requests alone, and not once a request has begun.
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
        if self._answering():
            self._waiting_since = now
        elif now - self._waiting_since > self.patience:
            self.transport.close()
            return
        self.loop.call_later(self.patience / 4, self._watch)

    def _answering(self) -> bool:
        """Whether a whole request is there, and its answer is on its way."""
        cycle = self.cycle
        return bool(cycle) and not (cycle.response_complete or cycle.more_body)
