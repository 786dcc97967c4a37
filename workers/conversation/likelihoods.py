"""Turns whose given texts are scored: the engine says how likely they are, and nothing is generated."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nightjar.jobs.documents import Job, Run
from nightjar.jobs.identity import digest, turn_seed
from nightjar.jobs.parameters import Resolved
from nightjar.jobs.records import Draw, Likelihoods, ScoredChoice, ScoredText, Timings, TurnRecord
from nightjar.jobs.sequences import Choices, TextRule
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.workers.conversation.choice_ids import ChoicePlan
from nightjar.workers.conversation.replier import Listener, PromptFacts, Reply, Watch
from nightjar.workers.conversation.text_windows import Vocabulary, plan_windows
from nightjar.workers.engine.request import Engine, Scored, ScoreRequest, ScoreResult


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """What scoring a turn gave."""

    found: Likelihoods
    prompt: str
    ids_digest: str
    """Of all token ids that were given and scored."""
    chosen: str
    """The likeliest choice; "" for a text."""
    computed: int
    reused: int
    system_merged: bool = False


class LikelihoodDialogue:
    """A `Dialogue` whose turns are scored, each by itself."""

    def __init__(
        self,
        engine: Engine,
        job: Job,
        run: Run,
        sequence: PromptSequence,
        *,
        choices: Callable[[int, Choices], Awaitable[ChoicePlan]],
        text_ids: Callable[[str], Awaitable[list[int]]],
        parameters: Callable[[int], Resolved],
        watch: Watch,
    ) -> None:
        """`choices`: the plan of a turn that has some. `text_ids`: a plain text's ids. `parameters`: a turn's, for the
        record."""
        self._engine = engine
        self._job = job
        self._run = run
        self._sequence = sequence
        self._plan = choices
        self._text_ids = text_ids
        self._parameters = parameters
        self._watch = watch

    async def reply(self, history: Sequence[TurnRecord], listener: Listener | None = None) -> Reply:
        """See `Dialogue.reply`; nobody hears anything, since nothing is written."""
        index, began = len(history), time.monotonic()
        resolved = self._parameters(index)
        choices = self._sequence.turns[index].choices
        weighed = await (self._weigh_text(index) if choices is None else self._weigh(index, choices))
        prompt = PromptFacts(
            text=weighed.prompt,
            tokens=weighed.computed + weighed.reused,
            reused_tokens=weighed.reused,
            digest=weighed.ids_digest,
            policy=resolved.values.policy,
            system_merged=weighed.system_merged,
        )
        draw = Draw(
            seed=turn_seed(self._run.seed, self._job.sequence_digest, self._job.repeat, index),
            reply=weighed.chosen,
            reply_ids=(),
            raw_text=weighed.chosen,
            finish_reason="stop",
            timings=Timings(queue_s=0.0, prefill_s=time.monotonic() - began, decode_s=0.0),
        )
        return Reply(prompt=prompt, draws=(draw,), parameters=resolved, likelihoods=weighed.found)

    async def _weigh(self, index: int, choices: Choices) -> Weighed:
        plan = await self._plan(index, choices)
        results = []
        for at, (context, places) in enumerate(plan.by_context.items()):
            continuations = tuple(plan.choices[place].continuation for place in places)
            results.append(await self._score(f"{self._name(index)}.{at}", context, continuations))
        return weighed_choices(plan, choices, results)

    async def _weigh_text(self, index: int) -> Weighed:
        text, rule, engine = self._sequence.turns[index].prompt, self._sequence.text_rule or TextRule(), self._engine
        ids = await self._text_ids(text)
        plan = plan_windows(ids, rule, rule_vocabulary(engine))
        name = self._name(index)
        total: list[float] = []
        results: list[ScoreResult] = []
        for at, window in enumerate(plan.windows):
            result = await self._score(f"{name}.{at}", window.context, (window.scored,))
            total.append(math.fsum(result.scored[0].logprobs))
            results.append(result)
        found = ScoredText(
            logprob=math.fsum(total),
            tokens=plan.tokens,
            left_out=plan.left_out,
            windows=len(plan.windows),
            window=plan.window,
            score_from=plan.score_from,
            bos=plan.bos,
            words=len(re.split(r"\s+", text)) if rule.words is None else rule.words,
            bytes=len(text.encode()) if rule.bytes is None else rule.bytes,
        )
        return Weighed(
            found=Likelihoods(layout=_layout(results), text=found),
            prompt=text,
            ids_digest=digest("windows", ids, plan.window, plan.score_from, plan.bos),
            chosen="",
            computed=sum(result.computed_tokens for result in results),
            reused=sum(result.reused_tokens for result in results),
        )

    async def _score(
        self, name: str, context: tuple[int, ...], continuations: tuple[tuple[int, ...], ...]
    ) -> ScoreResult:
        async with self._watch(name):
            return await self._engine.score(ScoreRequest(id=name, context=context, continuations=continuations))

    def _name(self, index: int) -> str:
        return f"{self._job.id}.{self._job.fence}.{index}"


def weighed_choices(plan: ChoicePlan, choices: Choices, results: Sequence[ScoreResult]) -> Weighed:
    """The record of a turn's choices from what the engine said of each context. Pure."""
    places = [place for places in plan.by_context.values() for place in places]
    found = dict(zip(places, (scored for result in results for scored in result.scored), strict=True))
    listed = tuple(_choice(text, found[place], plan.choices[place].merged) for place, text in enumerate(choices.texts))
    best = max(range(len(listed)), key=lambda at: listed[at].logprob)
    return Weighed(
        found=Likelihoods(layout=_layout(results), choices=listed),
        prompt=plan.prompt,
        ids_digest=digest("scored", [[choice.context, choice.continuation] for choice in plan.choices]),
        chosen=choices.shown(best),
        computed=sum(result.computed_tokens for result in results),
        reused=sum(result.reused_tokens for result in results),
        system_merged=plan.system_merged,
    )


def _choice(text: str, scored: Scored, merged: bool) -> ScoredChoice:
    return ScoredChoice(
        logprob=math.fsum(scored.logprobs),
        tokens=len(scored.logprobs),
        characters=len(text),
        bytes=len(text.encode()),
        greedy=all(scored.greedy),
        merged=merged,
    )


def _layout(results: Sequence[ScoreResult]) -> str:
    return " and ".join(sorted({result.layout for result in results}))


def rule_vocabulary(engine: Engine) -> Vocabulary:
    """What the rules for texts need to know of the engine's model."""
    tokenizer = engine.tokenizer

    def single(text: str) -> int | None:
        ids = tokenizer.tokenize(text, parse_special=True) if text else []
        return ids[0] if len(ids) == 1 else None

    asked = tokenizer.bos
    return Vocabulary(
        bos=single(engine.bos_text) if asked is None else asked,
        eos=single(engine.eos_text),
        asked_bos=asked is not None,
        context=engine.load.context,
    )
