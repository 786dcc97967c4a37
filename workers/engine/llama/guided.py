"""Sampling under a grammar and a reasoning budget, with what `sampler.py` offers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog

from nightjar.workers.engine.backend import Drawn
from nightjar.workers.engine.grammar.matcher import GrammarMatcher, Mask
from nightjar.workers.engine.guide import Guide, Phase
from nightjar.workers.engine.llama.sampler import Chain

log = structlog.get_logger()


class GuidedSampler:
    """Draws among the tokens that the grammar allows; what it forces is not drawn.

    Where thoughts or blanks may come before the answer, it draws first and asks whether that is one of them.
    """

    def __init__(
        self,
        chain: Chain,
        matcher: GrammarMatcher | None,
        guide: Guide,
        *,
        piece: Callable[[int], bytes],
        is_end: Callable[[int], bool],
        tokenize: Callable[[bytes], list[int]],
    ) -> None:
        self._chain = chain
        self._matcher = matcher
        self._guide = guide
        self._piece = piece
        self._is_end = is_end
        self._tokenize = tokenize
        self._forced: deque[int] = deque()
        """Tokens that come next; those of the grammar it has taken already."""
        self._begun = False
        """Whether the grammar has taken a token of the answer."""

    def draw(self, pick: Callable[[Mask | None], int | None], *, one: bool) -> Drawn:
        """The next token, by `pick` among those of a mask (None: among all), and what is forced after it, unless `one`
        token is wanted at a time."""
        self._force()
        token = self._forced.popleft() if self._forced else self._drawn(pick)
        if token is None:
            return self._stuck()
        self._took(token)
        if self._is_end(token):
            return Drawn(token)
        self._force()
        forced: tuple[int, ...] = ()
        if not one:
            forced = tuple(self._forced)
            self._forced.clear()
            for other in forced:
                self._took(other)
        if self._matcher is not None and self._matcher.error:
            return self._stuck()._replace(token=token)
        done = self._begun and not self._forced and self._matcher is not None and self._matcher.complete
        return Drawn(token, forced=forced, ends="stop" if done else None)

    def prepare(self) -> None:
        """Computes the mask of the next draw."""
        if self._matcher is not None and not self._forced and self._guide.phase is not Phase.THINKING:
            self._matcher.mask()

    def close(self) -> None:
        self._chain.close()
        self._matcher = None

    def _took(self, token: int) -> None:
        self._chain.accept(token)
        self._guide.push(self._piece(token))

    def _force(self) -> None:
        """What must come next: the rest of a marker, or what the grammar leaves no choice about."""
        if self._forced:
            return
        if rest := self._guide.rest_of_marker:
            self._forced.extend(self._tokenize(rest))
        elif self._matcher is not None and (self._begun or not self._guide.may_be_free):
            self._forced.extend(tokens := self._matcher.forced())
            self._begun = self._begun or bool(tokens)

    def _drawn(self, pick: Callable[[Mask | None], int | None]) -> int | None:
        matcher = self._matcher
        if matcher is None or not self._guide.may_be_free:
            token = pick(None if matcher is None else matcher.mask())
        else:
            token = pick(None)
            if token is None:
                return None
            piece, ends = self._piece(token), self._is_end(token)
            # A model that would end its reply inside its thoughts still owes the answer.
            owed = ends and self._guide.phase is Phase.THINKING
            if rest := self._guide.rest_of_close if owed else self._guide.runs_over(piece):
                self._forced.extend(self._tokenize(rest))
                return self._forced.popleft()
            if self._guide.free(piece) and not ends:
                return token
            mask = matcher.mask()
            if not mask[token // 32] >> (token % 32) & 1:
                token = pick(mask)
        if token is not None and matcher is not None and not self._is_end(token):
            self._begun = True
            matcher.take(token)
        return token

    def _stuck(self) -> Drawn:
        """A limit of llguidance was reached, or nothing of this vocabulary can follow."""
        why = self._matcher.error if self._matcher is not None else ""
        log.warning("grammar_stopped", reason=why or "no token of this vocabulary can follow")
        return Drawn(None, ends="grammar")
