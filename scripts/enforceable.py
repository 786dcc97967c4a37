"""Whether what a suite or a run asks for can be had: asked when it is read, not found out at night by every job.

Only here do suites and the engine meet: what can be enforced is for the engine to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nightjar.config.errors import ParameterError, SuiteError

if TYPE_CHECKING:
    from nightjar.pipeline.suites.content import SuiteContent


def check_enforceable(parameters: Mapping[str, Any]) -> None:
    """Raises ParameterError, with the reason, for a schema or a grammar that no reply can be held to; ModelError for
    what is found by meaning, where `memory_model` names no small embedding model.
    """
    from nightjar.config.settings import load_settings
    from nightjar.jobs.parameters import Policy
    from nightjar.workers.engine.grammar.held import held_to
    from nightjar.workers.library.memory_model import find_memory_model

    held_to(parameters.get("grammar"), parameters.get("json_schema"))
    if parameters.get("policy") == Policy.RECALL:
        find_memory_model(load_settings(), "policy recall")
    if parameters.get("memory") is not None:
        find_memory_model(load_settings(), "a memory")


def check_suite(content: SuiteContent) -> SuiteContent:
    """The content, if all its turns can be held to what they ask for. Raises SuiteError that names each that can't."""
    from nightjar.pipeline.suites.located import Gathered

    gathered = Gathered()
    checked: list[Mapping[str, Any]] = []
    over: list[Mapping[str, Any]] = [variant.parameters for variant in content.variants] or [{}]
    for sequence in content.sequences:
        for index, turn in enumerate(sequence.turns, start=1):
            for above in over:
                layers = {**sequence.parameters, **turn.parameters, **above}
                asked = {key: layers[key] for key in ("grammar", "json_schema") if layers.get(key) is not None}
                if asked and asked not in checked[-100:]:
                    with gathered.part():
                        _check_turn(asked, f"{content.source}: sequence {sequence.id!r}, turn {index}")
                    checked.append(asked)
    gathered.check()
    return content


def _check_turn(asked: Mapping[str, Any], where: str) -> None:
    try:
        check_enforceable(asked)
    except ParameterError as error:
        raise SuiteError(f"{where}: {error}") from None
