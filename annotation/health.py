"""Is the Label Studio server well, and does it know the token? Two requests, without the SDK.

The SDK alone takes more than a second to import; whoever only looks does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from annotation.transport import BoundedClient, Unreachable, server_time
from warehouse.errors import AnnotationError

JWT_PARTS = 3  # a personal access token is a JSON web token; a legacy token has no dots


@dataclass(frozen=True)
class Health:
    """What a server says of itself."""

    version: str | None
    """None where it does not say."""
    clock: datetime | None
    """Its time when it answered, to the second below."""
    knows_token: bool | None
    """Whether it takes the token; None where there is none to ask with."""


def look(url: str, token: str | None, seconds: float) -> Health:
    """Ask a server for its version and whether it takes the token.

    seconds: for each request, its answer included.
    Raises: Unreachable where nothing answers in time; AnnotationError where it is no Label Studio.
    """
    loopback = urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
    with BoundedClient(seconds, not loopback, None) as client:
        try:
            answer = client.get(f"{url}/api/version")
            known = None if token is None else _knows(client, url, token)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"no Label Studio answers at {url} ({type(error).__name__}); start it, or correct"
                " LABEL_STUDIO_URL"
            ) from error
        return Health(_version(answer, url), server_time(answer), known)


def _knows(client: httpx.Client, url: str, token: str) -> bool:
    """Whether the token, or what it is exchanged for, is taken."""
    header = f"Token {token}"
    if token.count(".") == JWT_PARTS - 1:
        answer = client.post(f"{url}/api/token/refresh", json={"refresh": token})
        if not answer.is_success:
            return False
        header = f"Bearer {answer.json()['access']}"
    whoami = f"{url}/api/current-user/whoami"
    return client.get(whoami, headers={"Authorization": header}).status_code == HTTPStatus.OK


def _version(answer: httpx.Response, url: str) -> str | None:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not answer.is_success or not isinstance(found, dict):
        raise AnnotationError(
            f"{url} answers, but as no Label Studio does ({answer.status_code} to api/version);"
            " correct LABEL_STUDIO_URL"
        )
    release = found.get("release")
    return str(release) if release else None
