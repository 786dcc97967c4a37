"""One request's reply while it grows: text, ends and times. Pure; the clock's readings are passed in."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from nightjar.jobs.parameters import FinishReason
from nightjar.jobs.records import Timings
from nightjar.workers.engine.guide import Guide, Phase
from nightjar.workers.engine.request import Generation, Request, TokenLogprob
from nightjar.workers.engine.text import TextStream


class GrowingReply:
    """Takes tokens as they are sampled and says when the reply ends, and why."""

    def __init__(self, request: Request, context: int, piece: Callable[[int], bytes], submitted: float) -> None:
        self.request = request
        self.finish_reason: FinishReason | None = None
        self.ids: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self._length = request.parameters.max_tokens
        self._room = context - len(request.prompt)
        self._time_limit_s = request.parameters.time_limit_s
        self._piece = piece
        self._heeds_stops = request.reasoning is None
        self._text = TextStream(request.parameters.stop if self._heeds_stops else ())
        self._guide = Guide(request.reasoning, opened=request.reasoning_open, budget=None)
        self._undecided = b""
        """Blanks and the beginning of a marker, while it is open whether thoughts or the answer come."""
        self._read = 0
        self._unheard: list[str] = []
        self._submitted = submitted
        self._started: float | None = None
        self._first: float | None = None
        self._last = submitted

    def start(self, now: float) -> None:
        """Its first token is about to be computed, or another request computes it. The first call counts."""
        if self._started is None:
            self._started = now

    def overdue(self, now: float) -> bool:
        """Whether the time limit, which counts from `start` and not while waiting for a slot, has passed."""
        return self._started is not None and now - self._started > self._time_limit_s

    def end_of_generation(self, now: float) -> None:
        """The model ended its reply."""
        self.end("stop", now)

    def end(self, reason: FinishReason, now: float) -> None:
        """The reply ends with what it has."""
        self._seen(now)
        self.finish(reason)

    def take(self, token: int, now: float, logprob: TokenLogprob | None = None) -> None:
        """Adds a token; sets `finish_reason` where it is the last."""
        self._seen(now)
        self.ids.append(token)
        if logprob is not None:
            self.logprobs.append(logprob)
        if self.request.parameters.stop:  # else the text can wait until somebody wants it
            self._read_on()
        reason = self._reason()
        if reason is not None:
            self.finish(reason)

    def finish(self, reason: FinishReason) -> None:
        """Ends the reply."""
        assert self.finish_reason is None
        self._read_on()
        self.finish_reason = reason
        if self._undecided:
            self._answer(self._undecided)
        self._unheard.append(self._text.finish())

    def hear(self) -> str:
        """The text that became certain since this was last asked."""
        self._read_on()
        text = "".join(self._unheard)
        self._unheard.clear()
        return text

    def generation(self, reused_tokens: int, now: float) -> Generation:
        """The finished reply."""
        assert self.finish_reason is not None
        return Generation(
            token_ids=tuple(self.ids),
            text=self._text.text,
            finish_reason=self.finish_reason,
            stop_string=self._text.stop_string,
            prompt_tokens=len(self.request.prompt),
            reused_tokens=reused_tokens,
            timings=self._timings(now),
            mean_logprob=fmean(entry.logprob for entry in self.logprobs) if self.logprobs else None,
            logprobs=tuple(self.logprobs),
        )

    def _read_on(self) -> None:
        """Puts into words what was taken since."""
        pieces = [self._piece(token) for token in self.ids[self._read :]]
        self._read = len(self.ids)
        if self.request.reasoning is None or not self.request.parameters.stop:
            self._unheard.append(self._text.push(b"".join(pieces)))
            return
        for piece in pieces:
            self._read_thinking(piece)

    def _read_thinking(self, piece: bytes) -> None:
        """Takes a token of a model that may think first: stop strings count from the answer's first visible token."""
        before = self._guide.phase
        self._guide.push(piece)
        piece, self._undecided = self._undecided + piece, b""
        between = before is Phase.ANSWER and not piece.strip()  # blanks that follow a block
        if self._heeds_stops or Phase.THINKING in (before, self._guide.phase) or between:
            self._unheard.append(self._text.push(piece))
        elif self._guide.phase is Phase.UNDECIDED:
            self._undecided = piece
        else:
            self._answer(piece)

    def _answer(self, piece: bytes) -> None:
        self._text.heed(self.request.parameters.stop)
        self._heeds_stops = True
        self._unheard.append(self._text.push(piece))

    def _seen(self, now: float) -> None:
        self._last = now
        if self._first is None:
            self._first = now

    def _reason(self) -> FinishReason | None:
        if self._text.stop_string is not None:
            return "stop"
        count = len(self.ids)
        if count >= self._length:
            return "length"
        if count >= self._room:
            return "context"
        return "length" if count >= self.request.max_tokens else None

    def _timings(self, now: float) -> Timings:
        started = self._started if self._started is not None else now
        prefilled = self._first if self._first is not None else now
        return Timings(
            queue_s=started - self._submitted,
            prefill_s=prefilled - started,
            decode_s=max(0.0, self._last - prefilled) if self._first is not None else 0.0,
            first_token_s=self._first - self._submitted if self._first is not None else None,
        )
