"""Turns tokens' bytes into text as it becomes certain: whole UTF-8 characters, never a part of a stop string. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Collects one reply's text.

    `push` takes a token's bytes and gives the text that is now certain. What might begin a stop string or is an
    unfinished character is held back until the next bytes decide it, or until `finish`.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._parts: list[str] = []
        self.stop_string: str | None = None

    def heed(self, stops: Sequence[str]) -> None:
        """From the next bytes on these are the stop strings."""
        self._stops = tuple(stops)

    @property
    def text(self) -> str:
        """The certain text so far."""
        return "".join(self._parts)

    def push(self, piece: bytes) -> str:
        """Text made certain by these bytes. After a stop string was met (`stop_string`) nothing more comes."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """The end of the reply: gives what was held back; an unfinished character becomes U+FFFD."""
        if self.stop_string is not None:
            return ""
        fresh = self._take(self._decoder.decode(b"", True))
        rest, self._held = self._held, ""
        self._parts.append(rest)
        return fresh + rest

    def _take(self, text: str) -> str:
        if self.stop_string is not None or not text:
            return ""
        if not self._stops:
            self._parts.append(text)
            return text
        window = self._held + text
        cut, self.stop_string = _first_stop(window, self._stops)
        if self.stop_string is None:
            cut = len(window) - _longest_beginning(window, self._stops)
        sure, self._held = window[:cut], "" if self.stop_string is not None else window[cut:]
        self._parts.append(sure)
        return sure


def _first_stop(text: str, stops: Sequence[str]) -> tuple[int, str | None]:
    """Where the earliest stop string begins, the longest of those that begin there; (0, None) if there is none."""
    matches = [(at, -len(stop), stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not matches:
        return 0, None
    at, _, stop = min(matches)
    return at, stop


def _longest_beginning(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of `text` that is a true beginning of a stop string."""
    most = max(len(stop) for stop in stops) - 1
    for length in range(min(most, len(text)), 0, -1):
        end = text[-length:]
        if any(stop.startswith(end) for stop in stops):
            return length
    return 0
