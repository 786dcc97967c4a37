"""The right word for one that people write: other tools' names of fields and checks, each with ours. Pure."""

from __future__ import annotations

_PARAMETERS = "Generation parameters belong under `parameters`, as in `parameters: {temperature: 0.7}`."
_FIELDS: dict[str, tuple[str | None, str]] = {
    "user input question instruction content text message query": (
        "prompt",
        "The prompt is `prompt`, or the turn is just its text.",
    ),
    "assert asserts assertions check checks expects contains": (
        "expect",
        "What the reply is checked for is `expect`, as in `expect: [includes: fox, max_words: 300]`.",
    ),
    "expected answer answers target output ideal gold label": (
        None,
        "An answer that the reply is checked for goes into `expect`, as in `expect: [includes: Paris]`; one that it is "
        "compared with is `reference`.",
    ),
    "assistant reply response completion": (
        None,
        "Replies are generated; a good one to compare with is `reference`, and fixed ones before the first prompt, "
        "such as examples, are `messages`.",
    ),
    "conversation prompts steps dialog dialogue": (
        "turns",
        "The prompts of a conversation are `turns`, a list; the replies are generated.",
    ),
    "system_prompt system_message": ("system", "The system prompt is `system`."),
    "vars variable": ("variables", "Rows of values are `variables`, a list of mappings."),
    "tests cases items samples examples questions tasks": (
        "sequences",
        "They are `sequences`, each with an `id` and its `turns`.",
    ),
    "document context contexts files": (
        "documents",
        "Texts given to the model are `documents`, each with a `name` and a `text` or a `file`.",
    ),
    "tag category labels": ("tags", "It is `tags`, a list."),
    "judge criteria grader": (None, "What judges are asked is `rubric`, at the top of the file, with `criteria`."),
    "metric metrics scorer scorers": (None, "What replies are measured for is `measures`."),
    "temperature top_p top_k min_p max_tokens min_tokens stop json_schema grammar": (None, _PARAMETERS),
    "params": ("parameters", _PARAMETERS),
    "license": ("licence", "It is `licence`."),
    "name title": ("id", "A sequence is named by `id`."),
    "type": ("mode", "It is `mode`: chat, independent or completion."),
}
"""Words -> our own field that means just the same, if one does, and what to say."""
_CHECKS = {
    "contains icontains contains-all contains_all contains-any contain include has": (
        "It is `includes`: a text, a list (all of them) or {any: [...]}."
    ),
    "not-contains not_contains not-icontains not_includes exclude forbid": "It is `excludes`.",
    "equal is exact exact_match exactly match answer expected": (
        "It is `equals` for the whole reply, `includes` for a text in it, `numeric` for a number."
    ),
    "matches pattern regexp starts-with starts_with ends_with": "It is `regex`, a pattern found in the reply.",
    "is-json is_json valid_json": "It is `json: true`.",
    "schema jsonschema": "It is `json_schema`.",
    "length max_length words": "It is `max_words`, `min_words`, `max_chars` or `min_chars`.",
    "number equals_number math": "It is `numeric`: 42 or {value: 42, tolerance: 0.5}.",
    "multiple_choice letter option": "It is `choice`: B or {answer: B, options: [A, B, C]}.",
    "llm-rubric llm_rubric model_graded judge rubric": "A check asks no model: judges do, by a `rubric`.",
}


def right_field(name: str) -> tuple[str | None, str]:
    """Our field that means the same as another tool's, if one does, and advice; empty where the word is not known."""
    return next((right for words, right in _FIELDS.items() if name.lower() in words.split()), (None, ""))


def right_check(name: str) -> str:
    """What to write instead of a check that does not exist; empty where that is not known."""
    return next((right for words, right in _CHECKS.items() if name.lower() in words.split()), "")
