"""Questions that people ask of the face, one .sql file each, and how they are shown.

A file in warehouse/sql/questions has the header of a view (see warehouse/views.py). Its parameters,
`$name`, are texts. `{name}` stands for the view of that name as a common table expression, which
reads those before it: of one item's events alone, where the first says so.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from warehouse.errors import StoreError
from warehouse.views import quoted, view

PARAMETER = re.compile(r"\$([a-z_]+)")


@dataclass(frozen=True)
class Question:
    """One .sql file: the question in words, and in SQL with its header."""

    name: str
    doc: str
    sql: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of its values, in the order in which they first stand in the SQL."""
        return tuple(dict.fromkeys(PARAMETER.findall(self.sql)))

    def written_out(self, values: Mapping[str, str]) -> str:
        """SQL with the values in it, which runs as it stands.

        >>> Question("n", "", "SELECT $word").written_out({"word": "it's"})
        "SELECT 'it''s'"
        """
        return PARAMETER.sub(lambda found: quoted(values[found[1]]), self.sql)


@cache
def question(name: str) -> Question:
    """Read warehouse/sql/questions/NAME.sql.

    Raises: StoreError where nobody asks that.
    """
    if name not in names():
        raise StoreError(f"no question is called {name!r}; there are {', '.join(names())}")
    text = _folder().joinpath(f"{name}.sql").read_text(encoding="utf-8").strip()
    sql = re.sub(r"^\{([a-z_]+)\}", lambda found: _expression(found[1]), text, flags=re.MULTILINE)
    return Question(name, sql.partition("\n")[0].removeprefix("-- "), sql)


@cache
def names() -> tuple[str, ...]:
    """Every question, in alphabetical order."""
    files = (file.name for file in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".sql") for name in files if name.endswith(".sql")))


def _folder() -> resources.abc.Traversable:
    return resources.files("warehouse").joinpath("sql/questions")


def _expression(name: str) -> str:
    """A view as it is now, as a common table expression."""
    return f"{name} AS (\n{view(name).body.replace('_as_of(moment)', '')}\n)"


def command(home: Path, sql: str) -> str:
    """Shell command that asks DuckDB's own program.

    >>> command(Path("/data/my home"), "FROM items")
    "duckdb -readonly '/data/my home/warehouse.duckdb' -c 'FROM items'"
    """
    face = home.absolute() / "warehouse.duckdb"
    return f"duckdb -readonly {shlex.quote(str(face))} -c {shlex.quote(sql)}"
