"""Where a grammar begins: after a reasoning block, if the model writes one; and when that block must end. Pure."""

from __future__ import annotations

import re
from enum import Enum

from nightjar.workers.engine.markers import Markers

MOST_BLANKS = 4
"""Blank tokens allowed before a block or an answer that a grammar governs."""
TAIL = 200
"""Bytes of thoughts that are kept to find the closing marker in; its longest forms are shorter."""


class Phase(Enum):
    """Where in its reply the model is."""

    UNDECIDED = "undecided"
    """Nothing but blanks so far: a block may open, or the answer may begin."""
    THINKING = "thinking"
    ANSWER = "answer"


class Guide:
    """Follows one reply's bytes. Markers None: the model writes no reasoning, and the answer begins at once."""

    def __init__(self, markers: Markers | None, *, opened: bool, budget: int | None) -> None:
        self._open, self._close = (markers.open.encode(), markers.close.encode()) if markers else (b"", b"")
        self._closing = re.compile(markers.closing.pattern.encode() if markers else rb"(?!)")
        self._budget = budget
        self._tail = b""
        self._blanks = 0
        self.thought_tokens = 0
        self.phase = Phase.ANSWER
        if markers:
            self.phase = Phase.THINKING if opened else Phase.UNDECIDED

    def free(self, piece: bytes) -> bool:
        """Whether a token with these bytes needs no grammar here: thoughts, a marker, blanks before the answer."""
        if self.phase is Phase.THINKING:
            return True
        if not self._open or self._blanks < 0:
            return False
        if not piece.strip():
            return self._blanks < MOST_BLANKS
        return self.phase is Phase.UNDECIDED and self._opens(self._tail + piece)

    @property
    def may_be_free(self) -> bool:
        """Whether any token could be free here."""
        return self.phase is Phase.THINKING or bool(self._open and self._blanks >= 0)

    def push(self, piece: bytes) -> None:
        """Takes the bytes of a chosen token."""
        if self.phase is Phase.THINKING:
            self.thought_tokens += 1
            self._tail += piece
            if self._closing.search(self._tail):
                self._answer()
            else:
                self._tail = self._tail[-TAIL:]
        elif self.phase is Phase.UNDECIDED and piece.strip():
            self._tail += piece
            if self._tail.lstrip().startswith(self._open):
                self.phase, self._tail, self._blanks = Phase.THINKING, b"", 0
            elif not self._opens(self._tail):
                self.phase, self._blanks = Phase.ANSWER, -1
        elif not piece.strip():
            self._blanks += 1
        else:
            self._blanks = -1

    @property
    def rest_of_marker(self) -> bytes:
        """What must come next, whatever the model would say: the rest of a marker begun, or of a block over budget."""
        if self.phase is Phase.UNDECIDED and self._tail.strip():
            return self._open[len(self._tail.lstrip()) :]
        if self.phase is Phase.THINKING and self._budget is not None and self.thought_tokens >= self._budget:
            return self.rest_of_close
        return b""

    @property
    def rest_of_close(self) -> bytes:
        """What is left of the closing marker, after what the thoughts end in."""
        for length in range(min(len(self._tail), len(self._close) - 1), 0, -1):
            if self._tail.endswith(self._close[:length]):
                return self._close[length:]
        return self._close

    def runs_over(self, piece: bytes) -> bytes:
        """The rest of the closing marker, where this token would end the block and begin the answer at once."""
        if self.phase is not Phase.THINKING:
            return b""
        text = self._tail + piece
        close = self._closing.search(text)
        return self.rest_of_close if close and text[close.end() :].strip() else b""

    def _answer(self) -> None:
        self.phase, self._tail, self._blanks = Phase.ANSWER, b"", 0

    def _opens(self, text: bytes) -> bool:
        begun = text.lstrip()
        return self._open.startswith(begun) or begun.startswith(self._open)
