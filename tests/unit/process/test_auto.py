"""A worker that serves the model with the largest backlog: switching, failing models, several places, idleness."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.jobs.backlog import Waiting
from nightjar.jobs.live.places import ModelWanted
from nightjar.jobs.models import ModelKind
from nightjar.workers.process.auto import AutoWorkers, Outlook, ServingPlace
from nightjar.workers.process.choose_model import IDLE_S, PREEMPTS_EVERY_S, Backlog
from nightjar.workers.process.gpus import Card, Pin
from nightjar.workers.process.survey import Loadable, backlogs

GB = 10**9


@dataclass(eq=False)
class FakeProcess:
    model: str
    place: str | None
    returncode: int | None = None
    signals: list[int] = field(default_factory=list)

    def send_signal(self, signum: int, /) -> None:
        self.signals.append(signum)
        self.returncode = 0

    async def wait(self) -> int:
        assert self.returncode is not None, "nobody told it to end"
        return self.returncode


class World:
    """Jobs by model, started processes, a clock moved by hand."""

    def __init__(self, *cards: str, **waiting: int) -> None:
        self.waiting = waiting
        self.started: list[FakeProcess] = []
        self.now = 0.0
        pins = [Pin(card=Card(index=str(n), uuid=uuid, name=uuid, memory_bytes=None)) for n, uuid in enumerate(cards)]
        self.places = [ServingPlace(pin=pin, room_bytes=8 * GB) for pin in pins or [Pin(cpu_only=True)]]
        self.idle_exit_s: float | None = None
        self.asking: set[str] = set()
        self.live_preempts = False
        self.first = asyncio.Event()

    def roamer(self) -> AutoWorkers:
        return AutoWorkers(
            self.places,
            self.look,
            self.start,
            live_preempts=self.live_preempts,
            idle_exit_s=self.idle_exit_s,
            poll_s=0.001,
            clock=lambda: self.now,
        )

    async def look(self, place: ServingPlace, ours: Mapping[str, int]) -> Outlook:
        here = dict.fromkeys(self.waiting, Loadable(kind=ModelKind.CHAT, memory_bytes=GB, tags=()))
        waiting = {model: Waiting(due=count) for model, count in self.waiting.items()}
        busy = frozenset(model for model, count in self.waiting.items() if count)
        wanted = dict.fromkeys(self.asking, ModelWanted(pinned=False, live=True, asking=True))
        return Outlook(backlogs=backlogs(waiting, here, ours, place.failures, wanted), busy=busy)

    async def start(self, model: str, pin: Pin) -> FakeProcess:
        self.started.append(FakeProcess(model, pin.gpu))
        self.first.set()
        return self.started[-1]

    async def turns(self, roamer: AutoWorkers) -> list[str | None]:
        for place in self.places:
            await roamer.turn(place)
        return [place.model for place in self.places]


async def test_it_switches_when_a_model_is_done() -> None:
    """The largest backlog first; the next in a fresh process, after the old one has ended."""
    world = World(a=9, b=5)
    roamer = world.roamer()
    assert await world.turns(roamer) == ["a"]
    world.waiting["a"] = 0
    assert await world.turns(roamer) == ["a"]
    world.now = IDLE_S
    assert await world.turns(roamer) == ["b"]
    first, second = world.started
    assert (first.signals, first.returncode) == ([signal.SIGTERM], 0)
    assert (second.model, second.returncode) == ("b", None)


async def test_a_place_at_work_makes_room_for_a_live_request_once_in_ten_minutes() -> None:
    """Only with the flag; its worker drains, and the work is taken up again when nobody asks any more."""
    world = World(a=99, b=0, c=0)
    roamer = world.roamer()
    await world.turns(roamer)
    world.asking = {"b"}
    assert await world.turns(roamer) == ["a"], "without the flag it stays at work"
    assert roamer.preempts_in_s is None
    world.live_preempts = True
    roamer = world.roamer()
    assert roamer.preempts_in_s == 0
    assert await world.turns(roamer) == ["b"]
    assert world.started[0].signals == [signal.SIGTERM]
    world.asking, world.now = set(), IDLE_S
    assert await world.turns(roamer) == ["a"]
    world.asking, world.now = {"c"}, PREEMPTS_EVERY_S - 1
    assert await world.turns(roamer) == ["a"], "it was taken from its work a while ago"
    assert roamer.preempts_in_s == 1
    world.now = PREEMPTS_EVERY_S
    assert await world.turns(roamer) == ["c"]


async def test_two_places_share_the_work() -> None:
    """The second card takes the second model; with one large backlog left they both serve it."""
    world = World("GPU-1", "GPU-2", a=9, b=5)
    roamer = world.roamer()
    assert await world.turns(roamer) == ["a", "b"]
    world.waiting = {"a": 40, "b": 0}
    world.now = IDLE_S
    assert await world.turns(roamer) == ["a", "a"]
    assert [process.place for process in world.started] == ["GPU-1", "GPU-2", "GPU-2"]


async def test_a_model_that_cannot_be_loaded_is_given_up() -> None:
    """Not tried forever: the place remembers it and takes the next model."""
    world = World(a=9, b=1)
    roamer = world.roamer()
    await world.turns(roamer)
    world.started[0].returncode = 1
    assert await world.turns(roamer) == ["b"]
    world.waiting["a"] = 10_000
    world.now = 10_000
    assert await world.turns(roamer) == ["b"]
    assert "exit code 1" in world.places[0].failures["a"]


async def test_a_worker_that_ended_by_itself_is_started_again() -> None:
    """A clean end is not a failure."""
    world = World(a=9)
    roamer = world.roamer()
    await world.turns(roamer)
    world.started[0].returncode = 0
    assert await world.turns(roamer) == ["a"]
    assert len(world.started) == 2


async def test_it_ends_when_idle() -> None:
    """After the given time without a job the last worker is stopped too."""
    world = World(a=1)
    world.idle_exit_s = 60
    roamer = world.roamer()
    running = asyncio.create_task(roamer.run())
    await world.first.wait()
    world.waiting["a"] = 0
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not running.done()
    world.now = 61
    assert await asyncio.wait_for(running, 5) is True, "for want of work"
    assert world.started[0].signals == [signal.SIGTERM]


async def test_it_says_which_models_none_of_its_places_can_serve() -> None:
    """Only those that hold at every place, and only once every place has looked."""
    world = World("GPU-1", "GPU-2", a=1)
    roamer = world.roamer()
    assert roamer.cannot == {}
    world.places[0].room_bytes = GB // 2
    await roamer.turn(world.places[0])
    assert roamer.cannot == {}, "the other place has not looked yet"
    await roamer.turn(world.places[1])
    assert roamer.cannot == {}, "the other place can"
    world.places[1].failures["a"] = "it is broken"
    await roamer.turn(world.places[1])
    assert list(roamer.cannot) == ["a"]


def test_backlogs_join_what_is_known() -> None:
    """Waiting jobs, this host's files, other workers, failures."""
    [found] = backlogs(
        {"a": Waiting(due=3, running=2)},
        {"a": Loadable(kind=ModelKind.CHAT, memory_bytes=5, tags=("judge",))},
        {"a": -1},
        {"a": "broken"},
    )
    assert found == Backlog(
        model="a", waiting=3, kind=ModelKind.CHAT, tags=("judge",), memory_bytes=5, workers=0, failure="broken"
    )
