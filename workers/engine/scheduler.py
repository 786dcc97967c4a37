"""Which work runs in which slot, and what each step computes. Pure: no device, no clock.

A step is `plan`, a decode by the device, then `commit`, or `abandon_all` if the decode failed. In `plan`
1. waiting works get free slots, with as much of their beginning as the cache holds (admission);
2. a work whose beginning another one was computing (its leader) goes on once that is done (sharing);
3. every decoding work contributes its next id, and those that are forced after it; prompts fill what is left of the
   batch with chunks (the step).
`commit` books what was computed and says who samples now; the engine then calls `push` or `finish` for each.
Idle slots are the cache: their cells stay until another work needs the slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nightjar.workers.engine.pieces import DRAWN
from nightjar.workers.engine.prefix import Match, PrefixTree, common_length, key_of
from nightjar.workers.engine.slots import Copy, DeviceLimits, Move, Output, Piece, Slot, Step, Trim, Work
from nightjar.workers.engine.steps import StepPlanner


class Scheduler:
    """Decides which work runs in which slot and what each step computes.

    The caller owns the loop: `submit` at any time, then `plan` -> decode -> `commit` (or `abandon_all`), and after a
    commit `push` or `finish` for each work that it named. `finish` also cancels, whether a work waits or runs.
    """

    def __init__(self, limits: DeviceLimits) -> None:
        self.limits = limits
        self.slots = [Slot(index) for index in range(limits.slots)]
        self.waiting: list[Work] = []
        self.chunk = limits.n_batch
        """Prefill tokens in one step, at most; the engine adapts it to the device's speed."""
        self.step_number = 0
        self._tree = PrefixTree()
        self._moves: list[Move] = []
        self._admitted = 0
        self._steps = StepPlanner(limits)

    @property
    def running(self) -> list[Work]:
        return [slot.work for slot in self.slots if slot.work is not None]

    @property
    def idle(self) -> bool:
        return not self.waiting and not any(slot.work for slot in self.slots)

    @property
    def pending_moves(self) -> int:
        """Moves decided since the last plan; until they are made, the device's cells differ."""
        return len(self._moves)

    def submit(self, work: Work) -> None:
        """Appends work to the waiting line. Its prompt has 1 to `context` ids."""
        assert 1 <= len(work.prompt) <= self.limits.context
        assert work.slot is None
        if self.limits.fixed_pieces:
            work.mark_cuts()
        self.waiting.append(work)

    def plan(self) -> Step:
        """Admits what can be admitted and says what to move and decode next. Empty if there is nothing to do."""
        self.step_number += 1
        self._admit()
        running = self.running
        for work in running:
            if work.leader is not None:
                self._resolve(work, work.leader)
        pieces = self._steps.pieces(running, self.chunk)
        moves, self._moves = self._moves, []
        return Step(moves=moves, pieces=pieces)

    def commit(self, step: Step) -> list[Output]:
        """Books a decoded step and says who samples from which piece; `push` or `finish` must follow for each."""
        outputs = []
        for index, piece in enumerate(step.pieces):
            slot = self.slots[piece.slot]
            assert slot.work is piece.work
            assert len(slot.cells) == piece.start
            slot.cells.extend(_held(piece, marked=self.limits.fixed_pieces > 0))
            slot.last_used = self.step_number
            piece.work.pending = piece.work.pending[len(piece.ids) :]
            if piece.output:
                twins = self._release_twins(piece.work) if len(slot.cells) == len(piece.work.prompt) else []
                outputs.append(Output(piece=index, works=(piece.work, *twins)))
        return outputs

    def abandon_all(self) -> list[Work]:
        """After a failed decode the cache is empty: drops all running work and every cell. Waiting work stays."""
        dropped = self.running
        self._moves = []
        for slot in self.slots:
            if slot.work is not None:
                slot.work.leader = slot.work.slot = None
                slot.work = None
            slot.cells = []
            slot.awaited = False
            self._tree.remove(slot.index)
        return dropped

    def push(self, work: Work, *tokens: int) -> None:
        """The next ids of this work, to be decoded from the next step on."""
        assert work.slot is not None
        assert not work.pending
        assert tokens
        assert len(work.slot.cells) + len(tokens) <= self.limits.context
        work.pending = tokens

    def finish(self, work: Work) -> None:
        """Takes work out, wherever it is. Its cells stay as cache; its followers take over what is there."""
        slot = work.slot
        if slot is None:
            if work in self.waiting:
                self.waiting.remove(work)
            return
        self._pass_on(work, slot)
        trim = work.final and work.leader is None and self.limits.can_trim
        keep = min(len(slot.cells), len(work.prompt)) if trim else len(slot.cells)
        slot.work = work.slot = work.leader = None
        slot.awaited = not work.final
        self._cut(slot, keep)
        self._tree.put(slot.index, key_of(slot.cells))

    def check_integrity(self) -> None:
        """Asserts that nothing is lost, held twice or out of bounds."""
        self._tree.check_integrity()
        for slot in self.slots:
            work = slot.work
            assert len(slot.cells) <= self.limits.context, "more cells than the context"
            assert work is None or work.slot is slot, "a slot and its work disagree"
            if work is None:
                assert self._tree.path(slot.index) == key_of(slot.cells), "an idle slot's path is not its cells"
            elif work.leader is None:
                shared = min(len(work.prompt), len(slot.cells))
                assert tuple(slot.cells[:shared]) == work.cells[:shared], "cells of another prompt"
            else:
                assert work.leader is not work, "a work leads itself"
                assert work.leader.slot is not None, "a leader without a slot"
        assert all(work.slot is None for work in self.waiting), "a waiting work has a slot"
        assert len({id(work) for work in self.waiting}) == len(self.waiting), "work waits twice"

    # -- admission ---------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        while self.waiting and any(slot.work is None for slot in self.slots):
            window = self.waiting[: 2 * self.limits.slots]
            matches = {id(work): self._match(work) for work in window}
            work = self._next(window, matches)
            for other in window:
                if other is work:
                    break
                other.passed_over += 1
            self.waiting.remove(work)
            self._place(work, matches[id(work)], [matches[id(other)] for other in window if other is not work])

    def _match(self, work: Work) -> Match:
        """What slots share with it: a whole prompt, or up to where one of its pieces begins."""
        match = self._tree.match(work.key)
        if not self.limits.fixed_pieces or match.length == len(work.prompt):
            return match
        return Match(length=self._cut_at(work, match.length), slots=match.slots)

    def _next(self, window: list[Work], matches: dict[int, Match]) -> Work:
        """First come, first served, but works that share more come earlier, until one was passed over too often."""
        patience = 4 * self.limits.slots
        if window[0].passed_over >= patience:
            return window[0]
        return max(window, key=lambda work: matches[id(work)].length)

    def _place(self, work: Work, match: Match, others: list[Match]) -> None:
        """Gives work a slot, and its beginning: from the slot itself, by a copy, or from a leader later."""
        slot = self._choose(work, match, others)
        kept = self._kept(slot, work)
        self._admitted += 1
        work.admitted, work.slot, slot.work = self._admitted, slot, work
        slot.last_used = self.step_number
        slot.awaited = False
        source = self._source(match.slots - {slot.index})
        if source is None or not self._copy_pays(match.length, kept):
            self._go_on_from(work, kept)
        elif _computed(source) >= match.length:
            self._begin(work, source, match.length)
        else:
            assert source.work is not None
            work.leader, work.shared = _computing(source.work, match.length), match.length
        self._tree.put(slot.index, work.key)

    def _choose(self, work: Work, match: Match, others: list[Match]) -> Slot:
        """The slot that holds the beginning, if nothing wanted is lost by it; else the least useful one."""
        free = [slot for slot in self.slots if slot.work is None]
        whole = [slot for slot in free if slot.cells and self._kept(slot, work) == len(slot.cells)]
        if whole:  # the conversation's own: it goes on from all of it
            return max(whole, key=lambda slot: len(slot.cells))
        least = min(free, key=lambda slot: (*self._usefulness(slot, 0, others), slot.index))
        holders = [slot for slot in free if slot.index in match.slots]
        if not holders or least in holders:
            return least
        best = min(holders, key=lambda slot: (len(slot.cells), slot.index))
        if len(best.cells) - match.length < self.limits.min_copy or not self.limits.can_copy:
            return best
        if not self._copy_pays(match.length, self._kept(least, work)):
            return least
        return min((least, best), key=lambda s: self._usefulness(s, match.length if s is best else 0, others))

    def _usefulness(self, slot: Slot, kept: int, others: list[Match]) -> tuple[bool, int, int, int]:
        """Whether a conversation will come back to these cells, what waiting works would lose with those from `kept`
        on, whether the slots beside it are idle too, and how recently it was used."""
        lost = [match.length - kept for match in others if match.slots == {slot.index}] if slot.cells else []
        used = slot.last_used if slot.cells else -1
        return (slot.awaited, max(0, *lost) if lost else 0, -self._busy_neighbours(slot), used)

    def _busy_neighbours(self, slot: Slot) -> int:
        """How many of the slots beside it are in use: llama.cpp computes neighbours together."""
        beside = self.slots[max(0, slot.index - 1) : slot.index + 2]
        return sum(other.work is not None for other in beside)

    def _copy_pays(self, length: int, kept: int) -> bool:
        """Whether to copy this many ids into a slot that keeps `kept` of them anyway."""
        return self.limits.can_copy and length - kept >= self.limits.min_copy

    def _kept(self, slot: Slot, work: Work) -> int:
        """How many of the slot's own cells this work can go on from. The last prompt id is always computed."""
        held = self._tree.path(slot.index) if slot.work is None else key_of(slot.cells)
        own = common_length(held, work.key)
        start = self._cut_at(work, own)
        if not self.limits.can_trim:
            return own if own == len(slot.cells) == start else 0
        return start

    def _cut_at(self, work: Work, at: int) -> int:
        """So many of its ids may come from elsewhere where `at` are there: all but the last, or all before a piece."""
        at = min(at, len(work.prompt) - 1)
        return work.fixed_piece(at, self.limits.fixed_pieces)[0] if self.limits.fixed_pieces else at

    def _source(self, indexes: Iterable[int]) -> Slot | None:
        """Of these slots, the one that has most computed, or will have it first: a leader before its followers."""

        def progress(slot: Slot) -> tuple[int, bool, int]:
            leads = slot.work is None or slot.work.leader is None
            return _computed(slot), leads, -slot.index

        return max((self.slots[i] for i in indexes), key=progress, default=None)

    # -- sharing -----------------------------------------------------------------------------------------------------

    def _resolve(self, work: Work, leader: Work) -> None:
        """Lets a follower go on once its leader has computed what they share."""
        if leader.leader is not None or self._twins(leader, work):
            return
        assert leader.slot is not None
        if len(leader.slot.cells) >= work.shared:
            work.leader = None
            self._begin(work, leader.slot, work.shared)

    def _pass_on(self, work: Work, slot: Slot) -> None:
        """Followers take over what is computed; the one that shares most computes for the others what is not."""
        followers = sorted((w for w in self.running if w.leader is work), key=lambda w: -w.shared)
        for other in followers:
            heir = followers[0]
            if work.leader is not None:
                other.leader, other.shared = work.leader, min(other.shared, work.shared)
            elif other is heir or other.shared <= len(slot.cells):
                other.leader = None
                self._begin(other, slot, min(other.shared, len(slot.cells)))
            else:
                other.leader = heir

    def _twins(self, leader: Work, work: Work) -> bool:
        """Whether a leader is still computing exactly this prompt, so that its last logits serve both."""
        assert leader.slot is not None
        return leader.key == work.key and len(leader.slot.cells) < len(leader.prompt)

    def _release_twins(self, leader: Work) -> list[Work]:
        """Followers with the very prompt that is now complete take all its cells and sample from its logits."""
        assert leader.slot is not None
        twins = [work for work in self.running if work.leader is leader and work.key == leader.key]
        for work in twins:
            assert work.slot is not None
            work.leader = None
            work.reused = len(work.prompt)
            self._copy(leader.slot, work.slot, len(work.prompt))
        return twins

    def _begin(self, work: Work, source: Slot, length: int) -> None:
        """Copies a beginning into the work's slot, unless its own cells serve as well."""
        assert work.slot is not None
        length = self._cut_at(work, length)
        kept = self._kept(work.slot, work)
        if not self._copy_pays(length, kept):
            self._go_on_from(work, kept)
            return
        self._copy(source, work.slot, length)
        work.reused = length

    def _go_on_from(self, work: Work, keep: int) -> None:
        assert work.slot is not None
        work.reused = keep
        self._cut(work.slot, keep)

    def _copy(self, source: Slot, target: Slot, keep: int) -> None:
        self._moves.append(Copy(source=source.index, target=target.index, keep=keep))
        target.cells = source.cells[:keep]
        source.last_used = self.step_number

    def _cut(self, slot: Slot, keep: int) -> None:
        if keep < len(slot.cells):
            self._moves.append(Trim(slot=slot.index, keep=keep))
            del slot.cells[keep:]


def _held(piece: Piece, *, marked: bool) -> Sequence[int]:
    """What a slot holds once the piece is computed."""
    if not marked:
        return piece.ids
    if piece.start < len(piece.work.prompt):
        return piece.work.cells[piece.start : piece.start + len(piece.ids)]
    return tuple(token | DRAWN for token in piece.ids)


def _computing(work: Work, length: int) -> Work:
    """Who computes this work's first `length` ids: a follower gets what it shares from its leader."""
    while work.leader is not None and work.shared >= length:
        work = work.leader
    return work


def _computed(slot: Slot) -> int:
    """Cells that hold what the slot's path says; a follower has none yet."""
    return 0 if slot.work is not None and slot.work.leader is not None else len(slot.cells)
