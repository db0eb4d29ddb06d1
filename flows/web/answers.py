"""Answers to questions of the face, each with the link to the SQL that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from warehouse.errors import StoreError
from warehouse.questions import Question, question
from warehouse.session import Session

Row = dict[str, Any]
PLACE = "#"  # a row's place in its answer, beside its columns


@dataclass(frozen=True)
class Answer:
    """Rows of a question that was asked with these values."""

    question: Question
    values: Mapping[str, str]
    rows: list[Row]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def link(self) -> str:
        """Address of the page that shows the SQL."""
        return address(f"/query/{self.question.name}", **self.values)

    def cell(self, row: Row, column: str) -> str:
        """Address of one value in the answer on that page."""
        return f"{self.link}#{row[PLACE]}-{column}"

    @property
    def first(self) -> Row:
        """The one row of a question about one thing.

        Raises: NotFound where there is none.
        """
        if not self.rows:
            about = ", ".join(f"{name} {value!r}" for name, value in self.values.items())
            raise NotFound(f"the warehouse knows no {about}; look in the lists above")
        return self.rows[0]


class NotFound(StoreError):
    """The address names something that is not there."""


Ask = Callable[..., Answer]


def asker(session: Session) -> Ask:
    """A function that asks the session by a question's name; values are texts."""

    def ask(name: str, **values: str) -> Answer:
        asked = question(name)
        rows = session.ask(asked.sql, values).to_pylist()
        return Answer(asked, values, [row | {PLACE: place} for place, row in enumerate(rows)])

    return ask


def address(path: str, **values: object) -> str:
    """A path with values, empty ones left out; written into HTML it must still be escaped.

    >>> address("/item", id="a&b/../c", page="")
    '/item?id=a%26b%2F..%2Fc'
    """
    given = {name: value for name, value in values.items() if str(value)}
    return f"{path}?{urlencode(given)}" if given else path
