"""The native format: what a file becomes, and what each mistake in it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from nightjar.config.errors import SuiteError
from nightjar.jobs.sequences import Mode
from nightjar.jobs.variants import varied
from nightjar.pipeline.suites.content import SuiteContent
from nightjar.pipeline.suites.export import export_yaml
from nightjar.pipeline.suites.read import read_suite

Read = Callable[[str], SuiteContent]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a suite from text."""

    def reader(text: str) -> SuiteContent:
        file = tmp_path / "suite.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return read_suite(file)

    return reader


def test_a_sequence_takes_from_the_suite_what_it_does_not_say(read: Read) -> None:
    suite = read(
        """\
        nightjar: 1
        name: mine
        system: Be brief.
        mode: independent
        parameters: {temperature: 0.5, top_k: 10}
        sequences:
          - id: a
            turns: [Hello]
          - id: b
            system: null
            mode: chat
            parameters: {temperature: 0}
            tags: [x, y, x]
            turns:
              - {prompt: Hi, name: first, reference: Hello, parameters: {max_tokens: 5}, expect: [includes: hello]}
        """
    )
    a, b = suite.sequences
    assert (a.system, a.mode, a.parameters) == ("Be brief.", Mode.INDEPENDENT, {"temperature": 0.5, "top_k": 10})
    assert (b.system, b.mode, b.parameters) == (None, Mode.CHAT, {"temperature": 0, "top_k": 10})
    assert b.tags == ("x", "y")
    turn = b.turns[0]
    assert (turn.name, turn.reference, turn.parameters) == ("first", "Hello", {"max_tokens": 5})
    assert [(e.check, e.value) for e in turn.expect] == [("includes", "hello")]
    assert suite.source == "suite.yaml (native)"


def test_variables_make_a_sequence_per_row_with_values_of_their_own_type(read: Read) -> None:
    suite = read(
        """\
        nightjar: 1
        system: You know {{topic}}.
        variables: [{topic: sums, hard: true}, {topic: words, hard: true}]
        sequences:
          - id: shared
            turns: ["About {{ topic }}, {{hard}}: \\\\{{topic}} {{not a name}}"]
          - id: own
            system: null
            variables: [{id: one, q: 1 + 1, a: 2}, {id: 2, q: 2 + 2, a: 4}]
            turns: [{prompt: "{{q}}?", reference: "is {{a}}", expect: [numeric: "{{a}}"]}]
          - {id: plain, system: null, turns: [no placeholder]}
        """
    )
    assert [s.id for s in suite.sequences] == ["shared[1]", "shared[2]", "own[one]", "own[2]", "plain"]
    assert suite.sequences[0].system == "You know sums."
    assert suite.sequences[1].turns[0].prompt == "About words, true: {{topic}} {{not a name}}"
    turn = suite.sequences[3].turns[0]
    assert (turn.prompt, turn.reference, turn.expect[0].value) == ("2 + 2?", "is 4", 4)


def test_rows_that_differ_in_nothing_the_sequence_uses_make_one_sequence(read: Read) -> None:
    suite = read(
        """\
        nightjar: 1
        variables: [{a: x, b: 1}, {a: x, b: 2}, {a: y, b: 3}]
        sequences:
          - {id: s, turns: ["{{a}}"]}
          - {id: t, turns: ["{{b}}"]}
        """
    )
    assert [s.id for s in suite.sequences] == ["s[1]", "s[3]", "t[1]", "t[2]", "t[3]"]


def test_documents_come_from_text_file_and_suite(read: Read, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "b.txt").write_text("Text of b, with {{braces}}.", encoding="utf-8")
    suite = read(
        """\
        nightjar: 1
        documents: [{name: shared, text: Shared text}, {name: loose, text: Loose text}]
        sequences:
          - id: a
            documents: [{name: own, text: Own text}, {name: b, file: texts/b.txt}, loose]
            turns: ["{{documents.shared}} / {{documents.own}}", "{{documents.b}}"]
          - {id: none, turns: [x]}
        """
    )
    a, none = suite.sequences
    assert [d.name for d in a.documents] == ["own", "b", "loose", "shared"]
    assert a.prompt_text(0) == "loose:\nLoose text\n\nShared text / Own text"
    assert a.prompt_text(1) == "Text of b, with {{braces}}."
    assert none.documents == ()


HEAD = "nightjar: 1\n"
ONE = "sequences: [{id: a, turns: [x]}]"
VOICE = "{name: voice, description: Does it sing?, scale: {1: flat, 2: alive}}"
SEQUENCE = HEAD + "sequences:\n- id: a\n  "
TURN = SEQUENCE + "turns:\n  - prompt: x\n    "


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        # what is missing or misspelt
        ("nightjar: 1", "sequences", "this field is missing"),
        ("nightjar: 1\nsequences: []", "line 2, field sequences", "the list is empty"),
        (f"nightjar: 2\n{ONE}", "line 1, field nightjar", "should be 1"),
        (HEAD + f"sequenzes: 3\n{ONE}", "line 2, field sequenzes", "Did you mean 'sequences'"),
        (SEQUENCE + "turn: [x]\n  turns: [x]", "line 4, field sequences[0].turn", "no such field"),
        ("nightjar: 1\nsequences:\n- turns: [x]", "line 3, field sequences[0].id", "missing"),
        ("nightjar: 1\nsequences:\n- {id: a, turns: []}", "sequences[0].turns", "the list is empty"),
        (HEAD + f"mode: chats\n{ONE}", "line 2, field mode", "'chat', 'independent', 'completion' or 'perplexity'"),
        (HEAD + f"name: ../etc\n{ONE}", "line 2, field name", "pattern"),
        # texts
        (SEQUENCE + "turns:\n  - x\n  - ''", "line 6, field sequences[0].turns[1].prompt", "empty"),
        (SEQUENCE + "turns: ['  ']", "sequences[0].turns[0].prompt", "the text is empty"),
        (SEQUENCE + "turns:\n  - prompt: 7", "line 5, field sequences[0].turns[0].prompt", "quotes"),
        (SEQUENCE + "turns:\n  - prompt:", "sequences[0].turns[0].prompt", "must be a text"),
        ("nightjar: 1\nsequences:\n- {id: 'a:b', turns: [x]}", "sequences[0].id", "pattern"),
        ("nightjar: 1\nsequences:\n- {id: '../a', turns: [x]}", "sequences[0].id", "pattern"),
        (
            "nightjar: 1\nsequences:\n- {id: a, turns: [x]}\n- {id: a, turns: [y]}",
            "line 4, field sequences[1].id",
            "two",
        ),
        # parameters
        (HEAD + f"parameters: {{temprature: 1}}\n{ONE}", "line 2, field parameters", "Did you mean 'temperature'"),
        (HEAD + f"parameters: {{max_tokens: 0}}\n{ONE}", "line 2, field parameters", "greater than or equal to 1"),
        (HEAD + f"parameters: [1]\n{ONE}", "line 2, field parameters", "must be a mapping"),
        # expectations
        (TURN + "expect: [regx: a]", "expect[0].regx", "'regex'"),
        (TURN + "expect:\n    - regex: '('", "line 7,", "regular"),
        (TURN + "expect: [{json: true, regex: a}]", "expect[0]", "one"),
        (TURN + "expect: [max_words: 0]", "max_words", "1 or more"),
        (TURN + "expect: {json: true}", "expect", "list"),
        # variables
        (SEQUENCE + "turns: ['{{hero}}']", "line 4, field sequences[0].turns[0]", "no variable"),
        ("nightjar: 1\nsystem: '{{x}}'\n" + ONE, "line 2, field system", "no variable"),
        ("nightjar: 1\nvariables: [{x: 1}]\n" + ONE, "line 2, field variables[0].x", "no prompt uses"),
        (SEQUENCE + "variables: [{x: 1, y: 2}]\n  turns: ['{{x}}']", "variables[0].y", "no prompt"),
        (SEQUENCE + "variables: [{x: 1}, {y: 2}]\n  turns: ['{{x}} {{y}}']", "turns[0]", "no var"),
        (SEQUENCE + "variables: []\n  turns: [x]", "sequences[0].variables", "list is empty"),
        (SEQUENCE + "variables: [{x: [1]}]\n  turns: ['{{x}}']", "variables[0].x", "a number"),
        (SEQUENCE + "variables: [{x-y: 1}]\n  turns: [x]", "variables[0].x-y", "pattern"),
        (SEQUENCE + "variables: [{x: ''}]\n  turns: ['{{x}}']", "turns[0].prompt", "empty once"),
        (SEQUENCE + "variables: [{id: a/b, x: 1}]\n  turns: ['{{x}}']", "variables[0].id", "row's"),
        (SEQUENCE + "variables: [{id: r, x: 1}, {id: r, x: 2}]\n  turns: ['{{x}}']", "id", "two"),
        # documents
        (SEQUENCE + "turns: ['{{documents.d}}']", "sequences[0].turns[0]", "no document 'd'"),
        (HEAD + f"documents: [{{name: d, text: t}}]\n{ONE}", "line 2, field documents[0]", "no sequence uses"),
        (HEAD + f"documents: [{{name: d}}]\n{ONE}", "documents[0]", "neither"),
        (HEAD + f"documents: [{{name: d, text: t, file: f}}]\n{ONE}", "documents[0]", "not both"),
        (SEQUENCE + "documents: [d]\n  turns: [x]", "sequences[0].documents[0]", "no document 'd'"),
        (SEQUENCE + "documents: [{name: d, text: a}, {name: d, text: b}]\n  turns: [x]", "[1]", "two"),
        (SEQUENCE + "documents: [{name: d, file: ../x}]\n  turns: [x]", "documents[0].file", "outside"),
        (SEQUENCE + "documents: [{name: d, file: /etc/passwd}]\n  turns: [x]", ".file", "outside"),
        (SEQUENCE + "documents: [{name: d, file: none.txt}]\n  turns: [x]", ".file", "cannot be read"),
        # rubric
        (HEAD + f"rubric: {{}}\n{ONE}", "line 2, field rubric", "criteria"),
        (
            HEAD + f"rubric: {{criteria: [{VOICE}, {VOICE}]}}\n{ONE}",
            "line 2, field rubric",
            "name of its own",
        ),
        # measures and metrics
        (HEAD + f"measures: [chrv]\n{ONE}", "line 2, field measures[0]", "Did you mean 'chrf'"),
        (HEAD + f"measures: [chrf, {{mattr: {{window: 1}}}}]\n{ONE}", "field measures[1]", "2 or more"),
        (HEAD + f"measures: [chrf, chrf]\n{ONE}", "line 2, field measures", "asked for twice"),
        (HEAD + f"measures: [{{chrf: true, mattr: true}}]\n{ONE}", "measures[0]", "one name with its argument"),
        (HEAD + f"measures: chrf\n{ONE}", "line 2, field measures", "list"),
        (SEQUENCE + "measures: [words]\n  turns: [x]", "sequences[0].measures[0]", "no measure 'words' to ask for"),
        (SEQUENCE + "measures: [chrf, chrf]\n  turns: [x]", "line 4, field sequences[0].measures", "twice"),
        (HEAD + f"primary_metric: check\n{ONE}", "line 2, field primary_metric", "Did you mean 'checks'"),
        (TURN + "expect: [instruction: {bulets: 3}]", "turns[0].expect[0].instruction", "'bullets'"),
        (TURN + "expect: [fields: {function: f}]", "turns[0].expect[0].fields", "at least one field"),
        (TURN + "expect: [fields: {expected: {a: 1}, schema: {type: x}}]", ".expect[0].fields", "not a JSON Schema"),
        # variants
        (HEAD + f"variants: [{{name: a+b}}]\n{ONE}", "line 2, field variants[0].name", "match pattern"),
        (HEAD + f"variants: [{{name: a}}, {{name: a}}]\n{ONE}", "line 2, field variants", "two variants have one name"),
        (HEAD + f"variants: [{{name: a, prompt: 'x {{{{who}}}}'}}]\n{ONE}", "variants[0]", "{{who}} names no variable"),
        (HEAD + f"variants: [{{name: a, prompt: 'x {{{{documents.d}}}}'}}]\n{ONE}", "variants[0]", "no document 'd'"),
        (HEAD + f"variants: [{{name: a, parameters: {{top_p: 7}}}}]\n{ONE}", "variants[0].parameters", "top_p"),
        (HEAD + f"variants: [{{name: a, sytem: x}}]\n{ONE}", "line 2, field variants[0].sytem", "system"),
        # shape
        ("nightjar: 1\nsequences: {a: b}", "line 2, field sequences", "list"),
        ("- a", "suite.yaml", "not a suite format"),
    ],
)
def test_a_mistake_is_named_with_line_and_field(read: Read, text: str, where: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read(text)
    said = str(caught.value)
    assert said.startswith("suite.yaml")
    assert where in said
    assert message in said
    assert "\n" not in said


def test_a_link_out_of_the_folder_is_refused(read: Read, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(secret)
    with pytest.raises(SuiteError, match="outside"):
        read("nightjar: 1\nsequences:\n- {id: a, documents: [{name: d, file: link.txt}], turns: [x]}")


def test_tags_names_and_expectations_change_the_suite_and_not_the_sequence(read: Read) -> None:
    plain = read("nightjar: 1\nsequences: [{id: a, turns: [x]}]")
    tagged = read("nightjar: 1\nsequences: [{id: a, tags: [t], turns: [{prompt: x, name: n, expect: [includes: y]}]}]")
    assert plain.sequences[0].digest == tagged.sequences[0].digest
    assert plain.digest != tagged.digest


def test_the_rubric_and_the_primary_metric_are_kept(read: Read) -> None:
    criterion = "{name: voice, description: has it one, scale: {1: none, 2: one}}"
    suite = read(f"nightjar: 1\nrubric: {{criteria: [{criterion}]}}\nprimary_metric: judge.voice\n{ONE}")
    assert suite.rubric is not None
    assert suite.rubric["criteria"] == [
        {"name": "voice", "description": "has it one", "scale": {"1": "none", "2": "one"}}
    ]
    assert suite.primary_metric == "judge.voice"


VARIED = """\
nightjar: 1
system: You write for children.
parameters: {temperature: 0.7}
variants:
  - {name: plain}
  - {name: bare, system: null, parameters: {temperature: 0}}
  - {name: wordy, system: "{{system}} Of a {{kind}}.", prompt: "{{prompt}} At length. {{documents.note}}"}
documents: [{name: note, text: A note.}]
sequences:
  - {id: s, variables: [{kind: fox}, {kind: 3}], turns: [Tell a story.]}
  - {id: own, values: {kind: bear}, turns: [Tell of it.]}
"""


def test_variants_ask_the_same_sequences_otherwise(read: Read) -> None:
    """What they name of a row is kept with the sequence; what they leave out is the suite's."""
    suite = read(VARIED)
    assert [sequence.values for sequence in suite.sequences] == [{"kind": "fox"}, {"kind": "3"}, {"kind": "bear"}]
    plain, bare, wordy = suite.variants
    first = suite.sequences[0]
    assert varied(first, plain) == first
    assert (varied(first, bare).system, bare.parameters) == (None, {"temperature": 0})
    asked = varied(first, wordy)
    assert asked.system == "You write for children. Of a fox."
    assert asked.prompt_text(0) == "Tell a story. At length. A note."
    assert export_yaml(suite).count("values:") == 3
    assert read(export_yaml(suite)).digest == suite.digest


def test_a_suite_without_variants_keeps_its_digest(read: Read) -> None:
    suite = read("nightjar: 1\nname: s\nsequences: [{id: a, turns: [x]}]")
    assert not {"variants", "values"} & {*suite.model_dump(), *suite.sequences[0].model_dump()}
    assert suite.digest == "2eb9456085ca911107560f48a18bfdd2"
    assert suite.sequences[0].digest == "db229f73ee9b691e0f838a0e68058ff9"


def test_measures_of_the_suite_and_of_a_sequence(read: Read) -> None:
    """A sequence's own stand in the place of the suite's; they change the suite and not what reaches the model."""
    suite = read(
        """\
        nightjar: 1
        measures: [chrf, {mattr: {window: 20}}]
        sequences:
          - {id: a, turns: [x]}
          - {id: b, measures: [], turns: [x]}
        """
    )
    a, b = suite.sequences
    assert [(one.check, one.value) for one in a.measures] == [("chrf", True), ("mattr", {"window": 20})]
    assert b.measures == ()
    assert a.digest == b.digest
    assert "measures" not in b.model_dump(mode="json"), "suites without measures keep their digests"


FEW_SHOT = """\
nightjar: 1
name: sums
messages:
  - user: What is {{a}} + {{a}}?
  - assistant: "{{b}}"
variables: [{a: 2, b: 4}]
sequences:
  - {id: shared, turns: [3 + 3?]}
  - id: own
    messages: [{role: user, content: Hi}, {assistant: Hello}, {tool: x}]
    turns: [Go.]
  - {id: none, messages: [], turns: [Go.]}
  - {id: bare, mode: completion, messages: [], turns: ["1, 2,"]}
"""


def test_fixed_messages(read: Read) -> None:
    """The suite's stand before every first prompt, unless a sequence has its own; rows fill them. They are content."""
    suite = read(FEW_SHOT)
    said = {s.id: [(str(m.role), m.text) for m in s.messages] for s in suite.sequences}
    assert said == {
        "shared[1]": [("user", "What is 2 + 2?"), ("assistant", "4")],
        "own": [("user", "Hi"), ("assistant", "Hello"), ("tool", "x")],
        "none": [],
        "bare": [],
    }
    own, without = suite.sequences[1], suite.sequences[1].model_copy(update={"messages": ()})
    assert own.digest != without.digest
    assert "messages" not in without.model_dump()
    assert own.opening == "User: Hi\n\nAssistant: Hello\n\nTool: x"
    assert without.opening is None
    assert read(export_yaml(suite)).digest == suite.digest


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[{user: a}]", "two messages of the user's in a row"),
        ("[{user: a}, {user: b}, {assistant: c}]", "two messages of the user's in a row"),
        ("[{system: a}]", "roles: user, assistant, tool"),
        ("[{assistant: ' '}]", "the text is empty"),
        ("[{assistant: '{{nobody}}'}]", "names no variable"),
        ("[{assistant: '{{documents.x}}'}]", "a document can stand in a prompt only"),
        ("[{assistant: x}], mode: completion", "a completion has no messages"),
    ],
)
def test_fixed_messages_that_cannot_be(read: Read, written: str, message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        read(f"nightjar: 1\nsequences:\n  - {{id: a, turns: [Go.], messages: {written}}}\n")
