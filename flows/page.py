"""HTML pages: a template and its facts in, one file out, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from flows.figures import words


def write_page(path: Path, template: str, facts: dict[str, Any]) -> None:
    """Write flows/templates/TEMPLATE with the facts; what they hold is escaped, figures are not."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flows"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    environment.filters["words"] = words
    html = environment.get_template(template).render(**facts)
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(html, encoding="utf-8")
    part.replace(path)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
