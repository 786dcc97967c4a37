"""What can be said of a run's models at endpoints before anything is sent: what they cannot do, what they may cost.
Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightjar.config.errors import ModelError, ParameterError, UsageError
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.parameters import Parameters, Policy
from nightjar.jobs.remote_models import NEVER, SEEDED, Price, TokenUse, unsent, usd_text
from nightjar.jobs.sequences import Mode
from nightjar.pipeline.routing.route import Routed

ASSUMED_REPLY_TOKENS = 300
CHARS_PER_TOKEN = 4
DEFAULT_MAX_TOKENS: int = Parameters().max_tokens


@dataclass(frozen=True, kw_only=True)
class PlannedSequence:
    """What of a sequence bears on what it costs and on who can answer it."""

    id: str
    mode: Mode
    given_chars: int
    """Of the system prompt, documents, fixed messages and tools, which every turn is given again."""
    prompt_chars: tuple[int, ...]
    asked: tuple[Mapping[str, Any], ...]
    """The parameters that suite and turn set, a mapping a turn."""
    scored_chars: tuple[int, ...] = ()
    """Of the given texts of each turn that are scored in the place of a reply; empty where replies are generated."""
    has_reference: tuple[bool, ...] = ()
    withheld: bool = False
    """Its texts are not here, and their lengths are unknown."""


def planned_sequence(stored: Mapping[str, Any]) -> PlannedSequence:
    """From a stored sequence."""
    given = [stored.get("system") or "", *(document["text"] for document in stored.get("documents", ()))]
    given += [message.get("text", "") for message in stored.get("messages", ())]
    given += [json.dumps(tool) for tool in stored.get("tools", ())]
    own = stored.get("parameters", {})
    return PlannedSequence(
        id=stored["id"],
        mode=Mode(stored.get("mode", Mode.CHAT)),
        given_chars=sum(map(len, given)),
        prompt_chars=tuple(len(turn["prompt"]) for turn in stored["turns"]),
        asked=tuple({**own, **turn.get("parameters", {})} for turn in stored["turns"]),
        scored_chars=_scored_chars(stored),
        has_reference=tuple(turn.get("reference") is not None for turn in stored["turns"]),
        withheld=bool(stored.get("withheld")),
    )


def _scored_chars(stored: Mapping[str, Any]) -> tuple[int, ...]:
    turns = stored["turns"]
    if stored.get("mode") == Mode.PERPLEXITY:
        return (0,) * len(turns)  # the prompt is the text
    choices = [turn.get("choices") for turn in turns]
    if not any(choices):
        return ()
    return tuple(sum(map(len, [*each["texts"], *each.get("contexts", ())])) if each else 0 for each in choices)


def check_remote(
    facts: ModelFacts, sequences: Iterable[PlannedSequence], layers: Sequence[Mapping[str, Any]], *, seeded: bool
) -> set[str]:
    """The parameters that the endpoint will not be given. `layers`: what is set above suite and turn, one for each of
    the model's contestants; `seeded`: somebody gave a seed.

    Raises ParameterError, ModelError for what a remote model cannot do.
    """
    remote = facts.remote
    assert remote is not None
    if seeded and remote.dialect not in SEEDED:
        raise ParameterError(
            f"--seed means nothing to {facts.name!r}: its endpoint takes none. Leave --seed out, or give that model a "
            "run of its own."
        )
    left_out: set[str] = set()
    for sequence in sequences:
        if sequence.mode is Mode.COMPLETION:
            raise ModelError(
                f"Sequence {sequence.id!r} is `mode: completion`, and {facts.name!r} answers chats at an endpoint. "
                "Take a local base model for it."
            )
        for turn, asked in enumerate(sequence.asked, start=1):
            for above in layers:
                values = {**facts.registry_parameters, **asked, **above}
                _refuse(facts.name, values, f"sequence {sequence.id!r}, turn {turn}")
                left_out |= set(unsent(remote.dialect, values))
    return left_out


def _refuse(name: str, values: Mapping[str, Any], where: str) -> None:
    for key in sorted(NEVER & values.keys()):
        if values[key]:
            raise ParameterError(
                f"{key} is set ({where}), and {name!r} at its endpoint cannot do that. Leave it out, or leave out "
                "that model."
            )
    if values.get("policy") == Policy.SUMMARISE:
        raise ParameterError(
            f"policy is summarise ({where}), and {name!r} at its endpoint cannot do that. Take trim or full, for "
            f"example --set {name}:policy=trim."
        )


def check_budget(budget: float | None, models: Iterable[ModelFacts]) -> None:
    """Raises UsageError where a budget could not be kept: the price of a model is unknown."""
    unknown = [facts.name for facts in models if facts.remote is not None and facts.remote.price is None]
    if budget is not None and unknown:
        raise UsageError(
            f"--budget {budget:g} cannot be kept: nobody knows the price of {', '.join(unknown)}. Set "
            "`price = {input = 0.15, output = 0.6}` in models.toml (US dollars per million tokens; 0 where it is free)."
        )


@dataclass(frozen=True, kw_only=True)
class ExpectedCost:
    """Of one model's replies in a run, in US dollars; what judging them costs is expected by itself."""

    model: str
    usd: float
    most_usd: float

    def sentence(self) -> str:
        """With its assumptions."""
        return (
            f"{self.model} will cost about {usd_text(self.usd)} for its replies, assuming {CHARS_PER_TOKEN} characters "
            f"a token and replies of up to {ASSUMED_REPLY_TOKENS} tokens; {usd_text(self.most_usd)} if all use their "
            "max_tokens."
        )


def expected_cost(
    name: str,
    price: Price,
    sequences: Iterable[PlannedSequence],
    layers: Sequence[Mapping[str, Any]],
    *,
    below: Mapping[str, Any],
    repeats: int,
    reply_tokens: int = ASSUMED_REPLY_TOKENS,
) -> ExpectedCost:
    """What a model's replies will cost, one conversation for each sequence, layer and repeat.

    `below`: the registry's parameters, under those of suite and turn. `reply_tokens`: what a reply is assumed to have.
    """
    about = most = 0.0
    for sequence in sequences:
        for above in layers:
            limits = reply_limits(sequence, above, below)
            about += sum(map(price.cost, _uses(sequence, [min(reply_tokens, limit) for limit in limits])))
            most += sum(map(price.cost, _uses(sequence, limits)))
    return ExpectedCost(model=name, usd=about * repeats, most_usd=most * repeats)


def reply_limits(sequence: PlannedSequence, above: Mapping[str, Any], below: Mapping[str, Any]) -> list[int]:
    """The most tokens of each reply. `above`, `below`: the parameters over and under those of suite and turn."""
    return [{**below, **asked, **above}.get("max_tokens", DEFAULT_MAX_TOKENS) for asked in sequence.asked]


def planned_shares(
    name: str, models: Collection[str], routes: Mapping[str, Mapping[str, Routed]], planned: Sequence[PlannedSequence]
) -> dict[str, list[PlannedSequence]]:
    """What a model is asked for itself, where it is one of the run's `models`, and for each policy. A policy's other
    candidates may hand more to it.
    """
    shares = {name: list(planned)} if name in models else {}
    for policy, routed in routes.items():
        mine = [each for each in planned if routed[each.id].models[0] == name]
        if mine:
            shares[f"{name} (for {policy})"] = mine
    return shares


def _uses(sequence: PlannedSequence, replies: Sequence[int]) -> Iterator[TokenUse]:
    """Each turn is given all that was said before it."""
    history = 0
    for chars, reply in zip(sequence.prompt_chars, replies, strict=True):
        prompt = (sequence.given_chars + chars) // CHARS_PER_TOKEN + 1
        yield TokenUse(prompt=prompt + history, reply=reply)
        if sequence.mode is not Mode.INDEPENDENT:
            history += chars // CHARS_PER_TOKEN + reply
