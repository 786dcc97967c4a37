"""A declared subset of promptfoo's configuration: prompts, variables, tests and assertions that are checks. Pure.

What lies outside the subset is refused, with its line, and never silently left out: a test that promptfoo would run
and we would not must not look as if it had passed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nightjar.jobs.names import made_name
from nightjar.jobs.placeholders import fill_text, written
from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec
from nightjar.jobs.variants import Variant
from nightjar.pipeline.suites import variables
from nightjar.pipeline.suites.chat_input import ChatInput, read_input
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.located import Located, Path, check_some
from nightjar.pipeline.suites.names import sequence_id, unique_id
from nightjar.pipeline.suites.promptfoo_checks import as_promptfoo_writes, read_assertion

TOP = ("description", "prompts", "tests", "defaultTest")
SILENT = ("providers", "targets", "sharing", "outputPath", "tags", "$schema")
"""Ignored: they say which models are asked and where results go, which in Nightjar `enqueue` and `report` say."""
TOLD = ("env", "evaluateOptions", "commandLineOptions", "writeLatestResults", "metadata", "tracing")
"""Passed over and told: how promptfoo is to run, such as its repeats and its delays."""
TEST = ("description", "vars", "assert", "metadata")
DEFAULT_TEST = ("vars", "assert", "metadata")
PROMPT = ("id", "label", "raw")
_CODE = re.compile(r"\{%|\{#|\{\{(?!\s*[A-Za-z_][A-Za-z0-9_]*\s*\}\})")
Vars = dict[str, str | int | float | bool]


def read_promptfoo(source: Located, name: str) -> SuiteContent:
    """A sequence of one turn per test, in file order, and a variant per prompt where there are several.

    Raises SuiteError for anything outside the subset.
    """
    data = source.data
    only(source, (), data, (*TOP, *SILENT, *TOLD))
    prompts = _items(source, data, "prompts", "a list of texts")
    variants = _variants(source, prompts) if len(prompts) > 1 else ()
    tests = _items(source, data, "tests", "a list of tests") if "tests" in data else [{}]
    common = data.get("defaultTest", {})
    only(source, ("defaultTest",), common, DEFAULT_TEST)
    base = _vars(source, ("defaultTest", "vars"), common.get("vars", {}))
    sequences: dict[str, Sequence] = {}
    for index, test in enumerate(tests):
        with source.gathered.part():
            here: Path = ("tests", index)
            only(source, here, test, TEST)
            values = base | _vars(source, (*here, "vars"), test.get("vars", {}))
            expect = [*_expect(source, ("defaultTest",), common, values), *_expect(source, here, test, values)]
            title = _title(test, index)
            unique_id(source, (*here, "description"), title, sequences, test.get("description", title))
            asked = [_asked(source, ("prompts", number), prompt, values) for number, prompt in enumerate(prompts)]
            first = asked[0]
            named = sorted(variables.names_in([[variant.system or "", variant.prompt] for variant in variants]))
            sequences[title] = Sequence(
                id=title,
                system=first.system,
                messages=first.messages,
                turns=(TurnSpec(prompt=first.prompt, expect=tuple(expect)),),
                values={name: written(values[name]) for name in named},
            )
            used = [item for part in (common, test) for item in part.get("assert", [])]
            _check_used(source, here, test, prompts, used)
    source.gathered.check()
    check_some(source, sequences)
    description = data.get("description")
    return SuiteContent(
        name=name,
        description=description if isinstance(description, str) else "promptfoo tests",
        sequences=tuple(sequences.values()),
        variants=variants,
        notes=tuple(f"promptfoo's {key!r} is passed over: it says how promptfoo runs." for key in TOLD if key in data),
    )


def only(source: Located, path: Path, data: Any, known: tuple[str, ...]) -> None:
    """Raises SuiteError for the first field that is not in the subset."""
    if not isinstance(data, Mapping):
        raise source.error(path, "must be a mapping of fields.")
    for key in data:
        if key not in known:
            with source.gathered.part():
                raise source.unsupported(
                    (*path, key),
                    f"promptfoo's {key!r} cannot be used here; Nightjar reads {', '.join(known)}. Remove it, leave it "
                    "out with --skip-unsupported, or write the suite in the native format (docs/suites.md).",
                )


def _variants(source: Located, prompts: list[Any]) -> tuple[Variant, ...]:
    """Each prompt as a variant, its texts with their placeholders. Raises SuiteError for two of one name."""
    asked = [read_input(source, *_raw(source, ("prompts", number), prompt)) for number, prompt in enumerate(prompts)]
    if any(prompt.messages for prompt in asked):
        raise source.unsupported(("prompts",), "an assistant's messages can be used where there is one prompt only.")
    some_system = any(prompt.system is not None for prompt in asked)
    variants: dict[str, Variant] = {}
    for number, (prompt, chat) in enumerate(zip(prompts, asked, strict=True)):
        name = _variant_name(prompt, number)
        if name in variants:
            raise source.error(("prompts", number), f"two prompts are called {name!r}; give each a `label` of its own.")
        variants[name] = Variant(name=name, system=(chat.system or "") if some_system else None, prompt=chat.prompt)
    return tuple(variants.values())


def _variant_name(prompt: Any, number: int) -> str:
    given = prompt.get("label", prompt.get("id") if "raw" in prompt else None) if isinstance(prompt, Mapping) else None
    plain = f"prompt-{number + 1}"
    return made_name(given, marks="._-", longest=60, otherwise=plain).rstrip("._-") if isinstance(given, str) else plain


def _asked(source: Located, path: Path, prompt: Any, values: Vars) -> ChatInput:
    """What a test asks, with its variables."""
    path, raw = _raw(source, path, prompt)
    return read_input(source, path, _filled(source, path, raw, values))


def _raw(source: Located, path: Path, prompt: Any) -> tuple[Path, Any]:
    """A prompt's text or messages as they are written, and their place."""
    if isinstance(prompt, Mapping):
        only(source, path, prompt, PROMPT)
        prompt, path = prompt.get("raw", prompt.get("id")), (*path, "raw")
    if not isinstance(prompt, str) or prompt.startswith("file://"):
        raise source.unsupported(path, "a prompt is a text in this file, not a file, a function or a list.")
    messages = _messages(prompt)
    return path, prompt if messages is None else messages


def _messages(prompt: str) -> list[Any] | None:
    """The chat messages of a prompt that is a JSON list, as promptfoo writes them; else None."""
    if not prompt.lstrip().startswith("["):
        return None
    try:
        messages = json.loads(prompt)
    except ValueError:
        return None
    return (
        messages if isinstance(messages, list) and all(isinstance(message, Mapping) for message in messages) else None
    )


def _filled(source: Located, path: Path, value: Any, values: Vars) -> Any:
    """Texts with the variables put in. Raises SuiteError for template code and for names without a value."""
    if isinstance(value, str):
        if _CODE.search(value):
            raise source.unsupported(path, "only plain {{name}} placeholders can be used, no template code.")
        if unknown := sorted(variables.names_in(value) - values.keys()):
            raise source.error(path, f"no variable of this test is called {unknown[0]!r}.")
        return fill_text(value, values)
    if isinstance(value, Mapping):
        return {key: _filled(source, path, item, values) for key, item in value.items()}
    return [_filled(source, path, item, values) for item in value] if isinstance(value, list) else value


def _vars(source: Located, path: Path, given: Any) -> Vars:
    if not isinstance(given, Mapping):
        raise source.error(path, "must be a mapping of names to values.")
    for key, value in given.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or not isinstance(value, str | int | float | bool):
            raise source.error((*path, key), "a variable is a plain name with a text, a number, true or false.")
        if isinstance(value, str) and value.startswith("file://"):
            raise source.unsupported((*path, key), "a variable's value must be written here, not in a separate file.")
    return {key: as_promptfoo_writes(value) for key, value in given.items()}


def _expect(source: Located, path: Path, test: Mapping[str, Any], values: Vars) -> list[Expectation]:
    given = test.get("assert", [])
    if not isinstance(given, list):
        raise source.error((*path, "assert"), "must be a list of assertions.")
    expectations = []
    for index, item in enumerate(given):
        here = (*path, "assert", index)
        with source.gathered.part():
            expectations += read_assertion(source, here, _filled(source, here, item, values))
    return expectations


def _items(source: Located, data: Mapping[str, Any], key: str, what: str) -> list[Any]:
    given = data.get(key)
    items = [given] if key == "prompts" and isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise source.error((key,), f"must be {what}, written in this file.")
    return items


def _title(test: Mapping[str, Any], index: int) -> str:
    description = test.get("description")
    return sequence_id(description)[:90].strip(" -") if isinstance(description, str) else f"test-{index + 1}"


def _check_used(source: Located, path: Path, test: Mapping[str, Any], prompts: list[Any], asserts: list[Any]) -> None:
    """Raises SuiteError for an unused variable of a test: it is probably misspelt."""
    used = variables.names_in([prompts, asserts])
    for name in test.get("vars", {}):
        if name not in used:
            raise source.error((*path, "vars", name), f"no prompt and no assertion uses the variable {name!r}.")
