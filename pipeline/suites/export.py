"""A suite's content as a native YAML file that imports to the same digest. Pure."""

from __future__ import annotations

from typing import Any

import yaml

from nightjar.jobs.sequences import Choices, Mode, Sequence, TurnSpec
from nightjar.jobs.variants import Variant
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.native_file import FORMAT_VERSION
from nightjar.pipeline.suites.variables import escaped
from nightjar.pipeline.suites.yaml_text import reads_as_text

_ODD_BREAKS = "\r\x85\u2028\u2029\ufeff"
"""YAML 1.1 takes these for line breaks, or drops them, unless they are escaped."""
_SHARED = ("mode", "system", "messages", "parameters", "measures", "tools")


def export_yaml(content: SuiteContent) -> str:
    """Native YAML. Variables are exported as the sequences that they produced, documents with their texts."""
    sequences = [_sequence(sequence) for sequence in content.sequences]
    shared = {key: sequences[0][key] for key in _SHARED if all(s[key] == sequences[0][key] for s in sequences)}
    data: dict[str, Any] = {
        "nightjar": FORMAT_VERSION,
        "name": content.name,
        "description": content.description,
        "licence": content.licence,
        "tags": list(content.tags),
        "rubric": content.rubric,
        "primary_metric": content.primary_metric,
        "variants": [_variant(variant) for variant in content.variants],
        **shared,
    }
    usual = {"mode": str(Mode.CHAT)} | shared
    data["sequences"] = [
        _filled({key: value for key, value in sequence.items() if (key, value) not in usual.items()})
        for sequence in sequences
    ]
    return yaml.dump(_filled(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _sequence(sequence: Sequence) -> dict[str, Any]:
    return {
        "id": sequence.id,
        "tags": list(sequence.tags),
        "mode": str(sequence.mode),
        "system": escaped(sequence.system),
        "messages": [{str(message.role): escaped(message.text)} for message in sequence.messages],
        "parameters": sequence.parameters,
        "measures": [
            measure.check if measure.value is True else {measure.check: measure.value} for measure in sequence.measures
        ],
        "values": sequence.values,
        "documents": [document.model_dump() for document in sequence.documents],
        "perplexity": sequence.text_rule.model_dump(mode="json") if sequence.text_rule else None,
        "averages": sequence.averages,
        "tools": [dict(tool) for tool in sequence.tools],
        "turns": [_turn(turn) for turn in sequence.turns],
    }


def _variant(variant: Variant) -> dict[str, Any]:
    """Its texts are templates already. A null, which means no system prompt, is kept."""
    data = _filled({"name": variant.name, "prompt": variant.prompt, "parameters": variant.parameters})
    return data if variant.system is None else data | {"system": variant.system or None}


def _turn(turn: TurnSpec) -> Any:
    data = _filled(
        {
            "name": turn.name,
            "prompt": escaped(turn.prompt),
            "expect": [{e.check: escaped(e.value)} for e in turn.expect],
            "reference": escaped(turn.reference),
            "parameters": turn.parameters,
            "may_repeat": turn.may_repeat or None,
        }
    )
    if turn.choices is not None:
        data |= _choices(turn.choices)
    return data["prompt"] if data.keys() == {"prompt"} else data


def _choices(choices: Choices) -> dict[str, Any]:
    if choices.contexts:
        given = {"contexts": escaped(choices.contexts), "continuation": escaped(choices.texts[0])}
    elif len(choices.texts) == 1:
        return {"continuation": escaped(choices.texts[0]), "delimiter": choices.delimiter}
    else:
        given = {"choices": escaped(choices.texts)}
    answer = list(choices.right) if len(choices.right) > 1 else choices.right[0]
    return given | {"answer": answer, "delimiter": choices.delimiter}


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """Without empty fields."""
    return {key: value for key, value in data.items() if value not in (None, "", [], {})}


class _Dumper(yaml.SafeDumper):
    """Writes long texts as blocks, no aliases, and quotes around every text that would not be read as text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quoted = any(char in text for char in _ODD_BREAKS) or not reads_as_text(text)
    style = '"' if quoted else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
