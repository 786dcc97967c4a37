"""A text given by somebody: how likely its own tokens are, and what follows. Rows are read one by one in the engine.

The result of a task, which is stored until it is handed out: `text`; `prompt_tokens`; `reply`, `reply_tokens`,
`finish_reason` and `stop_string`; and, where log-probabilities were asked for, `echoed` and `chances`: of the text's
tokens and the reply's, each a list [text, logarithm (null: nothing stands before it), [[text, logarithm], ...]].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import ContextError, ParameterError
from nightjar.jobs.parameters import Parameters, ParameterSource, resolve
from nightjar.workers.conversation.turns import token_chances
from nightjar.workers.engine.request import Engine, Generation, Request, Scored, ScoreRequest

MOST_VALUES = 200_000
"""Log-probabilities in one result: more would not fit into one document of MongoDB."""
_NEUTRAL = Parameters(temperature=0)
_DRAWING = (
    "logit_bias repeat_penalty frequency_penalty presence_penalty dry_multiplier stop grammar json_schema"
).split()
"""Of the parameters, those by which a greedy reply is not simply the likeliest token."""


@dataclass(frozen=True, kw_only=True)
class GivenText:
    """A text, its ids, and what is wanted of it."""

    id: str
    text: str
    ids: tuple[int, ...]
    echo: bool
    """The text itself is part of the answer."""
    likely: int | None
    """How many likely tokens in the place of each; None: no log-probabilities."""
    max_tokens: int
    """0: nothing follows."""
    seed: int
    parameters: Parameters

    @property
    def scored(self) -> bool:
        return self.echo and self.likely is not None


def given_parameters(
    asked: Mapping[str, Any], registry: Mapping[str, Any], defaults: Mapping[str, Any], likely: int | None
) -> Parameters:
    """As those of a turn are found. Raises ParameterError."""
    layers = [(ParameterSource.GGUF, defaults), (ParameterSource.REGISTRY, registry), (ParameterSource.SUITE, asked)]
    top = {} if likely is None else {"top_logprobs": max(1, likely)}
    return resolve([*layers, (ParameterSource.SET, top)]).values


async def complete_given(asked: GivenText, engine: Engine) -> dict[str, Any]:
    """Scores the text where that is wanted, and goes on with it.

    Raises ContextError where it does not fit, ParameterError where so many values cannot be handed out, and as
    `Engine.score` and `Engine.generate` do.
    """
    _check(asked, engine)
    scored = await _score(asked, engine) if asked.scored else None
    generation = None
    if asked.max_tokens and (scored is None or not _knows_reply(asked, scored, engine)):
        generation = await engine.generate(_request(asked, engine))
    said = _said(asked, scored, generation, engine)
    return {"text": asked.text if asked.echo else "", "prompt_tokens": len(asked.ids), **said}


def _check(asked: GivenText, engine: Engine) -> None:
    context, needed = engine.load.context, len(asked.ids) + (asked.max_tokens > 0)
    if not asked.ids:
        raise ParameterError("The text to go on with is empty.")
    if needed > context:
        raise ContextError(
            f"The text has {len(asked.ids)} tokens, and the model's context here holds {context} with a reply.",
            tokens=needed,
            context=context,
        )
    values = len(asked.ids) * (1 + (asked.likely or 0))
    if asked.scored and values > MOST_VALUES:
        raise ParameterError(
            f"{values:,} log-probabilities are more than the {MOST_VALUES:,} of one answer. Ask for fewer likely ones "
            "(`logprobs`), or for a part of the text at a time."
        )


async def _score(asked: GivenText, engine: Engine) -> Scored:
    """Of all ids but the first, and of one more: its row says which token would follow."""
    following = asked.ids[-1:] if asked.max_tokens else ()
    continuation = (*asked.ids[1:], *following)
    if not continuation:
        return Scored(logprobs=(), greedy=())
    request = ScoreRequest(
        id=f"{asked.id}.given",
        context=asked.ids[:1],
        continuations=(continuation,),
        top=max(1, asked.likely or 0),
    )
    [scored] = (await engine.score(request)).scored
    return scored


def _knows_reply(asked: GivenText, scored: Scored, engine: Engine) -> bool:
    """Whether the reply is the likeliest token after the text, and nothing more: evaluation harnesses ask for one."""
    parameters = asked.parameters
    neutral = all(getattr(parameters, name) == getattr(_NEUTRAL, name) for name in _DRAWING)
    greedy = asked.max_tokens == 1 and parameters.temperature == 0 and neutral
    return greedy and bool(engine.tokenizer.detokenize([scored.likeliest[-1][0][0]]))  # a control token may end it


def _request(asked: GivenText, engine: Engine) -> Request:
    room = max(1, engine.load.context - len(asked.ids))
    return Request(
        id=f"{asked.id}.reply",
        prompt=asked.ids,
        max_tokens=min(asked.max_tokens, room),
        parameters=asked.parameters,
        seed=asked.seed,
        final=True,
    )


def _said(asked: GivenText, scored: Scored | None, generation: Generation | None, engine: Engine) -> dict[str, Any]:
    """The reply and the log-probabilities, as the result has them."""
    texts: dict[int, str] = {}

    def text(token: int) -> str:
        if token not in texts:
            texts[token] = engine.tokenizer.detokenize([token])
        return texts[token]

    said: dict[str, Any] = {"reply": "", "reply_tokens": 0, "finish_reason": "length", "stop_string": None}
    chances: list[Any] = []
    if generation is not None:
        said["reply"], said["reply_tokens"] = generation.text, len(generation.token_ids)
        said["finish_reason"], said["stop_string"] = generation.finish_reason, generation.stop_string
        kept = token_chances(generation, engine.tokenizer)
        chances = [[one.text, one.logprob, [list(likely) for likely in one.top[: asked.likely or 0]]] for one in kept]
    elif scored is not None and asked.max_tokens:
        token, logprob = scored.likeliest[-1][0]
        said["reply"], said["reply_tokens"] = text(token), 1
        chances = [[text(token), logprob, _likely(scored.likeliest[-1], asked, text)]]
    if asked.likely is not None:
        said["echoed"] = [] if scored is None else _echoed(asked, scored, text)
        said["chances"] = chances
    return said


def _echoed(asked: GivenText, scored: Scored, text: Callable[[int], str]) -> list[Any]:
    rows = zip(asked.ids[1:], scored.logprobs, scored.likeliest, strict=False)  # there may be one more row
    return [
        [text(asked.ids[0]), None, []],
        *([text(token), logprob, _likely(likeliest, asked, text)] for token, logprob, likeliest in rows),
    ]


def _likely(row: Sequence[tuple[int, float]], asked: GivenText, text: Callable[[int], str]) -> list[Any]:
    return [[text(token), logprob] for token, logprob in row[: asked.likely or 0]]
