"""The Prefect server that is named: whether it answers, and the secrets that it keeps for us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL

from warehouse.errors import PlatformError, SettingsError

SECONDS = 10.0  # for a server to say that it is well
NO_ANSWER = (httpx.HTTPError, PrefectException)


def is_named() -> bool:
    """Whether runs are kept by a server of its own, and not by a temporary one of this process."""
    return bool(PREFECT_API_URL.value())


def check_server() -> None:
    """Only a server of its own keeps schedules; the temporary one that Prefect starts does not.

    Raises: SettingsError where none is named, or none answers.
    """
    if not is_named():
        raise SettingsError(
            "no Prefect server, which keeps the schedule; start one with `prefect server start` in"
            " another terminal, and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    check_named()


@contextmanager
def recorded() -> Iterator[None]:
    """Block whose runs are kept by the server that is named, or in the home where none is.

    Raises: SettingsError where that server does not answer, or goes away within the block.
    """
    check_named()
    try:
        yield
    except PlatformError:
        raise
    except Exception as error:  # Prefect has many words for it, a bare RuntimeError among them
        if not is_named() or away() is None:
            raise
        raise SettingsError(
            f"the Prefect server at PREFECT_API_URL went away ({type(error).__name__}); what was"
            " committed stays: start the server, and run the same again"
        ) from error


def check_named() -> None:
    """Where a server is named, it must answer.

    Raises: SettingsError where it does not.
    """
    error = away() if is_named() else None
    if error is not None:
        raise SettingsError(
            f"no Prefect server answers at PREFECT_API_URL ({type(error).__name__}); start it with"
            " `prefect server start`, or correct the address"
        )


def away() -> Exception | None:
    """Why the server that is named does not answer; None where it does."""
    with get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
        return client.api_healthcheck()


def secret(block: str) -> str:
    """The text in a Prefect Secret block.

    Raises: SettingsError where there is no server, no such block, or no text in it.
    """
    check_server()
    again = "make it on the page Blocks, of the type Secret, or with Secret(value=...).save(...)"
    try:
        value: object = Secret.load(block).get()  # type: ignore[union-attr]  # it is read at once
    except (ValueError, *NO_ANSWER) as error:
        raise SettingsError(
            f"Prefect has no readable Secret block {block!r} ({type(error).__name__}); {again}"
        ) from None  # the error may show what the block holds
    if not isinstance(value, str) or not value:
        raise SettingsError(f"the Secret block {block!r} holds no text; {again}")
    return value
