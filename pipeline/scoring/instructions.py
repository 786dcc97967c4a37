"""Instructions that rules can verify, in the style of IFEval (Zhou et al. 2023): one family of checks. Pure.

Strict takes the reply as it is. Loose is met if the reply meets it as it is, or without its first line, its last line
or both, each also without asterisks: introductions, closing remarks and emphasis are forgiven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from nightjar.config.errors import suggest
from nightjar.pipeline.scores import Score, passed, unscored
from nightjar.pipeline.scoring import instruction_shape as shape
from nightjar.pipeline.scoring import instruction_words as wording
from nightjar.pipeline.scoring.instruction import Build, Undecided
from nightjar.pipeline.scoring.language import language
from nightjar.pipeline.scoring.scorer import Context, ScoreFunction
from nightjar.pipeline.scoring.words import with_line_feeds

INSTRUCTIONS: Mapping[str, Build] = MappingProxyType(
    {
        "keywords": wording.keywords,
        "keyword_frequency": wording.keyword_frequency,
        "forbidden_words": wording.forbidden_words,
        "letter_frequency": wording.letter_frequency,
        "words": wording.number_of_words,
        "sentences": wording.number_of_sentences,
        "capital_words": wording.capital_words,
        "all_capital": wording.all_capital,
        "all_lowercase": wording.all_lowercase,
        "no_commas": wording.no_commas,
        "starts_with": wording.starts_with,
        "ends_with": wording.ends_with,
        "quoted": wording.quoted,
        "repeat_prompt": wording.repeat_prompt,
        "one_of": wording.one_of,
        "language": language,
        "paragraphs": shape.paragraphs,
        "paragraph_first_word": shape.paragraph_first_word,
        "bullets": shape.bullets,
        "highlights": shape.highlights,
        "sections": shape.sections,
        "placeholders": shape.placeholders,
        "postscript": shape.postscript,
        "title": shape.title,
        "two_responses": shape.two_responses,
        "json": shape.whole_json,
    }
)


def instruction(*, loose: bool) -> Callable[[Any], ScoreFunction]:
    """Makes the check: its argument is one instruction with its own argument, `{bullets: 3}`."""
    name = "instruction_loose" if loose else "instruction"

    def build(value: Any) -> ScoreFunction:
        if isinstance(value, str):
            value = {value: True}
        if not isinstance(value, Mapping) or len(value) != 1:
            raise ValueError(f"{name} takes one instruction with its argument, such as {{bullets: 3}}, not {value!r}.")
        ((kind, argument),) = value.items()
        if kind not in INSTRUCTIONS:
            raise ValueError(f"There is no instruction {kind!r}. {suggest(str(kind), INSTRUCTIONS, 'instruction')}")
        broken = INSTRUCTIONS[kind](argument)

        def check(context: Context) -> Score:
            reply = with_line_feeds(context.reply)
            try:
                reasons = [broken(text, context) for text in (_variants(reply) if loose else [reply])]
            except Undecided as error:
                return unscored(str(error))
            return passed(None in reasons, reason=reasons[0])

        return check

    return build


def _variants(reply: str) -> Iterator[str]:
    lines = reply.split("\n")
    texts = [reply, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    for text in dict.fromkeys([*texts, *(text.replace("*", "") for text in texts)]):
        if text.strip():
            yield text
