"""Verifiable instructions: what meets them and what breaks them, strictly and loosely."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring.expectations import expectation_scorer
from nightjar.pipeline.scoring.installed import validate_check
from nightjar.pipeline.scoring.instructions import INSTRUCTIONS
from nightjar.pipeline.scoring.scorer import Context, apply
from nightjar.pipeline.scoring.words import count_sentences

GERMAN = "Der Fuchs lief durch den dunklen Wald und suchte seinen Freund."


def outcome(value: Any, reply: str, *, check: str = "instruction", prompt: str = "p") -> Score:
    return apply(expectation_scorer(check, value), Context(prompt=prompt, reply=reply))


CASES: list[tuple[Any, str, bool]] = [
    ({"keywords": ["fox", "owl"]}, "Foxes and OWLS", True),  # parts of words, any case
    ({"keywords": ["fox", "owl"]}, "a fox", False),
    ({"keyword_frequency": {"word": "fox", "at_least": 2}}, "Fox, fox", True),
    ({"keyword_frequency": {"word": "fox", "at_most": 1}}, "Fox, fox", False),
    ({"forbidden_words": ["cat"]}, "catalogue", True),  # whole words only
    ({"forbidden_words": "cat"}, "The Cat.", False),
    ({"forbidden_words": "C++"}, "I like C++ best.", False),
    ({"forbidden_words": "दिन"}, "दिनों की बात", True),  # another word: its vowel sign goes on
    ({"forbidden_words": "दिन"}, "आज का दिन", False),
    ({"forbidden_words": "茶"}, "我喜欢茶。", False),  # no spaces around words
    ({"words": 2}, "नमस्ते दुनिया", True),
    ({"words": 5}, "我喜欢喝茶。", True),
    ({"words": 2}, "我喜欢茶。", False),
    ({"sentences": 2}, "पहला। दूसरा।", True),
    ({"capital_words": 1}, "E\u0301TE\u0301 vert", True),
    ({"letter_frequency": {"letter": "e", "exactly": 3}}, "Eel eats", True),
    ({"letter_frequency": {"letter": "z", "at_least": 1}}, "none", False),
    ({"words": {"at_least": 2, "at_most": 3}}, "one two three", True),
    ({"words": 2}, "one two three", False),
    ({"sentences": 2}, "Dr. Fox ran. He fell!", True),  # an abbreviation ends no sentence
    ({"sentences": {"at_least": 3}}, "One. Two.", False),
    ({"capital_words": {"at_least": 2}}, "I saw NASA", True),
    ({"capital_words": 0}, "I saw", False),
    ("all_capital", "ALL OF IT, 3!", True),
    ("all_capital", "All", False),
    ("all_capital", "3!", False),  # no letter is no capital letter
    ("all_lowercase", "all of it", True),
    ("all_lowercase", "All", False),
    ("no_commas", "a; b", True),
    ({"no_commas": True}, "a, b", False),
    ({"starts_with": "Once upon"}, "  once upon a time", True),
    ({"starts_with": "Once"}, "At once", False),
    ({"ends_with": "Any questions?"}, 'So. "Any questions?"\n', True),
    ({"ends_with": "The end."}, "The end. Bye.", False),
    ("quoted", '"All of it"', True),
    ("quoted", "“curly”", True),
    ("quoted", '"half', False),
    ("repeat_prompt", "What  is IT?\nThis.", True),
    ({"repeat_prompt": "Say this"}, "I say this", False),
    ({"one_of": ["My answer is yes.", "My answer is no."]}, "My answer is no.", True),
    ({"one_of": ["My answer is yes."]}, "yes", False),
    ({"language": "de"}, GERMAN, True),
    ({"language": "en"}, GERMAN, False),
    ({"paragraphs": 2}, "a\n \nb\n\n\n", True),
    ({"paragraphs": {"exactly": 2, "separator": "***"}}, "a\n***\nb\n\nc", True),
    ({"paragraphs": 2}, "a\nb", False),
    ({"paragraphs": 2}, "a\r\n\r\nb", True),  # the line breaks of Windows
    ({"paragraphs": 2}, "a\u2029b", True),  # Unicode's own mark of a paragraph
    ({"bullets": 2}, "* a\r\n* b\r\n", True),
    ({"paragraph_first_word": {"paragraph": 2, "word": "然而"}}, "第一。\n\n然而，第二。", True),
    ({"paragraph_first_word": {"paragraph": 2, "word": "however"}}, "a\n\nHowever, b", True),
    ({"paragraph_first_word": {"paragraph": 2, "word": "however"}}, "However", False),
    ({"bullets": 3}, "* a\n- b\n  • c\n**bold**", True),  # bold text is no bullet
    ({"bullets": 1}, "none", False),
    ({"highlights": {"at_least": 2}}, "*one* and **two words**", True),
    ({"highlights": 1}, "* a bullet * here", False),
    ({"sections": {"marker": "SECTION", "exactly": 2}}, "SECTION 1\na\n## SECTION II\nb", True),
    ({"sections": {"marker": "Part", "at_least": 1}}, "a Part 1", False),
    ({"placeholders": {"at_least": 2}}, "Dear [name], at [address]", True),
    ({"placeholders": 1}, "[]", False),
    ("postscript", "Bye.\n\nP.S. One more thing", True),
    ({"postscript": "P.P.S"}, "P. P. S: more", True),
    ("postscript", "I use P.S. in texts", False),
    ("title", "<<The Fox>>\nOnce", True),
    ("title", "<< >>", False),
    ("two_responses", "One.\n******\nTwo.", True),
    ("two_responses", "Same\n******\nSame", False),
    ("two_responses", "a******b******c", False),
    ("json", '```json\n{"a": 1}\n```', True),
    ("json", "{", False),
]


@pytest.mark.parametrize(("value", "reply", "met"), CASES)
def test_instruction(value: Any, reply: str, met: bool) -> None:
    """Met or broken as the table says; broken has a reason."""
    score = outcome(value, reply, prompt="What is it?")
    assert (score.state, score.value) == (ScoreState.SCORED, float(met))
    assert met or score.reason


def test_every_instruction_is_in_the_table() -> None:
    """And each of them both ways."""
    told = {(value if isinstance(value, str) else next(iter(value)), met) for value, _, met in CASES}
    assert told == {(name, met) for name in INSTRUCTIONS for met in (True, False)}


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("all_lowercase", "Sure!\nall of it"),  # an introduction
        ("no_commas", "none here\nHope that helps, friend"),  # a closing remark
        ({"ends_with": "the end"}, "**the end**"),  # emphasis
        ("json", 'Here:\n{"a": 1}\nEnjoy!'),  # both
    ],
)
def test_loose_forgives(value: Any, reply: str) -> None:
    """Text around the answer breaks the strict check but not the loose one."""
    assert outcome(value, reply).value == 0
    assert outcome(value, reply, check="instruction_loose").value == 1


def test_loose_has_limits() -> None:
    """If no variant meets it, it is broken, with the reason for the reply as it is."""
    score = outcome("no_commas", "a, b\nc, d\ne, f", check="instruction_loose")
    assert (score.value, score.reason) == (0.0, "3 commas")


def test_language_of_few_letters_is_unscored() -> None:
    """Nobody knows the language of "Oui"."""
    score = outcome({"language": "fr"}, "Oui")
    assert (score.value, score.state) == (None, ScoreState.UNSCORED)
    assert "letters" in (score.reason or "")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"bulets": 3}, "'bullets'"),
        ({"bullets": 3, "title": True}, "one instruction"),
        (3, "one instruction"),
        ({"bullets": -1}, "0 or more"),
        ({"bullets": {"at_lest": 1}}, "'at_least'"),
        ({"bullets": {}}, "whole number"),
        ({"words": {"exactly": 3, "at_least": 1}}, "at_least and at_most"),
        ({"words": {"at_least": 3, "at_most": 2}}, "no text can meet that"),
        ({"letter_frequency": {"letter": "ab", "at_least": 1}}, "letter_frequency takes"),
        ({"keyword_frequency": {"at_least": 1}}, "keyword_frequency takes"),
        ({"keywords": []}, "none of them empty"),
        ({"no_commas": False}, "true"),
        ({"language": "german"}, "code"),
        ({"starts_with": 3}, "a text"),
        ({"paragraph_first_word": {"paragraph": 0, "word": "a"}}, "1 or more"),
        ({"paragraph_first_word": {"paragraph": 1, "word": "two words"}}, "one word"),
        ({"sections": 3}, "sections takes"),
        ({"one_of": "ok"}, ""),
    ],
)
def test_bad_instructions_are_refused(value: Any, told: str) -> None:
    """Before anything is generated, and saying what is wrong; the last row is fine, so that the table can fail."""
    if not told:
        validate_check("instruction", value)
        return
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        validate_check("instruction", value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("No end", 1),
        ("One. Two? Three! Four", 4),
        ("Mr. J. Fox paid 3.50 at 9 a.m. today.", 1),  # abbreviations, initials, decimals
        ('She said "Stop." He did.', 2),  # a quotation mark after the stop
        ("1. First point.\n2. Second point.", 2),  # numbers of a list
        ("Wait... what?!", 2),
        ("これは文です。次の文。", 2),
        ("A heading\n\nA sentence.", 2),
    ],
)
def test_sentences(text: str, count: int) -> None:
    """What counts as a sentence."""
    assert count_sentences(text) == count


def test_a_count_of_characters_is_called_so() -> None:
    """What a person reads names the unit that was counted."""
    score = apply(expectation_scorer("instruction", {"words": 2}), Context(prompt="p", reply="我喜欢茶。"))
    assert score.reason == "4 characters, wanted exactly 2"
    score = apply(expectation_scorer("max_words", 3), Context(prompt="p", reply="我喜欢茶。"))
    assert (score.answer, score.reason) == ("4 characters", "4 characters, at most 3")
