"""The scheduler against a device that checks every rule: no slot leaks, no cell is shared, every request ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightjar.workers.engine.fake import Faults, ScriptedBackend
from nightjar.workers.engine.pieces import DRAWN, LAST, Span
from nightjar.workers.engine.scheduler import Scheduler
from nightjar.workers.engine.slots import Copy, DeviceLimits, Move, Piece, Work


class WitnessDevice(ScriptedBackend):
    """Remembers of each cell the piece that computed it: its first position and its end."""

    def __init__(self, limits: DeviceLimits) -> None:
        super().__init__(lambda *_: "", limits, token_delay_s=0, faults=Faults())
        self.computed_in: list[list[tuple[int, int]]] = [[] for _ in range(limits.slots)]

    def move(self, moves: Sequence[Move]) -> None:
        super().move(moves)
        for move in moves:
            if isinstance(move, Copy):
                self.computed_in[move.target] = self.computed_in[move.source][: move.keep]
            else:
                del self.computed_in[move.slot][move.keep :]

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        for piece in pieces:
            end = piece.start + len(piece.ids)
            self.computed_in[piece.slot].extend([(piece.start, end)] * len(piece.ids))
        return super().decode(pieces)

    def clear(self) -> None:
        super().clear()
        self.computed_in = [[] for _ in self.computed_in]


def by_itself(work: Work, width: int, cells: int) -> list[tuple[int, int]]:
    """The pieces of its first cells where nothing is shared and nobody else is there."""
    found: list[tuple[int, int]] = []
    while len(found) < cells:
        at = len(found)
        borders = [border for reply in work.replies for border in reply if border > at]
        end = min([at + width, *borders, len(work.prompt)])
        if at >= len(work.prompt) or any(first <= at < last for first, last in work.replies):
            end = at + 1
        found += [(at, end)] * (end - at)
    return found


@dataclass
class Bench:
    """Runs a scheduler on the checking device; each work generates `replies[id]` tokens."""

    limits: DeviceLimits
    replies: dict[str, int] = field(default_factory=dict)
    fails_at: frozenset[int] = frozenset()
    """Steps whose decode fails."""
    forced: int = 0
    """Ids that come with each sampled one, as far as the reply goes."""

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.limits)
        self.device = WitnessDevice(self.limits)
        self.ended: list[str] = []
        self.works: dict[str, Work] = {}
        self.generated: dict[str, int] = {}
        self.computed = 0
        self.copies = 0
        self.steps = 0

    def submit(
        self, name: str, prompt: tuple[int, ...], reply: int, *, final: bool = False, replies: tuple[Span, ...] = ()
    ) -> Work:
        work = self.works[name] = Work(name, prompt, final=final, replies=replies)
        self.replies[name] = reply
        self.generated[name] = 0
        self.scheduler.submit(work)
        return work

    def cancel(self, name: str) -> None:
        if name not in self.ended:
            self.scheduler.finish(self.works[name])
            self.ended.append(name)

    def step(self) -> None:
        self.steps += 1
        step = self.scheduler.plan()
        if self.steps in self.fails_at:
            self.ended += [work.id for work in self.scheduler.abandon_all()]
            self.device.clear()
            return
        self.device.move(step.moves)
        assert not self.limits.alone or len(step.pieces) <= 1
        self.copies += sum(isinstance(move, Copy) for move in step.moves)
        if step.pieces:
            self.device.decode(step.pieces)
        for piece in step.pieces:
            self.computed += len(piece.ids) if piece.start < len(piece.work.prompt) else 0
        for output in self.scheduler.commit(step):
            for work in output.works:
                self._sample(work)
        self.check()

    def _sample(self, work: Work) -> None:
        self.generated[work.id] += 1
        room = self.limits.context - len(work.prompt)
        if self.generated[work.id] >= min(self.replies[work.id], room + 1):
            self.scheduler.finish(work)
            self.ended.append(work.id)
        else:
            left = min(self.replies[work.id], room + 1) - self.generated[work.id] - 1
            more = max(0, min(self.forced, left))
            self.scheduler.push(work, *range(1000 + self.generated[work.id], 1001 + self.generated[work.id] + more))
            self.generated[work.id] += more

    def run(self) -> int:
        """Steps until idle; returns how many were needed."""
        for count in range(100_000):
            if self.scheduler.idle:
                return count
            self.step()
        raise AssertionError("requests remain that never end")

    def fill_every_slot(self) -> None:
        """Runs a work in each slot; afterwards the last slot is the least used."""
        for number in range(self.limits.slots):
            self.submit(f"old {number}", (number,) * 8, 2 * (self.limits.slots - number) + 1)
        self.run()

    def check(self) -> None:
        self.scheduler.check_integrity()
        for slot in self.scheduler.slots:
            if self.scheduler.pending_moves:
                continue
            plain = [token & ~(DRAWN | LAST) for token in slot.cells]
            assert self.device.cells[slot.index] == plain, "the scheduler and the device disagree"
            if self.limits.fixed_pieces and slot.work is not None and slot.work.leader is None:
                alone = by_itself(slot.work, self.limits.fixed_pieces, len(slot.cells))
                assert self.device.computed_in[slot.index] == alone, "cells of other pieces than alone"


def ids(text: str) -> tuple[int, ...]:
    return tuple(text.encode())


prompts = st.lists(
    st.sampled_from([ids("rubric " * 6), ids("system "), ids("a"), ids("b"), ids("cd")]), min_size=1
).map(lambda parts: tuple(i for part in parts for i in part)[:120])
requests = st.lists(st.tuples(prompts, st.integers(1, 12), st.booleans()), min_size=1, max_size=24)


@settings(max_examples=80, deadline=None)
@given(
    requests=requests,
    slots=st.integers(1, 5),
    n_batch=st.integers(6, 40),
    min_copy=st.integers(1, 20),
    shares=st.booleans(),
    arrivals=st.lists(st.integers(0, 3), max_size=24),
    cancels=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 23)), max_size=6),
    kind=st.sampled_from(["usual", "fixed", "alone"]),
    width=st.integers(1, 9),
    earlier=st.lists(st.integers(0, 8), max_size=24),
    fails_at=st.frozensets(st.integers(1, 40), max_size=3),
    forced=st.integers(0, 9),
)
def test_every_request_ends_and_no_cell_is_held_twice(
    requests: list[tuple[tuple[int, ...], int, bool]],
    slots: int,
    n_batch: int,
    min_copy: int,
    shares: bool,
    arrivals: list[int],
    cancels: list[tuple[int, int]],
    kind: str,
    width: int,
    earlier: list[int],
    fails_at: frozenset[int],
    forced: int,
) -> None:
    """Whatever comes, fails or is cancelled: everything ends, and the cache is what the scheduler thinks it is. Where
    pieces are fixed, each cell was computed in the piece that computes it when nobody else is there."""
    limits = DeviceLimits(
        slots=slots,
        context=128,
        n_batch=n_batch,
        can_copy=shares and slots > 1,
        can_trim=shares,
        min_copy=min_copy,
        fixed_pieces=0 if kind == "usual" else min(width, n_batch),
        alone=kind == "alone",
    )
    bench = Bench(limits, fails_at=fails_at, forced=forced)
    for number, (prompt, reply, final) in enumerate(requests):
        for _ in range(arrivals[number] if number < len(arrivals) else 0):
            bench.step()
        told = earlier[number] if number < len(earlier) else 0  # so many ids from the third on are an earlier reply
        replies = ((2, 2 + told),) if 0 < told < len(prompt) - 2 else ()
        bench.submit(str(number), prompt, reply, final=final, replies=replies)
        for at, which in cancels:
            if at == number and which <= number:
                bench.cancel(str(which))
    bench.step()
    for _, which in cancels:
        if which < len(requests):
            bench.cancel(str(which))
    bench.run()
    assert sorted(bench.ended) == sorted(bench.works)
    assert all(slot.work is None for slot in bench.scheduler.slots)


@settings(max_examples=30, deadline=None)
@given(requests=requests, slots=st.integers(2, 4))
def test_nobody_is_passed_over_for_ever(requests: list[tuple[tuple[int, ...], int, bool]], slots: int) -> None:
    """Sharing goes first, but the first in line is passed over at most 4 times per slot."""
    bench = Bench(DeviceLimits(slots=slots, context=128, n_batch=32))
    stranger = bench.submit("stranger", ids("zzzz"), 1)
    for number, (prompt, reply, final) in enumerate(requests * 3):
        bench.submit(str(number), prompt, reply, final=final)
    bench.run()
    assert stranger.passed_over <= 4 * slots


def test_identical_prompts_are_computed_once() -> None:
    """Eight arrive together: one leads, the others sample from its last logits; nothing is computed twice."""
    bench = Bench(DeviceLimits(slots=8, context=256, n_batch=64))
    for number in range(8):
        bench.submit(str(number), ids("p" * 200), 5)
    bench.run()
    assert bench.computed == 200
    assert bench.copies == 7
    assert [bench.works[str(n)].reused for n in range(8)] == [0] + [200] * 7


def test_shared_beginning_is_computed_once() -> None:
    """Judge-shaped: one rubric, four replies, seven criteria each, through five slots."""
    bench = Bench(DeviceLimits(slots=5, context=512, n_batch=64))
    rubric, replies = "R" * 200, [letter * 40 for letter in "abcd"]
    for reply in replies:
        for criterion in range(7):
            bench.submit(f"{reply[0]}{criterion}", ids(f"{rubric}{reply}criterion {criterion}"), 4, final=True)
    bench.run()
    distinct = 200 + 4 * 40 + 4 * (len("criterion ") + 7)
    assert bench.computed <= distinct * 1.1


def test_later_turns_go_on_from_what_is_there() -> None:
    """A second turn that extends the first computes only what is new."""
    bench = Bench(DeviceLimits(slots=2, context=256, n_batch=64))
    first = bench.submit("1", ids("hello there"), 4)
    bench.run()
    reply = (1001, 1002, 1003)
    second = bench.submit("2", first.prompt + reply + ids(" and then?"), 2)
    bench.run()
    assert second.reused == len(first.prompt) + len(reply)
    assert bench.computed == len(first.prompt) + len(" and then?")


def test_long_prompts_stall_nobody_for_more_than_a_chunk() -> None:
    """A decoding slot gets its token in every step of another's prefill."""
    bench = Bench(DeviceLimits(slots=2, context=1024, n_batch=16))
    bench.submit("talker", ids("hi"), 60)
    bench.step()
    bench.submit("reader", tuple(range(700)), 1)
    before = bench.generated["talker"]
    for _ in range(20):
        bench.step()
    assert bench.generated["talker"] == before + 20


@pytest.mark.parametrize(
    ("n_batch", "talkers", "readers", "computed"),
    [
        (40, 0, [100], [32]),  # whole rows of the kernels
        (40, 1, [100], [33]),  # the first token is computed with the one that decodes
        (40, 1, [38], [38]),  # the end of a prompt, however long it is
        (40, 0, [30, 100], [30]),  # ten tokens of the next prompt would cost a pass over the weights
        (40, 0, [20, 100], [20, 16]),
        (40, 0, [20, 18], [20, 18]),
        (10, 0, [100], [10]),  # a batch smaller than the rows
    ],
)
def test_chunks_fill_the_rows_of_the_kernels(
    n_batch: int, talkers: int, readers: list[int], computed: list[int]
) -> None:
    bench = Bench(DeviceLimits(slots=4, context=1024, n_batch=n_batch))
    for number in range(talkers):
        bench.submit(f"talker {number}", (500 + number,), 60)
    bench.step()
    for number, length in enumerate(readers):
        bench.submit(f"reader {number}", (600 + number,) * length, 1)
    pieces = [piece for piece in bench.scheduler.plan().pieces if piece.work.id.startswith("reader")]
    assert [len(piece.ids) for piece in pieces] == computed


def test_slots_in_use_lie_side_by_side() -> None:
    """Devices compute neighbours together; which idle slot was used last matters less."""
    bench = Bench(DeviceLimits(slots=8, context=64, n_batch=64))
    for number in range(8):
        bench.submit(f"old {number}", (number,) * 8, 1 + number * 3 % 8)  # they end in another order than the slots'
    bench.run()
    for number in range(4):
        bench.submit(f"new {number}", (20 + number,) * 8, 9)
        bench.step()
    used = [slot.index for slot in bench.scheduler.slots if slot.work is not None]
    assert used == list(range(used[0], used[0] + 4))


def test_who_shares_a_beginning_goes_on_at_once_when_it_is_there() -> None:
    """Nobody waits for another one that waits, whichever slots they have."""
    bench = Bench(DeviceLimits(slots=4, context=256, n_batch=256))
    bench.fill_every_slot()
    for number in range(4):
        bench.submit(f"new {number}", (*(7 for _ in range(40)), 20 + number), 9)
    bench.step()
    assert len(bench.scheduler.plan().pieces) == 4


def test_who_follows_a_follower_goes_on_with_it() -> None:
    """One rubric, two replies, several criteria each: all criteria of a reply in one step, not one a step."""
    bench = Bench(DeviceLimits(slots=8, context=256, n_batch=256))
    bench.fill_every_slot()
    for number in range(8):
        bench.submit(f"new {number}", (*(90 for _ in range(40)), *(91 + number // 4 for _ in range(20)), number), 9)
    lengths = []
    for _ in range(3):
        before = bench.computed
        bench.step()
        lengths.append(bench.computed - before)
    assert lengths == [40, 2 * 20, 8]  # the rubric; both replies; everybody's criterion


@pytest.mark.parametrize(
    ("prompts", "steps"),
    [
        (["sssabc", "sssdef"], [[3], [3, 3]]),  # the beginning alone, and then both: they end in the same step
        (["sssabc", "sssaxy", "sssdef"], [[3], [1, 3], [2, 2, 1]]),  # two forks; the last one already writes
        (["sssabc", "sssabc"], [[6], [1, 1]]),  # the very same prompt: nobody goes another way, and both sample
        (["sssabc", "tttdef"], [[6, 6], [1, 1]]),  # nothing is shared
    ],
)
def test_who_computes_for_others_stops_where_they_go_their_own_way(prompts: list[str], steps: list[list[int]]) -> None:
    bench = Bench(DeviceLimits(slots=4, context=64, n_batch=64, min_copy=2))
    for number, prompt in enumerate(prompts):
        bench.submit(str(number), ids(prompt), 3)
    for lengths in steps:
        step = bench.scheduler.plan()
        assert [len(piece.ids) for piece in step.pieces] == lengths
        bench.device.move(step.moves)
        bench.device.decode(step.pieces)
        for output in bench.scheduler.commit(step):
            for work in output.works:
                bench.scheduler.push(work, 1000)


def test_a_slot_is_free_again_within_one_step_of_a_cancel() -> None:
    """The next in line gets the cancelled one's slot at the very next plan."""
    bench = Bench(DeviceLimits(slots=1, context=64, n_batch=16))
    bench.submit("long", ids("aaaa"), 50)
    bench.submit("next", ids("bbbb"), 1)
    for _ in range(3):
        bench.step()
    bench.cancel("long")
    bench.step()
    assert "next" in bench.ended


def test_cancelled_leader_leaves_its_work_to_the_followers() -> None:
    """What a leader had computed is taken over; the rest is computed by one of them."""
    bench = Bench(DeviceLimits(slots=4, context=512, n_batch=50))
    for name in ("leader", "second", "third"):
        bench.submit(name, ids("q" * 200), 3)
    bench.submit("other", ids("q" * 180 + "another end"), 3)
    bench.step()
    bench.step()
    bench.cancel("leader")
    bench.run()
    assert bench.computed == 200 + len("another end")


def test_models_without_sharing_still_continue_a_conversation() -> None:
    """A recurrent state can only be extended exactly or cleared."""
    bench = Bench(DeviceLimits(slots=2, context=256, n_batch=64, can_copy=False, can_trim=False))
    first = bench.submit("1", ids("hello there, who are you"), 4)
    bench.run()
    exact = bench.submit("2", (*first.prompt, 1001, 1002, 1003, *ids(" go on")), 2)
    bench.run()
    bench.submit("3", ids("hello there, who am I then"), 2)
    bench.run()
    assert exact.reused == len(first.prompt) + 3
    assert bench.works["3"].reused == 0


def test_idle_prefixes_that_are_wanted_stay() -> None:
    """A free slot whose beginning a waiting request needs is not given to a stranger while another is free."""
    bench = Bench(DeviceLimits(slots=3, context=256, n_batch=64))
    for letter in "abc":
        bench.submit(letter, ids(letter * 100), 1)
        bench.run()
    bench.submit("stranger", ids("z" * 50), 1)
    bench.submit("again", ids("a" * 100 + "more"), 1)
    bench.run()
    assert bench.works["again"].reused >= 100


def test_a_conversation_between_two_turns_keeps_its_cells() -> None:
    """A stranger takes the slot of a conversation that has ended, though it was used later."""
    bench = Bench(DeviceLimits(slots=2, context=256, n_batch=64))
    first = bench.submit("first", ids("a" * 60), 4)
    bench.run()
    bench.submit("ended", ids("b" * 60), 1, final=True)
    bench.run()
    bench.submit("stranger", ids("z" * 60), 1, final=True)
    bench.run()
    second = bench.submit("second", (*first.prompt, 1001, 1002, 1003, *ids(" and then?")), 1, final=True)
    bench.run()
    assert second.reused == len(first.prompt) + 3


FIXED = DeviceLimits(slots=4, context=256, n_batch=64, min_copy=1, fixed_pieces=8)


def test_with_fixed_pieces_a_conversation_still_goes_on_from_all_that_is_there() -> None:
    """The next turn's prompt is cut where the reply began, so that the first one's last, short piece is one of its."""
    bench = Bench(FIXED)
    first = bench.submit("1", ids("hello there"), 4)
    bench.run()
    prompt = (*first.prompt, 1001, 1002, 1003, 1004, *ids(" and then?"))
    second = bench.submit("2", prompt, 2, replies=((11, 15),))
    bench.run()
    assert second.reused == 14


def test_with_fixed_pieces_beginnings_are_shared_by_the_piece() -> None:
    """20 ids are the same: two pieces of 8 are taken over, and the third is computed by each with its own ids."""
    bench = Bench(FIXED)
    for name in ("one", "two", "other"):
        bench.submit(name, ids("s" * 20 + name), 9)
    bench.run()
    assert [bench.works[name].reused for name in ("one", "two", "other")] == [0, 16, 16]


def test_with_fixed_pieces_the_same_ids_are_no_beginning_where_they_were_drawn() -> None:
    """What was drawn id by id is not what a prompt with those ids computes in pieces."""
    bench = Bench(FIXED)
    first = bench.submit("1", ids("s" * 10), 20)
    bench.run()
    quoted = bench.submit("2", (*first.prompt, *range(1001, 1020), *ids("and so on")), 1)
    bench.run()
    assert quoted.reused == 8


def test_with_fixed_pieces_prompts_and_conversations_take_turns() -> None:
    """A prompt's piece is computed by itself; conversations wait for as many prompt tokens as a step may prefill."""
    bench = Bench(FIXED)
    bench.submit("talker", ids("hi"), 60)
    bench.step()
    bench.scheduler.chunk = 16
    bench.submit("reader", tuple(range(48)), 1)
    lengths = []
    for _ in range(6):
        before = bench.computed
        bench.step()
        lengths.append(bench.computed - before)
    assert lengths == [8, 8, 0, 8, 8, 0]


def test_twins_go_on_from_their_own_cells_where_a_copy_does_not_pay() -> None:
    """Two conversations with one text: the second's next turn is not computed again because the first's is running."""
    bench = Bench(DeviceLimits(slots=4, context=256, n_batch=64, min_copy=200))
    firsts = [bench.submit(name, ids("a" * 30), 4) for name in ("1", "2")]
    bench.run()
    prompt = (*firsts[0].prompt, 1001, 1002, 1003, *ids(" and then?"))
    seconds = [bench.submit(name, prompt, 1, final=True) for name in ("1.2", "2.2")]
    bench.run()
    assert min(work.reused for work in seconds) >= len(firsts[0].prompt) + 3


def test_after_a_failed_decode_nothing_is_believed() -> None:
    """Running requests fail and every cell is dropped; waiting requests continue."""
    bench = Bench(DeviceLimits(slots=1, context=64, n_batch=16))
    running = bench.submit("running", ids("aaaa"), 9)
    bench.submit("waiting", ids("aaaa"), 1)
    bench.step()
    assert bench.scheduler.abandon_all() == [running]
    bench.device.clear()
    bench.ended.append("running")
    bench.run()
    assert bench.works["waiting"].reused == 0
