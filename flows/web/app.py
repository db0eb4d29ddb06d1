"""The page's addresses: each one asks its questions of the newest face and fills a template.

A session lives as long as one answer, so that a face published in between is simply the next one
to be read, and no old face is kept from being cleaned up. Measured: opening one takes 25 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

from flows.page import render
from flows.web import pages
from flows.web.answers import PLACE, Ask, NotFound, address, asker
from flows.web.guard import Door, Guard, said
from flows.web.media import clip_file
from warehouse.contracts import KINDS, SPLITS, STATISTICS
from warehouse.errors import AnnotationError, PlatformError
from warehouse.questions import command, names, question
from warehouse.session import Session

STATIC = Path(__file__).parent / "static"
SHOWN = 1000  # rows of an answer on the page of its SQL
Words = Annotated[str, Query(max_length=200)]
LONGEST = 4096  # characters of an id
Id = Annotated[str, Query(max_length=LONGEST)]
Number = Annotated[int, Query(ge=1, le=10**9)]
Make = Callable[[Ask], pages.Facts]


@dataclass(frozen=True)
class Site:
    """What is shown: a home's face, and clips below the roots."""

    home: Path
    roots: tuple[Path, ...]

    def page(self, template: str, make: Make) -> HTMLResponse:
        """One page: its facts from the newest face, in its template."""
        with Session(self.home) as session:
            facts = make(asker(session))
            face = session.face.name
        shared = {"face": face, "at": template.removesuffix(".html"), "address": address}
        return HTMLResponse(render(f"web/{template}", shared | facts))


def make_app(site: Site, door: Door) -> Guard:
    """The application, behind its guard."""
    app = FastAPI(openapi_url=None)  # no schema, so no pages about it, which load scripts
    _lists(app, site)
    _things(app, site)
    _sources(app, site)
    _files(app, site)
    _errors(app)
    return Guard(app, door)


def _lists(app: FastAPI, site: Site) -> None:
    @app.get("/")
    def overview() -> Response:
        return site.page("overview.html", pages.overview)

    @app.get("/agreement")
    def agreement(statistic: Literal[STATISTICS] = "alpha") -> Response:  # type: ignore[valid-type]
        return site.page("agreement.html", lambda ask: pages.agreement(ask, statistic))

    @app.get("/annotators")
    def annotators() -> Response:
        return site.page("annotators.html", pages.annotators)

    @app.get("/items")
    def items(search: Words = "", generator: Id = "", page: Number = 1) -> Response:
        return site.page("items.html", lambda ask: pages.items(ask, search, generator, page))

    @app.get("/disagreements")
    def disagreements(
        between: Literal["model-high", "model-low", "people"] = "model-high",
        model: Id = "",
        dimension: Id = "",
        page: Number = 1,
    ) -> Response:
        return site.page(
            "disagreements.html",
            lambda ask: pages.disagreements(ask, between, model, dimension, page),
        )

    @app.get("/pair-sets")
    def pair_sets() -> Response:
        return site.page("pair_sets.html", pages.pair_sets)

    @app.get("/models")
    def models(first: Id = "", second: Id = "") -> Response:
        return site.page("models.html", lambda ask: pages.models(ask, first, second))


def _things(app: FastAPI, site: Site) -> None:
    @app.get("/annotator")
    def annotator(id: Id) -> Response:  # noqa: A002 -- as the address says
        return site.page("annotator.html", lambda ask: pages.annotator(ask, id))

    @app.get("/item")
    def item(id: Id) -> Response:  # noqa: A002 -- as the address says
        return site.page("item.html", lambda ask: pages.item(ask, id))

    @app.get("/pair-set")
    def pair_set(
        id: Id,  # noqa: A002 -- as the address says
        dimension: Id = "",
        split: Literal[("", *SPLITS)] = "",  # type: ignore[valid-type]
        kind: Literal[("", *KINDS)] = "",  # type: ignore[valid-type]
        page: Number = 1,
    ) -> Response:
        chosen = {"dimension": dimension, "split": split, "kind": kind}
        return site.page("pair_set.html", lambda ask: pages.pair_set(ask, id, page, **chosen))


def _sources(app: FastAPI, site: Site) -> None:
    @app.get("/query/{name}")
    def query(name: str, request: Request) -> Response:
        """The SQL behind a number, with its answer."""
        if name not in names():
            raise NotFound(f"nobody asks {name!r}; follow a number to its SQL")
        asked = question(name)
        empty = {"page": "1"}
        values = {
            key: request.query_params.get(key, empty.get(key, "")) for key in asked.parameters
        }
        if not re.fullmatch(r"[1-9]\d{0,8}", values.get("page", "1"), re.ASCII):
            raise BadAddressError(f"page={values['page']!r} is no page; pages count from 1")
        if any(len(value) > LONGEST for value in values.values()):
            raise BadAddressError(f"a value is longer than {LONGEST:,} characters")
        sql = asked.written_out(values)

        def facts(ask: Ask) -> pages.Facts:
            answer = ask(name, **values)
            return {
                "answer": answer,
                "columns": [name for name in answer.rows[0] if name != PLACE] if answer else [],
                "rows": answer.rows[:SHOWN],
                "sql": sql,
                "command": command(site.home, sql),
            }

        return site.page("query.html", facts)


def _files(app: FastAPI, site: Site) -> None:
    @app.get("/media")
    def media(item: Id) -> Response:
        """An item's clip; ranges of it, where a player asks for them."""
        with Session(site.home) as session:
            uri = asker(session)("item_clip", item=item).first["uri"]
        path, kind = clip_file(uri, site.roots)
        return FileResponse(path, media_type=kind)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)  # browsers ask for one unasked

    @app.get("/static/style.css")
    def style() -> Response:
        """The style of every page of ours, and what this one adds."""
        own = (STATIC / "web.css").read_text(encoding="utf-8")
        shared = render("style.html", {}).replace("<style>", "").replace("</style>", "")
        return Response(shared + own, media_type="text/css")

    @app.get("/static/page.js")
    def script() -> Response:
        return FileResponse(STATIC / "page.js", media_type="text/javascript")


class BadAddressError(PlatformError):
    """The address holds a value that makes no sense."""


def _errors(app: FastAPI) -> None:
    """Every error is one sentence on a page."""

    @app.exception_handler(PlatformError)
    def expected(_: Request, error: PlatformError) -> Response:
        return said(_status(error), str(error))

    @app.exception_handler(HTTPException)
    def nowhere(_: Request, error: HTTPException) -> Response:
        return said(error.status_code, "There is no such page.")

    @app.exception_handler(RequestValidationError)
    def wrong(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return said(400, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    def unexpected(_: Request, error: Exception) -> Response:
        return said(500, f"unexpected: {type(error).__name__}; the terminal says more")


def _status(error: PlatformError) -> int:
    match error:
        case NotFound():
            return 404
        case BadAddressError():
            return 400
        case AnnotationError():  # a clip that may not be shown
            return 403
        case _:  # no face yet, or one that cannot be read
            return 503
