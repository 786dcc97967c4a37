"""Which ids a step computes, of the works that can go on. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nightjar.workers.engine.chunks import ROWS
from nightjar.workers.engine.slots import DeviceLimits, Piece, Work, by_slot


class StepPlanner:
    """Chooses the pieces of each step."""

    def __init__(self, limits: DeviceLimits) -> None:
        self._limits = limits
        self._prompts_went = 0
        """Prompt tokens planned since conversations went on, where those take turns."""

    def pieces(self, running: Sequence[Work], chunk: int) -> list[Piece]:
        """What works without a leader compute next, by slot; `chunk` prompt tokens at most, unless a piece has more."""
        ready = [work for work in running if work.leader is None]
        if not self._limits.fixed_pieces:
            return self._as_it_suits(ready, running, chunk)
        if self._limits.alone:
            ready = sorted(ready, key=lambda work: work.slot.last_used if work.slot else 0)[:1]
        return self._in_turns([self._piece(work, self._limits.fixed_pieces) for work in ready], chunk)

    def _as_it_suits(self, ready: list[Work], running: Sequence[Work], chunk: int) -> list[Piece]:
        """One id of everything that decodes, then prompt chunks in the order of admission within the budget."""
        decoding = [work for work in ready if work.pending]
        forced = max(0, self._limits.n_batch - len(decoding))  # ids beyond each one's first that have room
        pieces = []
        for work in decoding:
            pieces.append(piece := self._piece(work, 1 + forced))
            forced -= len(piece.ids) - 1
        if len(pieces) == len(ready):  # already in the order of the slots
            return pieces
        beside = 1 if pieces else 0  # the first token of a chunk is computed with those
        left = full = min(forced, chunk)
        for work in sorted((w for w in ready if not w.pending), key=lambda work: work.admitted):
            if left <= 0:
                break
            fork = _fork(work, running)
            piece = self._piece(work, min(left, fork))
            if len(piece.ids) == left < fork and not piece.output:  # the prompt goes on
                rows = (left - beside) // ROWS * ROWS
                if rows:
                    piece = self._piece(work, rows + beside)
                elif left < full:  # a few tokens of another prompt: a pass over the weights for little
                    break
            pieces.append(piece)
            left -= len(piece.ids)
        return sorted(pieces, key=by_slot)

    def _in_turns(self, pieces: list[Piece], chunk: int) -> list[Piece]:
        """The next piece of one prompt, or of all that go on id by id: beside those llama.cpp would compute a prompt's
        first token by itself."""
        single = [piece for piece in pieces if len(piece.ids) == 1]
        if len(single) < len(pieces) and (not single or self._prompts_went < chunk):
            longer = min((piece for piece in pieces if len(piece.ids) > 1), key=lambda piece: piece.work.admitted)
            self._prompts_went += len(longer.ids)
            return [longer]
        self._prompts_went = 0
        return single

    def _piece(self, work: Work, most: int) -> Piece:
        """The next ids of a work: the one it sampled with those forced after it, or a piece of its prompt. Where pieces
        are fixed, forced ids go one by one: the next prompt computes them again as ids of a reply."""
        slot = work.slot
        assert slot is not None
        start = len(slot.cells)
        if work.pending:
            ids = work.pending[: 1 if self._limits.fixed_pieces else most]
            return Piece(slot=slot.index, start=start, ids=ids, output=len(ids) == len(work.pending), work=work)
        end = work.fixed_piece(start, most)[1] if self._limits.fixed_pieces else start + most
        ids = work.prompt[start:end]
        return Piece(slot=slot.index, start=start, ids=ids, output=start + len(ids) == len(work.prompt), work=work)


def _fork(work: Work, running: Sequence[Work]) -> int:
    """Ids from here to where the first of its followers goes its own way: there they can all go on together. Those of
    the very same prompt wait for its end. Without followers, as many as there are."""
    assert work.slot is not None
    start, end = len(work.slot.cells), len(work.prompt)
    return min((w.shared for w in running if w.leader is work and start < w.shared < end), default=end) - start
