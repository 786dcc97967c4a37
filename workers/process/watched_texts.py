"""The texts of replies while they grow: published for whoever watches them, and never waited for by a job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from time import monotonic

import structlog

from nightjar.config.errors import ServiceError
from nightjar.jobs.documents import Job
from nightjar.jobs.live import bell as live_bell
from nightjar.jobs.live.text import TextMessage, TextPart
from nightjar.jobs.periodic import end_task, every
from nightjar.jobs.queue import Doorbell
from nightjar.workers.conversation.replier import SplitText

TEXT_EVERY_S = 0.04
"""Between two handovers of text; the first text of a turn does not wait."""
LOOK_EVERY_S = 1.0
_log = structlog.get_logger()


class GrowingText:
    """A `Listener` to one turn: it collects what the engine hands over, and knows what of it was published."""

    def __init__(self, job: Job, turn: int, hurry: Callable[[bool], None], *, wanted: bool) -> None:
        """`hurry`: called where there is something to publish; with True where that is the first text."""
        self.wanted = wanted
        self.turn = turn
        self.fence = job.fence
        self.ended = False
        self._hurry = hurry
        self._begun = 0
        self._raw: list[str] = []
        self._split: SplitText = _whole
        self._published = dict.fromkeys(TextPart, "")

    def begin(self, split: SplitText) -> None:
        if self._raw:  # what was said so far is void
            self._begun += 1
            self.from_the_beginning()
        self._raw, self._split = [], split

    def take(self, text: str) -> None:
        first = not self._raw
        self._raw.append(text)
        if self.wanted:
            self._hurry(first)

    def end(self) -> None:
        """What became of the turn is in MongoDB now."""
        self.ended = True
        self._hurry(False)

    def from_the_beginning(self) -> None:
        """Somebody new watches: all text so far is published again."""
        self._published = dict.fromkeys(TextPart, "")

    def unpublished(self) -> list[TextMessage]:
        """What is to be published now. Text that turns out to be reasoning after all is not taken back."""
        if not self._raw:
            return []
        self._raw = ["".join(self._raw)]
        reasoning, reply = self._split(self._raw[0])
        messages = []
        for part, text in ((TextPart.REASONING, reasoning), (TextPart.REPLY, reply)):
            known = self._published[part]
            if len(text) > len(known) and text.startswith(known):
                fresh = TextMessage(
                    fence=self.fence,
                    begun=self._begun,
                    turn=self.turn,
                    part=part,
                    offset=len(known),
                    text=text[len(known) :],
                )
                messages.append(fresh)
                self._published[part] = text
        return messages


def _whole(raw: str) -> tuple[str, str]:
    return "", raw


class WatchedTexts:
    """Of all jobs that one worker holds. Losing Redis loses text, and nothing else."""

    def __init__(self, doorbell: Doorbell, unwatched: Callable[[str], None]) -> None:
        """`unwatched`: called with each live job that nobody watches any more."""
        self._doorbell = doorbell
        self._unwatched = unwatched
        self._texts: dict[str, GrowingText] = {}
        self._seen: dict[str, float] = {}
        """Live job -> when somebody was last known to watch it."""
        self._more, self._first = asyncio.Event(), asyncio.Event()

    def listen(self, job: Job, turn: int) -> GrowingText:
        """What listens to the turn's generation. A live job's text is wanted at once: somebody waits for it."""
        live = job.live is not None
        watched = job.id in self._texts and self._texts[job.id].wanted
        text = GrowingText(job, turn, self._hurry, wanted=live or watched)
        self._texts[job.id] = text
        if live:
            self._seen.setdefault(job.id, monotonic())
        return text

    def _hurry(self, first: bool) -> None:
        self._more.set()
        if first:
            self._first.set()

    def end(self, job: Job) -> None:
        """The job was committed, failed or given back; those who watch it look into MongoDB. It may be held again."""
        text = self._texts.get(job.id)
        if text is None and job.live is not None:
            text = self.listen(job, 0)
        if text is not None and text.fence == job.fence:
            text.end()

    def again(self, job: str) -> None:
        """Somebody missed some of the job's text."""
        if (text := self._texts.get(job)) is not None:
            text.wanted = True
            text.from_the_beginning()
            self._hurry(False)

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes and looks who watches, until `stop` is set."""
        publishing = asyncio.create_task(self._publish_all())
        try:
            await every(LOOK_EVERY_S, self.look, stop, name="watched")
        finally:
            await self._publish()
            await end_task(publishing)
            await self._doorbell.close()

    async def look(self) -> None:
        """Which jobs are watched now. A live one that nobody watches for long is reported."""
        known: Mapping[str, GrowingText] = dict(self._texts)
        try:
            watched = await live_bell.which_are_watched(self._doorbell, known)
        except ServiceError:
            self._seen = dict.fromkeys(self._seen, monotonic())  # it is not known who watches
            return
        for job, text in known.items():
            if job in watched:
                self._seen.update({job: monotonic()} if job in self._seen else {})
                if not text.wanted:
                    text.wanted = True
                    text.from_the_beginning()
            elif job not in self._seen:
                text.wanted = False
            elif monotonic() - self._seen[job] > live_bell.WATCH_S:
                self._unwatched(job)

    async def _publish_all(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            self._first.clear()
            try:
                await self._publish()
            except Exception:  # a defect: it costs this text, and the commit has it
                _log.exception("texts_not_published")
            with contextlib.suppress(TimeoutError):  # the first text of a reply does not wait for others'
                await asyncio.wait_for(self._first.wait(), TEXT_EVERY_S)

    async def _publish(self) -> None:
        messages: list[tuple[str, bytes]] = []
        for job, text in list(self._texts.items()):
            if text.wanted:
                messages += [(job, message.dump()) for message in text.unpublished()]
            if text.ended:
                messages += [(job, TextMessage(fence=text.fence, ended=True).dump())] if text.wanted else []
                del self._texts[job]
                self._seen.pop(job, None)
        if messages:
            with contextlib.suppress(ServiceError):
                await live_bell.publish_text(self._doorbell, messages)
