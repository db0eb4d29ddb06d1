"""The words of a deletion request, in texts that Soli or another program wrote."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

LARGEST = 256 << 20  # bytes of a file that is searched
SHORTEST = 3  # letters of a word that can mean one person or item alone


def telling(text: str) -> bool:
    """Whether a text can be looked for in messages: an item called 7 would be everywhere.

    >>> [telling(text) for text in ("Ana", "clip_0007", "42", "B", "  ")]
    [True, True, False, False, False]
    """
    return len(text.strip()) >= SHORTEST and not text.strip().isdecimal()


def pattern(texts: Iterable[str], *, any_case: bool) -> re.Pattern[str]:
    """Any of the texts as a word of its own, as it stands in a text, in JSON or in HTML.

    >>> pattern(["Ana", 'a "b"'], any_case=True).sub("_", 'ANA, Anatol, "a \\\\"b\\\\"", joana')
    '_, Anatol, "_", joana'
    """
    forms = {form for text in texts for form in forms_of(text)}
    words = "|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form))))
    flags = re.IGNORECASE if any_case else re.NOFLAG
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)" if words else r"(?!)", flags)


def names(path: Path, words: re.Pattern[str]) -> bool:
    """Whether a file holds one of the words; one above 256 MiB is not looked into."""
    if path.stat().st_size > LARGEST:
        return False
    flags = words.flags & re.IGNORECASE  # of bytes, this is of ASCII letters alone
    return re.search(words.pattern.encode(), path.read_bytes(), flags) is not None


def forms_of(text: str) -> Iterator[str]:
    """A text as it stands in a text, in JSON and in HTML."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
