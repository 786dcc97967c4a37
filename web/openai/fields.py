"""Every field of the requests: what it does here. The documentation's table is made from these rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nightjar.config.errors import suggest
from nightjar.web.openai.refusals import RefusedFieldError


class Use(StrEnum):
    """What becomes of a field."""

    SUPPORTED = "supported"
    NO_EFFECT = "accepted without effect"
    """Named in the header `nightjar-without-effect`."""
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class FieldRule:
    """One field. `neutral`: values of a refused one that ask for nothing, and are accepted without effect."""

    use: Use
    note: str = ""
    neutral: tuple[Any, ...] = ()
    code: str = "unsupported_parameter"


def _supported(note: str = "") -> FieldRule:
    return FieldRule(use=Use.SUPPORTED, note=note)


def _no_effect(note: str) -> FieldRule:
    return FieldRule(use=Use.NO_EFFECT, note=note)


def _refused(note: str, *neutral: Any) -> FieldRule:
    return FieldRule(use=Use.REFUSED, note=note, neutral=neutral)


def _later(note: str, *neutral: Any) -> FieldRule:
    return FieldRule(use=Use.REFUSED, note=note, neutral=neutral, code="not_yet_supported")


_CACHE = "Prompts that begin alike share their computed beginning by themselves."
SAMPLING: Mapping[str, FieldRule] = {
    "frequency_penalty": _supported(),
    "logit_bias": _supported("Token ids of this model to -100 .. 100."),
    "n": _supported("1 to 16. Each choice is a job of its own; choice *i* of seed *s* has seed *s + i*."),
    "presence_penalty": _supported(),
    "seed": _supported("Taken modulo 2^31; -1: any."),
    "stop": _supported("A text or a list of them; the reply ends before it."),
    "stream": _supported("Server-sent events, with comments while it waits."),
    "stream_options": _supported("`include_usage`; `include_obfuscation` has no effect."),
    "temperature": _supported(),
    "top_p": _supported(),
    "user": _no_effect("Who asks is known by the token."),
}
"""Fields of OpenAI's that chat and plain completions share."""
EXTRAS: Mapping[str, FieldRule] = {
    "top_k": _supported("0 or -1: all."),
    "min_p": _supported(),
    "typical_p": _supported(),
    "xtc_probability": _supported(),
    "xtc_threshold": _supported(),
    "dry_multiplier": _supported(),
    "dry_base": _supported(),
    "dry_allowed_length": _supported(),
    "dry_penalty_last_n": _supported(),
    "dry_sequence_breakers": _supported(),
    "repeat_penalty": _supported(),
    "repetition_penalty": _supported("vLLM's name of `repeat_penalty`."),
    "repeat_last_n": _supported(),
    "min_tokens": _refused("A reply ends where the model ends it.", 0),
    "n_predict": _supported("llama.cpp's name of `max_tokens`; -1: the model's own."),
    "grammar": _supported("GBNF, Lark, or a regular expression between slashes."),
    "json_schema": _supported("A JSON Schema itself, as llama.cpp takes it."),
    "guided_json": _supported("vLLM's name of `json_schema`."),
    "guided_grammar": _supported("vLLM's name of `grammar`."),
    "structured_outputs": _supported("vLLM's: `json` or `grammar`."),
    "reasoning_budget": _supported("At most so many tokens of reasoning."),
    "cache_prompt": _no_effect(_CACHE),
    "id_slot": _no_effect("The engine chooses the slot."),
    "priority": _no_effect("Live requests go before evaluations, and are equal among themselves."),
    "timings_per_token": _no_effect("Times are in `nightjar` of the answer."),
    "return_tokens": _no_effect("Token ids are not handed out."),
    "skip_special_tokens": _refused("Control tokens are never part of a reply.", True),
    "include_stop_str_in_output": _refused("A stop string is never part of a reply.", False),
    "spaces_between_special_tokens": _no_effect("Control tokens are never part of a reply."),
    "ignore_eos": _refused("A reply ends where the model ends it.", False),
    "stop_token_ids": _refused("Give texts: `stop`.", []),
    "use_beam_search": _refused("There is no beam search.", False),
    "mirostat": _refused("There is no Mirostat sampler.", 0),
    "dynatemp_range": _refused("The temperature does not change within a reply.", 0),
    "samplers": _refused("The order of the samplers is llama.cpp's default."),
    "add_generation_prompt": _refused("A reply always follows.", True),
    "continue_final_message": _refused("The last message is what is replied to.", False),
}
"""llama.cpp's and vLLM's."""
CHAT: Mapping[str, FieldRule] = {
    "messages": _supported(
        "Roles system, developer, user, assistant, tool; text or parts of type text. Image, audio and file parts are "
        "not yet supported."
    ),
    "model": _supported("A model's name, as `/v1/models` lists them. `/m/NAME/v1/...` needs none."),
    "audio": _refused("Replies are text."),
    "function_call": _later("Tools cannot be called yet.", "none", "auto"),
    "functions": _later("Tools cannot be called yet.", []),
    "logprobs": _supported("Of the reply's tokens, reasoning left out; in a stream with the last piece."),
    "max_completion_tokens": _supported("Reasoning included. Without it the model's own setting counts, else 1024."),
    "max_tokens": _supported("The older name of the same."),
    "metadata": _no_effect("It is not kept."),
    "modalities": _refused("Replies are text.", ["text"]),
    "moderation": _refused("Nothing is moderated."),
    "parallel_tool_calls": _no_effect("Tools cannot be called yet."),
    "prediction": _no_effect("It could only save time."),
    "prompt_cache_key": _no_effect(_CACHE),
    "prompt_cache_options": _no_effect(_CACHE),
    "prompt_cache_retention": _no_effect(_CACHE),
    "reasoning_effort": _supported("Handed to the chat template, which may or may not know it."),
    "response_format": _supported("`text`, `json_object`, `json_schema`: the reply is held to it while it is drawn."),
    "safety_identifier": _no_effect("Who asks is known by the token."),
    "service_tier": _no_effect("There is one."),
    "store": _supported("false: prompt and reply are dropped when they have been handed out; else after an hour."),
    "tool_choice": _later("Tools cannot be called yet.", "none"),
    "tools": _later("Tools cannot be called yet.", []),
    "top_logprobs": _supported("0 to 20, with `logprobs`."),
    "verbosity": _refused("No model here knows it.", "medium"),
    "web_search_options": _refused("Nothing is searched."),
    "chat_template_kwargs": _supported("Variables of the chat template: `enable_thinking`, say."),
    "chat_template": _refused("The template is the model's own, or the registry's."),
    "documents": _refused("Put documents into a message.", []),
    **SAMPLING,
    **EXTRAS,
}
"""Of `/v1/chat/completions`."""

EMBEDDING: Mapping[str, FieldRule] = {
    "input": _supported("A text or a list of at most 2048. Token ids are not yet supported."),
    "model": _supported("An embedding model's name."),
    "encoding_format": _supported("`float` or `base64`."),
    "dimensions": _refused("A vector has the dimensions that its model gives it."),
    "user": _no_effect("Who asks is known by the token."),
}
"""Of `/v1/embeddings`."""
COMPLETION: Mapping[str, FieldRule] = {
    "prompt": _supported("A text or token ids, or a list of either: each is a job. Token ids are taken as they are."),
    "model": _supported("A model's name; base models are made for this."),
    "best_of": _refused("Ask for more choices, and choose.", 1),
    "echo": _supported("The prompt comes before the reply, its tokens among those of `logprobs`. Not in a stream."),
    "logprobs": _supported("0 to 5: of the reply's tokens, and of so many likely ones."),
    "max_tokens": _supported("Without it 16, as OpenAI has it. With `echo` it may be 0."),
    "suffix": _refused("Text is gone on with, and not filled in.", ""),
    "store": _supported("false: prompt and reply are dropped when they have been handed out; else after an hour."),
    **SAMPLING,
    **EXTRAS,
}
"""Of `/v1/completions`."""


@dataclass(frozen=True, kw_only=True)
class SortedFields:
    """A request's fields by what becomes of them."""

    kept: Mapping[str, Any]
    without_effect: tuple[str, ...]


def sort_fields(request: Mapping[str, Any], rules: Mapping[str, FieldRule]) -> SortedFields:
    """Null is as if a field were not there. Raises RefusedFieldError for what is unknown or refused."""
    kept: dict[str, Any] = {}
    without: list[str] = []
    for name, value in request.items():
        if value is None:
            continue
        rule = rules.get(name)
        if rule is None:
            known = [field for field, known in rules.items() if known.use is not Use.REFUSED]
            raise RefusedFieldError(f"Unknown field {name!r}. {suggest(name, known, 'field')}", param=name)
        if rule.use is Use.SUPPORTED:
            kept[name] = value
        elif rule.use is Use.NO_EFFECT or any(type(value) is type(one) and value == one for one in rule.neutral):
            without.append(name)
        else:
            raise RefusedFieldError(f"{name!r} cannot be used here. {rule.note}", param=name, code=rule.code)
    return SortedFields(kept=kept, without_effect=tuple(without))


def field_table(rules: Mapping[str, FieldRule]) -> str:
    """The rules as a table of Markdown."""
    rows = [f"| `{name}` | {_use_in_words(rule)} | {rule.note} |" for name, rule in sorted(rules.items())]
    return "\n".join(["| field | here | |", "|---|---|---|", *rows])


def _use_in_words(rule: FieldRule) -> str:
    if rule.use is not Use.REFUSED:
        return rule.use
    return "400" + (f", unless it is {_either(rule.neutral)}" if rule.neutral else "")


def _either(values: Iterable[Any]) -> str:
    return " or ".join(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values)
