"""One Label Studio server: requests in, JSON out, or an error that names the next step.

The SDK's transport carries the token and renews it. Its typed calls are not used: they turn an
answer of the wrong shape into an empty list, and a 404 in the middle of a list into its end.
"""

from __future__ import annotations

import weakref
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from label_studio_sdk import LabelStudio as Sdk
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from annotation.paging import Json
from annotation.transport import (
    BUSY,
    PAUSES,
    BoundedClient,
    Unreachable,
    repeated,
    retry_after,
    server_time,
)
from warehouse.errors import AnnotationError

TIMEOUT_SECONDS = 60.0
_ONCE: RequestOptions = {"max_retries": 0}  # repetition is ours: the SDK repeats writes, too


class Connection:
    """A user's access to one server. Safe to share among threads."""

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Keep address and token; nothing is sent.

        url: of the server, without a path.
        token: a legacy token or a personal access token.
        timeout: seconds for a whole request, its answer included.
        transport: answers instead of a server on the network.
        Raises: AnnotationError where the address is no http(s) URL or the token cannot be one.
        """
        self.url = _checked_url(url)
        self.server_time: datetime | None = None
        """The server's clock in its newest answer, to the second below; None: it did not say."""
        loopback = urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}
        # No proxy between us and this machine.
        self._http = BoundedClient(timeout, trust_env=not loopback, transport=transport)
        weakref.finalize(self, self._http.close)  # no socket outlives its client
        try:
            sdk: Any = Sdk(  # type: ignore[no-untyped-call]
                base_url=self.url, api_key=_checked_token(token), httpx_client=self._http
            )
        except ApiError as error:
            raise self._wrong_token() from error
        # Its typed calls hide wrong shapes; the transport below them is what we need.
        self._transport = sdk._client_wrapper.httpx_client  # noqa: SLF001
        self._tokens = sdk._client_wrapper._tokens_client  # noqa: SLF001

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(self, method: str, path: str, **fields: Any) -> Any:
        """Any other call; returns its JSON."""
        return self._json(self._checked(self._send(method, path, **fields), path), path)

    def _mapping(self, method: str, path: str, **fields: Any) -> Json:
        return self._object(self._send(method, path, **fields), path)

    def _list(self, method: str, path: str) -> list[Any]:
        found = self.call(method, path)
        if not isinstance(found, list):
            raise self._shape(path, "no list")
        return found

    def _results(self, answer: Json, path: str) -> list[Json]:
        rows = answer.get("results")
        if not isinstance(rows, list):
            raise self._shape(path, "no list of results")
        return rows

    def _number(self, answer: Json, key: str, path: str) -> int:
        found = answer.get(key)
        if not isinstance(found, int):
            raise self._shape(path, f"no {key}")
        return found

    def _object(self, response: httpx.Response, path: str) -> Json:
        found = self._json(self._checked(response, path), path)
        if not isinstance(found, dict):
            raise self._shape(path, "no object")
        return found

    def _json(self, response: httpx.Response, path: str) -> Any:
        try:
            return response.json() if response.content else None
        except (ValueError, RecursionError) as error:
            raise self._shape(path, "no JSON (a web page?)") from error

    def _send(
        self, method: str, path: str, *, params: Json | None = None, body: Any = None
    ) -> httpx.Response:
        """One request; reads are repeated on a broken connection or a busy server."""

        def once() -> httpx.Response:
            self._renew_token()
            answer = self._transport.request(
                path, method=method, params=params, json=body, request_options=_ONCE
            )
            assert isinstance(answer, httpx.Response)
            self.server_time = server_time(answer)
            return answer

        def call() -> httpx.Response:
            answer = once()
            return once() if self._has_expired(answer) else answer

        try:
            return repeated(call, PAUSES if method == "GET" else ())
        except httpx.TimeoutException as error:
            raise Unreachable(
                f"Label Studio at {self.url} did not answer in time ({path}); look at its log, then"
                " run again"
            ) from error
        except httpx.HTTPError as error:
            raise Unreachable(
                f"no Label Studio answers at {self.url} ({path}: {type(error).__name__}); start one"
                " with `soli annotate server`, correct LABEL_STUDIO_URL, or run again"
            ) from error

    def _renew_token(self) -> None:
        """A personal access token is exchanged for one that lives five minutes."""
        try:
            self._transport.base_headers()
        except (ApiError, ValueError) as error:  # refused, or no JSON of the right shape
            if isinstance(error, ApiError) and error.status_code not in BUSY:
                raise self._wrong_token() from error
            raise Unreachable(
                f"Label Studio at {self.url} does not renew the access token; look at its log,"
                " then run again"
            ) from error

    def _has_expired(self, answer: httpx.Response) -> bool:
        """Whether an access token ran out by the server's clock alone; it is forgotten then."""
        if answer.status_code != HTTPStatus.UNAUTHORIZED or self._tokens._access_token is None:  # noqa: SLF001
            return False
        self._tokens._access_token = None  # noqa: SLF001
        return True

    def _checked(self, response: httpx.Response, path: str) -> httpx.Response:
        status = response.status_code
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._wrong_token(path if status == HTTPStatus.FORBIDDEN else "")
        if response.is_success:
            return response
        said = f"Label Studio at {self.url} answered {status} to {path}: {_reason(response)}"
        if status in BUSY:
            wait = retry_after(response)
            later = f" in {wait:.0f} s" if wait else ""
            raise Unreachable(f"{said}; look at its log, then run again{later}")
        raise AnnotationError(said)

    def _wrong_token(self, path: str = "") -> AnnotationError:
        what = f" for {path}" if path else ""
        return AnnotationError(
            f"Label Studio at {self.url} refuses the token{what}; set LABEL_STUDIO_API_KEY to the"
            " one on its page Account & Settings, of a member of the project"
        )

    def _shape(self, path: str, what: str) -> AnnotationError:
        return AnnotationError(
            f"Label Studio at {self.url} answered {path} with {what}; is this address right?"
        )


def _reason(response: httpx.Response) -> str:
    """What the server says, in one short line."""
    try:
        answer = response.json()
    except ValueError:
        return "no reason given (a web page?); look at the server's log"
    known = answer if isinstance(answer, dict) else {}
    words = known.get("validation_errors") or known.get("detail")
    return " ".join(str(words or answer).split())[:300]


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a host or a port that cannot be read
        sound = False
    if not sound:
        raise AnnotationError(
            f"{url.rpartition('@')[2]!r} is no address of a Label Studio server; set"
            " LABEL_STUDIO_URL to one like http://127.0.0.1:8080"
        )
    if parts.username or parts.password:
        raise AnnotationError(
            f"the address of {parts.hostname} carries a name or password; remove them from"
            " LABEL_STUDIO_URL"
        )
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    sound = token.strip()
    if not sound or not sound.isascii() or any(letter.isspace() for letter in sound):
        raise AnnotationError(
            "the Label Studio token is empty or malformed; set LABEL_STUDIO_API_KEY"
        )
    return sound
