"""HTML pages: a template and its facts in, one file out, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from warehouse.errors import StoreError
from warehouse.wording import words


def render(template: str, facts: dict[str, Any]) -> str:
    """HTML of flows/templates/TEMPLATE with the facts; what they hold is escaped."""
    return _environment().get_template(template).render(**facts)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flows"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    environment.filters["words"] = words
    return environment


def write_page(path: Path, template: str, facts: dict[str, Any]) -> None:
    """Write flows/templates/TEMPLATE with the facts; what they hold is escaped, figures are not.

    Raises: StoreError where it cannot be written.
    """
    html = render(template, facts)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():  # a device would be replaced
            raise StoreError(f"page {path} is there and is no file; name another")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(html, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"page {path} cannot be written ({error.strerror or error}); make room, or name another"
        ) from error
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    with suppress(OSError):  # where it cannot be removed, it could not be written either
        part.unlink(missing_ok=True)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
