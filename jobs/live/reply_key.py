"""Which live requests may be given a reply that was computed before, and what makes two of them the same. Pure."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.identity import digest
from nightjar.jobs.live_request import LiveAsk, live_sequence
from nightjar.jobs.models import ModelFacts
from nightjar.jobs.parameters import Parameters, ParameterSource, resolve


class CacheMode(StrEnum):
    """Which of a caller's requests may be given an earlier reply."""

    OFF = "off"
    DETERMINISTIC = "deterministic"
    """Those that would get the same again: with a seed, or at temperature 0."""
    ALL = "all"


def reply_key(ask: LiveAsk, facts: ModelFacts, mode: CacheMode, nth: int = 0) -> str | None:
    """The same for requests of one user that differ in nothing that reaches the model; None: not to be looked up.

    `nth`: how many equal ones the same request has before this one, so that choices are no copies of each other.
    Raises ParameterError, UsageError.
    """
    if mode is CacheMode.OFF or not ask.store:
        return None
    values = resolve(
        [
            (ParameterSource.GGUF, facts.sampling_defaults),
            (ParameterSource.REGISTRY, facts.registry_parameters),
            (ParameterSource.SUITE, ask.parameters),
        ]
    ).values
    if values.memory is not None:
        return None  # what is remembered changes from request to request
    if mode is CacheMode.DETERMINISTIC and not _deterministic(ask, values):
        return None
    return digest(
        NIGHTJAR_VERSION,
        ask.user,
        facts.digest,
        facts.template_digest,
        live_sequence(replace(ask, parameters={}), "cached").digest,
        values.model_dump(mode="json"),
        ask.seed,
        nth,
    )


def _deterministic(ask: LiveAsk, values: Parameters) -> bool:
    return ask.seed is not None or values.temperature == 0
