"""Exported YAML reads back to the same digest, whatever the texts are."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.jobs.sequences import Document, Expectation, Mode, Sequence, TurnSpec
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.native import read_native
from nightjar.pipeline.suites.yaml_text import parse_yaml

RUBRIC = read_rubric({"criteria": [{"name": "yes", "description": "1e5", "scale": {"1": "no", "2": "~"}}]}).model_dump(
    mode="json"
)
tricky = st.sampled_from(
    [
        "yes",
        "1e5",
        "0x1",
        "null",
        "~",
        "- a",
        "a: b",
        "# c",
        "{{name}}",
        "\\{{name}}",
        "{{ a }} {{b c}}",
        " x ",
        "x\n",
        "\n x\n  y\n",
        "tab\tin",
        "\r\n",
        "\u2028",
        "\x85",
        "é\U0001f600",
        "'\"",
        "%",
        "@x",
        "&a *b",
        "<<",
        "\x00\x07",
        "1.0",
    ]
)
characters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
texts = st.one_of(tricky, characters).filter(
    lambda t: bool(t.strip()) and "{{" not in t.replace("{{name}}", "")
) | tricky.filter(lambda t: bool(t.strip()))
turns = st.builds(
    TurnSpec,
    prompt=texts,
    name=st.none() | texts,
    reference=st.none() | texts,
    parameters=st.sampled_from([{}, {"temperature": 0.25, "stop": ["1e5", "\n"]}, {"logit_bias": {"7": -1.0}}]),
    expect=st.lists(
        st.builds(Expectation, check=st.just("includes"), value=texts | st.lists(texts, min_size=1)), max_size=2
    ),
)
documents = st.lists(
    st.builds(Document, name=st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), text=texts),
    max_size=2,
    unique_by=lambda d: d.name,
)

MEASURES = [
    (),
    (Expectation(check="chrf", value=True),),
    (Expectation(check="mattr", value={"window": 20}), Expectation(check="overused", value={"phrases": ["1e5"]})),
]
RUBRIC = read_rubric(
    {"criteria": [{"name": "yes", "description": "is it", "scale": {1: "bad", 2: "good"}}]}
).model_dump(mode="json")


@st.composite
def suites(draw: st.DrawFn) -> SuiteContent:
    ids = draw(st.lists(st.sampled_from(["a", "b c", "é-1", "x[1]", "x[row a]"]), min_size=1, max_size=3, unique=True))
    sequences: list[Any] = [
        Sequence(
            id=identity,
            turns=tuple(draw(st.lists(turns, min_size=1, max_size=3))),
            mode=draw(st.sampled_from([mode for mode in Mode if mode is not Mode.PERPLEXITY])),
            system=draw(st.none() | texts),
            tags=draw(st.sampled_from([(), ("t",), ("t", "yes")])),
            documents=tuple(draw(documents)),
            parameters=draw(st.sampled_from([{}, {"top_k": 5}])),
            measures=draw(st.sampled_from(MEASURES)),
        )
        for identity in ids
    ]
    return SuiteContent(
        name="suite",
        description=draw(st.sampled_from(["", "About: this", "1"])),
        licence=draw(st.none() | st.just("MIT")),
        sequences=tuple(sequences),
        rubric=draw(st.none() | st.just(RUBRIC)),
    )


def read_back(text: str) -> SuiteContent:
    def no_file(name: str) -> str:
        raise AssertionError(name)

    return read_native(parse_yaml(text, "export.yaml"), "other", no_file)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(suites())
def test_export_reads_back_to_the_same_digest(content: SuiteContent) -> None:
    again = read_back(export_yaml(content))
    assert again == content.model_copy(update={"source": ""})
    assert again.digest == content.digest


def test_what_all_sequences_share_is_said_once() -> None:
    turns = (TurnSpec(prompt="x"),)
    shared = {"turns": turns, "system": "Be kind.", "mode": Mode.COMPLETION, "parameters": {"top_k": 1}}
    content = SuiteContent(name="s", sequences=(Sequence(id="a", **shared), Sequence(id="b", **shared)))
    text = export_yaml(content)
    assert (text.count("Be kind."), text.count("completion"), text.count("top_k")) == (1, 1, 1)
    assert read_back(text).digest == content.digest
