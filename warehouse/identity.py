"""Names that do not depend on a server, a machine or the order of arrival."""

from __future__ import annotations

import unicodedata

from warehouse.digest import text_digest
from warehouse.errors import ContractError

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
