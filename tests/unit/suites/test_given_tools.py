"""Tools of a suite: what is read, what is refused, and that they reach the digest and the exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from nightjar.config.errors import SuiteError
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.read import read_suite

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BOOK = {"name": "book_flight", "description": "Books a flight.", "parameters": CITY}
CHOICE = {"prompt": "x", "choices": ["a", "b"], "answer": 0}
WHOLE = {"type": "function", "function": BOOK}


def read(folder: Path, tools: Any, **more: Any) -> SuiteContent:
    data = {"nightjar": 1, "name": "mine", "tools": tools, "sequences": [{"id": "a", "turns": ["Go."]}], **more}
    file = folder / "suite.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return read_suite(file)


@pytest.mark.parametrize("tools", [[BOOK], [WHOLE], [{"function": BOOK}]])
def test_each_form_is_stored_as_endpoints_take_it(tmp_path: Path, tools: Any) -> None:
    [sequence] = read(tmp_path, tools).sequences
    assert sequence.tools == (WHOLE,)


def test_a_sequence_takes_its_own_or_none(tmp_path: Path) -> None:
    own = {"name": "wait"}
    turns = ["Go."]
    sequences = [
        {"id": "suite", "turns": turns},
        {"id": "own", "turns": turns, "tools": [own]},
        {"id": "none", "turns": turns, "tools": []},
    ]
    content = read(tmp_path, [BOOK], sequences=sequences)
    names = [[tool["function"]["name"] for tool in sequence.tools] for sequence in content.sequences]
    assert names == [["book_flight"], ["wait"], []]
    assert content.sequences[1].tools[0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert len({sequence.digest for sequence in content.sequences}) == 3, "what reaches the model is in the digest"
    assert "tools" not in content.sequences[2].model_dump(mode="json"), "sequences without any are stored as ever"
    again = tmp_path / "again.yaml"
    again.write_text(export_yaml(content), encoding="utf-8")
    assert [each.tools for each in read_suite(again).sequences] == [each.tools for each in content.sequences]


@pytest.mark.parametrize(
    ("tools", "more", "says"),
    [
        (["book"], {}, "a tool is `{name, description, parameters}`"),
        ([{"name": "two words"}], {}, "1 to 64 letters"),
        ([{"description": "Nameless."}], {}, "1 to 64 letters"),
        ([BOOK | {"returns": {}}], {}, "a tool has no returns"),
        ([WHOLE | {"type": "web_search"}], {}, "only tools of the type function"),
        ([BOOK | {"parameters": {"type": "nonsense"}}], {}, "not a JSON Schema"),
        ([BOOK, WHOLE], {}, "two tools have the name 'book_flight'"),
        ([BOOK], {"mode": "completion"}, "tools are for chats"),
        ([BOOK], {"mode": "chat", "sequences": [{"id": "a", "turns": [CHOICE]}]}, "given texts are scored"),
    ],
)
def test_what_is_refused(tmp_path: Path, tools: Any, more: dict[str, Any], says: str) -> None:
    with pytest.raises(SuiteError, match=says):
        read(tmp_path, tools, **more)
