"""Log lines for machines: one JSON object a line on stderr, without secrets, people or media.

While they are on, `sys.stderr` is a `JsonLines`: whatever anybody writes there, another library's
warning included, becomes an object, and passes `redacted` first.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

HIDDEN = "…"
_MEDIA = r"[^\s'\"]*\.(?:mp4|mov|webm|mkv|avi|m4v|gif|m3u8)\b[^\s'\"]*"
_GIVEN = "bearer|token|password|passwd|secret|api[_-]?key"
# In this order: an address may hold a name and a password, and a token may look like an e-mail.
_RULES = (
    (r"\b(\w[\w+.-]*)://(?:[^\s/'\"]*@)?([^\s/'\"?#<>;,)]*)[^\s'\"<>;,)]*", rf"\1://\2/{HIDDEN}"),
    (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", HIDDEN),  # a JSON web token
    (r"\b[0-9a-f]{40}\b", HIDDEN),  # a token of Label Studio; our own digests have other lengths
    (rf"(?i)({_GIVEN})([\s\"']*[=:][\s\"']*)\S+", rf"\1\2{HIDDEN}"),
    (r"(?i)\b(bearer|authorization:\s*\w+)\s+\S+", rf"\1 {HIDDEN}"),
    (r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+", HIDDEN),
    (_MEDIA, HIDDEN),
)
RULES = tuple((re.compile(pattern), words) for pattern, words in _RULES)
# Fields whose value says who or which file, whatever it looks like.
_WHO = ("name", "first_name", "last_name", "username", "email")
_WHAT = ("token", "api_key", "password", "secret", "url", "uri", "media")
PRIVATE = frozenset((*_WHO, *_WHAT))


def redacted(text: str, known: Collection[str] = ()) -> str:
    """Text without secrets, e-mails and media; of an address the host is left.

    known: further words that must not be said: tokens as they are set, people's names.

    >>> redacted("ann@example.org saw https://u:p@clips.example/a/b.mp4?sig=1 with token=abc")
    '… saw https://clips.example/… with token=…'
    >>> redacted("Ann B. is away", ["Ann B."])
    '… is away'
    """
    for word in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", HIDDEN, text)
    for pattern, words in RULES:
        text = pattern.sub(words, text)
    return text


def safe(value: Any, known: Collection[str] = ()) -> Any:
    """A value for JSON whose every text is redacted, and whose private fields are hidden.

    >>> safe({"event": "ingest", "email": "ann@example.org", "pages": (1, "by bob@example.org")})
    {'event': 'ingest', 'email': '…', 'pages': [1, 'by …']}
    """
    if isinstance(value, Mapping):
        return {
            str(key): HIDDEN if key in PRIVATE and each is not None else safe(each, known)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [safe(each, known) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value), known)


class JsonLines(io.TextIOBase):
    """A stream that writes each line as an object: time (UTC), level, event, message, fields."""

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream."""
        self.stream = stream
        self.known: set[str] = set()
        """Words that must not be said."""
        self._begun = ""

    def record(self, level: str, event: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write one object."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": level, "event": event}
        self._tell(line | ({"message": message} if message else {}) | dict(fields))

    def _tell(self, line: Mapping[str, Any]) -> None:
        self.stream.write(json.dumps(safe(line, self.known), ensure_ascii=False) + "\n")
        self.stream.flush()

    def write(self, text: str) -> int:
        """Tell the lines that others write, each as it is complete.

        What a process of ours tells is an object already, and stays the one it is.
        """
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            if told := _object(line):
                self._tell(told)
            else:
                self.record("info", "output", line, {})
        return len(text)

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    def end(self) -> None:
        """Tell what was begun."""
        self.write("\n")


def _object(line: str) -> dict[str, Any] | None:
    """The object that a log line is, where it is one.

    >>> _object('{"time": "2026-01-02T10:00:00.000+00:00", "level": "info", "event": "a"}')["event"]
    'a'
    >>> _object('{"time": 3}') or _object("[1]") or _object("plain words")
    """
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"time", "level", "event"} <= found.keys() else None


def machine() -> JsonLines | None:
    """The stream of log lines, where they are on."""
    return sys.stderr if isinstance(sys.stderr, JsonLines) else None


def turn_on(known: Collection[str] = ()) -> None:
    """Write log lines from now on. known: words that must not be said."""
    if machine() is None:
        sys.stderr = JsonLines(sys.stderr)
    stream = machine()
    assert stream is not None
    stream.known |= {word for word in known if len(word) > 1}


def turn_off() -> None:
    """Write plain text again, where log lines are on."""
    if stream := machine():
        stream.end()
        sys.stderr = stream.stream
