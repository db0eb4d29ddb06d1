"""The app: its addresses, and errors as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from flows.annotate import version_of
from flows.rewards_server.guard import JSON, Guard, Refused, Rules, hints
from flows.rewards_server.label_studio import Predict, Setup, predictions
from flows.rewards_server.rewards import Batch, Rewarder
from flows.rewards_server.stored import Stored
from flows.rewards_server.worker import Full

Body = TypeVar("Body", bound=BaseModel)
Look = Callable[[], Stored]
"""What is stored now."""


def make_app(rewarder: Rewarder, look: Look, rules: Rules) -> Guard:
    """Rewards and the ML backend, behind the guard."""
    app = FastAPI(title="soli serve", docs_url=None, redoc_url=None)
    _rewards(app, rewarder, look)
    _backend(app, look)

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return reply({"error": str(error)}, error.status, hints(error.status))

    async def no_such(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return reply({"error": str(error.detail)}, error.status_code)

    async def failed(_request: Request, error: Exception) -> Response:
        words = f"unexpected {type(error).__name__}; the server's log says more"
        return reply({"error": words}, HTTPStatus.INTERNAL_SERVER_ERROR)

    for kind, answer in ((Refused, refused), (HTTPException, no_such), (Exception, failed)):
        app.add_exception_handler(kind, answer)
    return Guard(app, rules)


def _rewards(app: FastAPI, rewarder: Rewarder, look: Look) -> None:
    @app.post("/rewards", **_takes(Batch))
    async def rewards(request: Request) -> Response:
        """Rewards of a batch, one answer for each item in their order."""
        batch = await read(request, Batch)
        stored = look()
        try:
            answers = await rewarder.answer(batch.items, stored)
        except Full as full:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(full)) from full
        return reply(
            {
                "model_id": stored.model_id,
                "reference": rewarder.reference.of if rewarder.reference else None,
                "failed": sum("error" in answer for answer in answers),
                "items": answers,
            }
        )


def _backend(app: FastAPI, look: Look) -> None:
    @app.get("/health")
    @app.get("/", include_in_schema=False)
    async def health() -> Response:
        """Say that the server lives, and what it knows."""
        stored = look()
        return reply({"status": "UP", "model_id": stored.model_id, "items": len(stored.rows)})

    @app.post("/setup", **_takes(Setup))
    async def setup(request: Request) -> Response:
        """Say which model predicts."""
        await read(request, Setup)
        stored = look()
        return reply({"model_version": version_of(stored.model_id)})

    @app.get("/versions")
    async def versions() -> Response:
        """Say which versions there are."""
        stored = look()
        return reply({"versions": [version_of(stored.model_id)]})

    @app.post("/predict", **_takes(Predict))
    async def predict(request: Request) -> Response:
        """Predictions of tasks."""
        asked = await read(request, Predict)
        stored = look()
        return reply({"results": predictions(asked.tasks, stored)})

    @app.post("/webhook", include_in_schema=False)
    async def webhook() -> Response:
        """Take note of nothing: labels come by `soli ingest`."""
        return reply({"status": "ok"})


def _takes(body: type[BaseModel]) -> dict[str, Any]:
    """Description of a body that we read ourselves."""
    content = {JSON: {"schema": body.model_json_schema()}}
    return {"openapi_extra": {"requestBody": {"required": True, "content": content}}}


async def read(request: Request, kind: type[Body]) -> Body:
    """A request's body.

    Raises: Refused with the first thing that is wrong with it.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        large = first["type"] == "too_long" and place in {"items", "tasks"}
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.BAD_REQUEST
        more = error.error_count() - 1
        words = f"{place}: {first['msg']}" if place else first["msg"]
        raise Refused(status, words + (f" (and {more} more)" if more else "")) from None


def reply(
    value: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON."""
    return Response(orjson.dumps(value), status_code=status, headers=headers, media_type=JSON)
