"""Names that do not depend on a server, a machine or the order of arrival."""

from __future__ import annotations

import unicodedata
import uuid

from warehouse.digest import text_digest
from warehouse.errors import ContractError

SOURCES = uuid.UUID("6c6d2c5e-53f5-4f0c-8a0f-0f6f2d7f3b1a")  # of data sets, by name
VOICES = uuid.UUID("0b6c1f4e-2a7d-4f0e-9f3d-7a1f5b9f6c2e")  # who judged in them, in one voice
PROMPT_DIGITS = 32  # hex digits kept: 128 bits, no collision among any number of prompts


def normal_prompt(text: str) -> str:
    """Text of a prompt as it is stored: NFC-normalised and trimmed.

    Raises: ContractError where nothing is left.

    >>> normal_prompt("  a red ball falls ")
    'a red ball falls'
    """
    normal = unicodedata.normalize("NFC", text).strip()
    if not normal:
        raise ContractError(f"prompt {text!r} is empty; give every item the text it was made from")
    return normal


def prompt_id(text: str) -> str:
    """Identity of a prompt: the same for texts that differ only in form or outer white space.

    >>> prompt_id("a red ball") == prompt_id(" a red ball ")
    True
    """
    return text_digest(normal_prompt(text))[:PROMPT_DIGITS]


def imported_source(name: str) -> str:
    """Source of an imported data set's judgements: a UUID that only its name decides."""
    return str(uuid.uuid5(SOURCES, name))


def imported_voice(name: str) -> str:
    """Annotator id that stands for everybody who judged in an imported data set."""
    return uuid.uuid5(VOICES, name).hex
