"""The text of a reply while it grows: the messages that carry it, and what of them goes to a client. Pure.

A message has the job's fence and how often its text began anew under it, which tell attempts apart, and its offset in
characters, which tells what was missed.
Messages may be lost with Redis; what is in MongoDB when the reply is committed fills every gap.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nightjar.config.errors import RestartedError

RESTARTED = (
    "The reply began again after its worker was lost or its endpoint broke off, and otherwise than what was sent "
    "already. Ask again; a request with a seed, on a model loaded with `reproducible`, says the same again."
)


class TextPart(StrEnum):
    """What a piece of text belongs to."""

    REASONING = "reasoning"
    REPLY = "reply"


@dataclass(frozen=True, kw_only=True)
class TextMessage:
    """Text of one attempt at a job, from character `offset` of that part on."""

    fence: int
    begun: int = 0
    """How often the text began anew under this fence: an endpoint that broke off in mid-reply is asked again."""
    turn: int = 0
    part: TextPart = TextPart.REPLY
    offset: int = 0
    text: str = ""
    ended: bool = False
    """Nothing follows: what became of the job is in MongoDB."""

    def dump(self) -> bytes:
        row: dict[str, Any] = {"f": self.fence} | ({"n": self.begun} if self.begun else {})
        row |= {"end": 1} if self.ended else {"t": self.turn, "p": self.part, "o": self.offset, "x": self.text}
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")


def read_message(data: bytes) -> TextMessage | None:
    """None for what is no such message."""
    try:
        row = json.loads(data.decode("utf-8", "surrogatepass"))
        if row.get("end"):
            return TextMessage(fence=int(row["f"]), ended=True)
        fence, turn, offset = (int(row[name]) for name in "fto")
        begun, part = int(row.get("n", 0)), TextPart(row["p"])
        return TextMessage(fence=fence, begun=begun, turn=turn, part=part, offset=offset, text=str(row["x"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, kw_only=True)
class LivePiece:
    """Text that goes to the client next."""

    part: TextPart
    text: str


def _nothing() -> dict[TextPart, str]:
    return dict.fromkeys(TextPart, "")


@dataclass(kw_only=True)
class ReplyText:
    """One reply as its client has it. Another attempt may go on with it only where it says the same again."""

    fence: int = -1
    seen: bool = True
    """Its client sees what is sent; if not, another attempt may say something else."""
    _begun: int = 0
    _sent: dict[TextPart, str] = field(default_factory=_nothing)
    _now: dict[TextPart, str] = field(default_factory=_nothing)
    """What the newest attempt has said, as far as it is known without a gap."""
    _gaps: set[TextPart] = field(default_factory=set)

    def hear(self, message: TextMessage) -> list[LivePiece]:
        """What can be sent now. Raises RestartedError where a new attempt says something else than was sent."""
        attempt = (message.fence, message.begun)
        if attempt < (self.fence, self._begun) or message.ended:
            return []
        if attempt > (self.fence, self._begun):
            (self.fence, self._begun), self._now, self._gaps = attempt, _nothing(), set()
        known = self._now[message.part]
        if message.offset > len(known):
            self._gaps.add(message.part)
            return []
        self._gaps.discard(message.part)
        if len(known) < message.offset + len(message.text):
            self._now[message.part] = known[: message.offset] + message.text
        return [] if self._gaps else self._unsent()

    @property
    def gap(self) -> bool:
        """Whether some of the text was missed; all of it again from the beginning would help."""
        return bool(self._gaps)

    def finish(self, fence: int, reasoning: str, reply: str) -> list[LivePiece]:
        """The rest of a reply that was committed under that fence. Raises RestartedError."""
        whole = {TextPart.REASONING: reasoning, TextPart.REPLY: reply}
        if fence != self.fence:
            self.fence, self._now = fence, whole
            return self._unsent()
        sent = self._sent[TextPart.REPLY]
        if self.seen and not reply.startswith(sent) and sent.strip() not in reasoning:
            raise RestartedError(RESTARTED)  # nothing was heard of the newest attempt
        # The same attempt: what was sent as the reply may have turned out to be reasoning, and the reply follows it.
        again = {part: not whole[part].startswith(self._sent[part]) for part in TextPart}
        rests = {part: whole[part] if again[part] else whole[part][len(self._sent[part]) :] for part in TextPart}
        return [LivePiece(part=part, text=rest) for part, rest in rests.items() if rest]

    def _unsent(self) -> list[LivePiece]:
        pieces = []
        for part in TextPart:
            sent, now = self._sent[part], self._now[part]
            if now.startswith(sent):
                pieces += [LivePiece(part=part, text=now[len(sent) :])] if len(now) > len(sent) else []
                self._sent[part] = now
            elif not self.seen:
                pieces.append(LivePiece(part=part, text=now))
                self._sent[part] = now
            elif not sent.startswith(now):
                raise RestartedError(RESTARTED)
        return pieces
