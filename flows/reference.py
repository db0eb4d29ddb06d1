"""The reference pages in docs/reference: data dictionary and commands; `make docs` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import typer.main

from flows.cli import app
from warehouse.dictionary import dictionary, markdown_table

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

_INTRODUCTION = """\
# Commands

Written by `make docs` from the commands themselves: change those, not this page.
`soli COMMAND --help` says the same. Settings that a flag does not give come from the environment,
`.env` and `soli.toml`: [settings](../engineers.md#settings)."""

_VERBATIM = "\b\n"  # marks a paragraph of a help text whose lines stay as they are
_LIMITS = re.compile(r"(.*?)(?:  \[([^\[\]]+)\])?", re.DOTALL)


def commands() -> str:
    """The page of commands; the same bytes for the same commands."""
    root = typer.main.get_command(app)
    found = list(leaves(root))
    index = "\n".join(
        f"- [`{name}`](#{name.replace(' ', '-')}): {_paragraphs(command)[0]}"
        for name, command in found
    )
    shared = f"## Options before every command\n\n{_options('soli', root)}"
    sections = [_section(name, command) for name, command in found]
    return "\n\n".join([_INTRODUCTION, index, shared, *sections]) + "\n"


def leaves(command: Any, path: tuple[str, ...] = ("soli",)) -> Iterator[tuple[str, Any]]:
    """Command lines that do something, with their commands, in the order of the help."""
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


def _section(name: str, command: Any) -> str:
    said = [_paragraph(text) for text in _paragraphs(command)]
    return "\n\n".join([f"## {name}", *said[:-1], _options(name, command), said[-1]])


def _paragraphs(command: Any) -> list[str]:
    return [text.strip("\n") for text in command.help.split("\n\n")]


def _paragraph(text: str) -> str:
    """A paragraph of a help text; one whose lines stay becomes a block below its first line."""
    if not text.startswith(_VERBATIM):
        return text
    title, *lines = text.removeprefix(_VERBATIM).splitlines()
    examples = title == "Examples:"
    body = [example(line.strip()) if examples else line[2:] for line in lines]
    return "\n".join([title, "", f"```{'sh' if examples else 'text'}", *body, "```"])


def example(line: str) -> str:
    """An example of a help text as a shell takes it: its explanation becomes a comment.

    >>> example("soli ingest --full   everything anew")
    'soli ingest --full   # everything anew'
    """
    return re.sub(r"^(soli.*?\S)( {3,})(?=\S)", r"\1\2# ", line)


def _options(name: str, command: Any) -> str:
    """Table of what a command takes; empty for none."""
    context = command.make_context(name, ["--help"], resilient_parsing=True)
    records = (parameter.get_help_record(context) for parameter in command.params)
    rows = [(f"`{spelled}`", *_meaning(words)) for spelled, words in filter(None, records)]
    return markdown_table(("takes", "meaning", "default, limits"), rows)


def _meaning(words: str) -> tuple[str, str]:
    """Words of a help text, and what stands in brackets behind them.

    >>> _meaning("At most so many items.  [default: 20; x>=1]")
    ('At most so many items.', 'default: 20; x>=1')
    """
    found = _LIMITS.fullmatch(words)
    assert found
    return found[1], found[2] or ""


PAGES: dict[str, Callable[[], str]] = {
    "data_dictionary.md": dictionary,
    "commands.md": commands,
}


def write(folder: Path = FOLDER) -> None:
    """Write every page anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
