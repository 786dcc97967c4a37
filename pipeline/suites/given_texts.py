"""Turns of a native suite whose given texts are scored: what the file says -> `Choices`, checked. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nightjar.jobs.placeholders import RowValues
from nightjar.jobs.sequences import PLAIN, Choices, Mode, TextRule, TurnSpec
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.variants import Variant
from nightjar.pipeline.scoring.likelihood_scorers import LIKELIHOODS, OF_WHOLE_TEXTS, likelihood_scorers
from nightjar.pipeline.suites import variables
from nightjar.pipeline.suites.native_file import SequencePart, SuitePart, TurnPart

_Field = str
Problem = tuple[_Field, str]


class GivenTextError(ValueError):
    """What is wrong with a turn's given texts, and in which field."""

    def __init__(self, field: _Field, message: str) -> None:
        super().__init__(message)
        self.field = field


def gives_texts(turn: TurnPart) -> bool:
    """Whether something is scored in the place of a reply."""
    return turn.choices is not None or turn.continuation is not None or turn.contexts is not None


def mode_of(part: SequencePart, suite: SuitePart) -> Mode:
    """The sequence's mode; one whose texts are given has no chat template unless the file asks for one."""
    if part.mode is not None:
        return part.mode
    if "mode" not in suite.model_fields_set and any(gives_texts(turn) for turn in part.turns):
        return Mode.COMPLETION
    return suite.mode


def right_text(turn: TurnPart) -> str | None:
    """The first right answer, for an example; None where the turn has none, or variables fill it."""
    if turn.choices is None and turn.contexts is None:
        return turn.continuation
    try:
        choices = given_choices(turn, {}, Mode.COMPLETION, None)
    except GivenTextError:  # told where the turn itself is read
        return None
    return None if choices is None or choices.contexts else choices.texts[choices.right[0]]


def usual_delimiter(part: SequencePart, suite: SuitePart) -> str | None:
    """What the file sets between prompts and answers; None: the default of the mode."""
    return suite.delimiter if part.delimiter is None else part.delimiter


def given_choices(part: TurnPart, row: RowValues, mode: Mode, delimiter: str | None) -> Choices | None:
    """A turn's choices; None where it has none. `delimiter`: the file's for all turns. Raises GivenTextError."""
    if not gives_texts(part):
        if part.answer is not None:
            raise GivenTextError("answer", "an answer needs `choices`; a reply is checked by `expect`.")
        return None
    for field in ("expect", "reference"):
        if getattr(part, field):
            raise GivenTextError(field, "a turn with given texts has no reply that it could be for; leave it out.")
    texts, contexts = _texts(part, row)
    between = part.delimiter if part.delimiter is not None else delimiter
    if between is None:
        ends = all(text[-1:].isspace() for text in contexts or (part.prompt,))
        between = " " if mode in PLAIN and not ends else ""
    right = (0,) if len(texts) == 1 and part.answer is None else tuple(_right(part, row, contexts or texts))
    return Choices(texts=texts, right=right, delimiter=between, contexts=contexts)


def _texts(part: TurnPart, row: RowValues) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(texts, contexts), checked."""
    if part.choices is not None and (part.continuation is not None or part.contexts is not None):
        raise GivenTextError("choices", "a turn has either `choices`, or a `continuation` with or without `contexts`.")
    if part.choices is not None:
        texts = tuple(_filled(text, row) for text in part.choices)
        _check_each("choices", texts, "choice")
        if len(texts) < 2:
            raise GivenTextError("choices", "there is one choice. Give another, or call it `continuation`.")
        return texts, ()
    if part.continuation is None:
        raise GivenTextError("contexts", "contexts need the `continuation` that is scored after each.")
    continuation = _filled(part.continuation, row)
    if not continuation.strip():
        raise GivenTextError("continuation", "the continuation is empty: there is nothing to score.")
    if part.contexts is None:
        return (continuation,), ()
    contexts = tuple(_filled(text, row) for text in part.contexts)
    _check_each("contexts", contexts, "context")
    if len(contexts) < 2:
        raise GivenTextError("contexts", "there is one context. Give another, or call it `prompt`.")
    return (continuation,) * len(contexts), contexts


def _check_each(field: _Field, texts: Sequence[str], noun: str) -> None:
    for at, text in enumerate(texts):
        if not text.strip():
            raise GivenTextError(field, f"{noun} {at} is empty: there is nothing to score.")
        if text in texts[:at]:
            raise GivenTextError(field, f"{noun}s {texts.index(text)} and {at} are equal.")


def _right(part: TurnPart, row: RowValues, texts: Sequence[str]) -> Iterator[int]:
    """The places of the right ones, in order."""
    given = part.answer if isinstance(part.answer, list) else [] if part.answer is None else [part.answer]
    for answer in given:
        _check_place(answer, texts)
    places = {_place(variables.fill(answer, row), texts) for answer in given}
    if not places:
        raise GivenTextError("answer", "no choice is right. Name one by its place from 0, or by its text.")
    if len(places) == len(texts) > 1:
        raise GivenTextError("answer", "every choice is right, so that nothing can be told.")
    yield from sorted(places)


def _check_place(answer: Any, texts: Sequence[str]) -> None:
    """A number written in the file, where choices are numbers, too; a row's number is a place, as data sets have it."""
    if isinstance(answer, int) and str(answer) in texts and texts.index(str(answer)) != answer:
        raise GivenTextError(
            "answer",
            f"{answer} is a place here, counted from 0, and choice {texts.index(str(answer))} reads {str(answer)!r}. "
            "Write the right choice's text in quotes.",
        )


def _place(answer: Any, texts: Sequence[str]) -> int:
    if isinstance(answer, int) and not isinstance(answer, bool):
        if 0 <= answer < len(texts):
            return answer
        raise GivenTextError("answer", f"there is no choice {answer}; they are 0 to {len(texts) - 1}.")
    if str(answer) in texts:
        return texts.index(str(answer))
    raise GivenTextError(
        "answer", f"{str(answer)!r} is none of the choices. Write one as it stands there, or its place."
    )


def _filled(text: str, row: RowValues) -> str:
    return str(variables.fill(text, row))


def sequence_problems(
    part: SequencePart,
    turns: Sequence[TurnSpec],
    mode: Mode,
    system: str | None,
    rule: TextRule | None,
    variants: Sequence[Variant],
) -> Iterator[Problem]:
    """What is wrong with a sequence as a whole: (field, what)."""
    with_choices = sum(turn.choices is not None for turn in turns)
    if mode is Mode.PERPLEXITY and with_choices:
        yield "turns", "in perplexity mode a prompt is a text that is scored as it stands; leave its choices out."
    elif 0 < with_choices < len(turns):
        yield "turns", "some turns have choices and others would be generated. Make two sequences of them."
    if mode is Mode.PERPLEXITY and part.documents:
        yield "documents", "in perplexity mode a text stands for itself; put it into `turns`."
    if mode is Mode.PERPLEXITY and system is not None:
        yield "system", "in perplexity mode nothing stands before a text. Leave it out, or write `system: null` here."
    if mode is Mode.PERPLEXITY and any(turn.expect or turn.reference for turn in turns):
        yield "turns", "in perplexity mode there is no reply that `expect` or `reference` could be for."
    if mode is not Mode.PERPLEXITY and part.perplexity is not None:
        yield "perplexity", "it says how texts are scored, with `mode: perplexity`."
    given = mode is Mode.PERPLEXITY or any(turn.choices and turn.choices.contexts for turn in turns)
    if given and any(variant.prompt is not None for variant in variants):
        yield "turns", "a variant has a prompt of its own, which cannot stand in the place of texts and contexts."
    window = rule.window if rule is not None and rule.score_from is not None else None
    for turn in turns if mode is Mode.PERPLEXITY else ():
        if window is not None and (size := len(turn.prompt.encode())) < window:
            yield "turns", f"a text of {size} bytes cannot fill a window of {window} tokens. Give a longer text."


def metric_problem(metric: str | None, sequences: Sequence[PromptSequence]) -> str | None:
    """Why no turn of the suite has that metric of given texts; None where some has it, or it is another kind."""
    if metric not in {scorer.name for scorer in LIKELIHOODS}:
        return None
    scored = [(sequence, turn) for sequence in sequences if sequence.scored for turn in range(len(sequence.turns))]
    if not scored:
        return f"{metric} needs turns whose given texts are scored: `choices`, a `continuation`, or `mode: perplexity`."
    found = {scorer.name for sequence, turn in scored for scorer in likelihood_scorers(sequence, turn)}
    if metric in found:
        partly = metric in OF_WHOLE_TEXTS and all(map(_leaves_out, sequences))
        what = "whose rule (`score_from`, or `bos: false`) leaves tokens out; perplexity counts those that were scored."
        return f"{metric} is not known of texts {what}" if partly else None
    listed = ", ".join(scorer.name for scorer in LIKELIHOODS if scorer.name in found)
    return f"no turn has {metric}. Of what this suite gives there are {listed}."


def _leaves_out(sequence: PromptSequence) -> bool:
    rule = sequence.text_rule
    return rule is not None and (rule.score_from is not None or rule.bos is False)
