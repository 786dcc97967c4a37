"""IFEval's instructions, by the checkers of lm-evaluation-harness, which the extra `ifeval` installs. Pure.

Four numbers (Zhou et al. 2023, arXiv:2311.07911): whether all instructions of a prompt are followed, and the share of
all instructions, each strictly and loosely. Nothing of the checkers is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from nightjar.config.errors import UsageError
from nightjar.config.installation import extra_line
from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction

SENTENCES = "python -m nltk.downloader punkt_tab"
"""Fetches what the checkers split sentences with, about 4 MB."""
_DATA = "tokenizers/punkt_tab"
_SEED = 0
"""Of the guesses of languages, which would differ from one scoring to the next."""


def ifeval(*, loose: bool, each: bool) -> Callable[[Any], ScoreFunction]:
    """Makes the check: of a prompt's instructions, whether all are followed, or (`each`) the share of them.

    The argument is a list of instructions, each {id: IFEval's name, ...: its arguments}.
    """

    def build(value: Any) -> ScoreFunction:
        instructions = _instructions(value)
        written = json.dumps(instructions, sort_keys=True)

        def check(context: Context) -> Score:
            if (absent := missing_checkers()) is not None:
                return unscored(absent)
            followed = _followed(context.prompt, context.reply, written, loose)
            broken = [one["id"] for one, kept in zip(instructions, followed, strict=True) if not kept]
            count = f"{len(followed) - len(broken)} of {len(followed)}"
            reason = f"not followed: {', '.join(broken)}" if broken else None
            if not each:
                return passed(not broken, answer=count, reason=reason)
            share = (len(followed) - len(broken)) / len(followed)
            return Score(value=share, answer=count, reason=reason, weight=float(len(followed)))

        return check

    return build


def instruction_count(value: Any) -> float:
    """How many instructions an argument has: how much its share of them counts."""
    return float(len(_instructions(value)))


def require_ifeval() -> None:
    """Raises UsageError, with what to do, where the checkers cannot be used here."""
    if (absent := missing_checkers()) is not None:
        raise UsageError(absent)


def checkers_version() -> str:
    """Whose checkers these are; they change with the harness."""
    try:
        return f"lm-eval {metadata.version('lm_eval')}"
    except metadata.PackageNotFoundError:
        return "lm-eval"


@lru_cache(maxsize=1)
def missing_checkers() -> str | None:
    """Why the checkers cannot be used, and what to do; None where they can."""
    try:
        import immutabledict  # noqa: F401
        import langdetect
        import nltk
    except ImportError:
        return (
            f"IFEval's checkers are those of lm-eval, which is not installed. Install it with: {extra_line('ifeval')}"
        )
    try:
        nltk.data.find(_DATA)
    except LookupError:  # the checkers would fetch it by themselves, unasked
        return f"IFEval's checkers split sentences with data of NLTK, which is not here. Fetch it with: {SENTENCES}"
    try:
        from lm_eval.tasks.ifeval import utils  # noqa: F401
    except ImportError:
        return (
            f"IFEval's checkers are those of lm-eval, which is not installed. Install it with: {extra_line('ifeval')}"
        )
    langdetect.DetectorFactory.seed = _SEED
    return None


@lru_cache(maxsize=4)  # four checks ask of the same reply, one after another
def _followed(prompt: str, reply: str, written: str, loose: bool) -> tuple[bool, ...]:
    """Of each instruction, whether the reply follows it."""
    from lm_eval.tasks.ifeval import utils

    instructions = json.loads(written)
    asked = utils.InputExample(
        key=0,
        instruction_id_list=[one["id"] for one in instructions],
        prompt=prompt,
        kwargs=[{name: value for name, value in one.items() if name != "id"} for one in instructions],
    )
    test = utils.test_instruction_following_loose if loose else utils.test_instruction_following_strict
    return tuple(map(bool, test(asked, reply).follow_instruction_list))


def _instructions(value: Any) -> list[dict[str, Any]]:
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(one, Mapping) and isinstance(one.get("id"), str) for one in value)
    ):
        raise ValueError(
            f"takes a list of instructions, each {{id: IFEval's name, ...: its arguments}}, not {value!r}."
        )
    return [dict(one) for one in value]
