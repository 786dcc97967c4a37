"""Logs: two forms, bound fields, llama.cpp's lines, and no secret anywhere."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nightjar.config import logging as ours
from nightjar.config import redact as redaction
from nightjar.config.redact import names_secret, redact_text, remember
from nightjar.config.settings import Settings

SECRET = "s3cr3t-Kq9vX2"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root, names = logging.getLogger(), ("huggingface_hub", "transformers")
    before = root.handlers[:], root.level, [logging.getLogger(name).handlers for name in names]
    monkeypatch.setattr(redaction, "_remembered", set())
    yield
    root.handlers, level, handlers = before[0], before[1], before[2]
    root.setLevel(level)
    for name, kept in zip(names, handlers, strict=True):
        logging.getLogger(name).handlers = kept
    structlog.contextvars.clear_contextvars()
    ours.bind_process(worker=None)


def configured(stream: io.StringIO | None = None, **settings: Any) -> io.StringIO:
    stream = io.StringIO() if stream is None else stream
    ours.configure(Settings(**settings), stream=stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# Where the log goes and what is asked for: is it JSON?
FORMS = [
    (io.StringIO, "auto", True),
    (Terminal, "auto", False),
    (io.StringIO, "console", False),
    (Terminal, "json", True),
]


@pytest.mark.parametrize(("kind", "form", "is_json"), FORMS)
def test_json_unless_a_terminal_reads_it(kind: type[io.StringIO], form: str, is_json: bool) -> None:
    stream = configured(kind(), log_format=form)
    structlog.get_logger().info("run_created", run="r1", jobs=3)
    line = stream.getvalue()
    if is_json:
        event = json.loads(line)
        assert (event["event"], event["run"], event["jobs"], event["level"]) == ("run_created", "r1", 3, "info")
    else:
        assert not line.startswith("{")
        assert "run_created" in line
        assert "\x1b[" not in line or kind is Terminal, "colours are for terminals"


def test_bound_fields_are_on_every_event_of_the_library_too() -> None:
    stream = configured()
    ours.bind_process(worker="w1")
    ours.bind(run="r1", job="j1")
    structlog.get_logger().info("turn_committed", turn=0)
    logging.getLogger("pymongo.client").warning("pool %s", "cleared")
    first, second = events(stream)
    for event in (first, second):
        assert (event["worker"], event["run"], event["job"]) == ("w1", "r1", "j1")
    assert (second["event"], second["logger"], second["level"]) == ("pool cleared", "pymongo.client", "warning")


def test_a_second_configuration_replaces_the_first() -> None:
    first, second = configured(), configured()
    structlog.get_logger().info("once")
    logging.getLogger("arq").warning("twice?")
    assert first.getvalue() == ""
    assert [event["event"] for event in events(second)] == ["once", "twice?"]


def test_the_level_counts_for_both_kinds_of_logger() -> None:
    stream = configured(log_level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("anybody").info("no")
    structlog.get_logger().warning("yes")
    assert [event["event"] for event in events(stream)] == ["yes"]


def test_libraries_are_quiet_at_info() -> None:
    stream = configured()
    logging.getLogger("arq.worker").info("Starting worker")
    logging.getLogger("arq.worker").warning("lost")
    assert [event["event"] for event in events(stream)] == ["lost"]


def test_a_library_cannot_add_a_handler_of_its_own() -> None:
    """huggingface_hub and transformers do when they are imported: each line would come twice, once unredacted."""
    stream, other = configured(), io.StringIO()
    logging.getLogger("huggingface_hub").addHandler(logging.StreamHandler(other))
    logging.getLogger("huggingface_hub.file_download").warning("slow")
    assert other.getvalue() == ""
    assert len(events(stream)) == 1


def test_standard_error_is_looked_up_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """The stream of an earlier test is closed; a handler that kept it would raise."""
    ours.configure(Settings())
    structlog.get_logger().warning("seen")
    assert '"event": "seen"' in capsys.readouterr().err


# The fragments llama.cpp hands over, and the lines that are logged: (level, line).
LLAMA_LINES = [
    ([(2, "one\n")], [("debug", "one")]),
    ([(2, "a "), (5, "b "), (5, "c\n")], [("debug", "a b c")]),  # continued
    ([(3, "w1\nw2\n")], [("warning", "w1"), ("warning", "w2")]),  # two at once
    ([(2, "."), (5, "."), (5, ".\n")], []),  # a progress bar
    ([(2, "open"), (4, "failed\n")], [("debug", "open"), ("error", "failed")]),  # never ended
    ([(2, "open"), (5, " end\n"), (5, "tail\n")], [("debug", "open end"), ("debug", "tail")]),
    ([(0, "none\n"), (9, "new level\n")], [("debug", "none"), ("debug", "new level")]),
    ([(2, "\n"), (5, "")], []),
]


@pytest.mark.parametrize(("fragments", "lines"), LLAMA_LINES)
def test_llama_fragments_become_lines(fragments: list[tuple[int, str]], lines: list[tuple[str, str]]) -> None:
    stream = configured(log_level="debug")
    log = ours.LlamaLog()
    for level, text in fragments:
        log(level, text)
    assert [(event["level"], event["line"]) for event in events(stream)] == lines


def test_llama_lines_of_another_thread_name_the_worker() -> None:
    stream = configured()
    ours.bind_process(worker="w1")
    thread = threading.Thread(target=ours.llama_log, args=(4, "out of memory\n"))
    thread.start()
    thread.join()
    assert [(e["event"], e["line"], e["worker"]) for e in events(stream)] == [("llama.cpp", "out of memory", "w1")]


def test_terminal_controls_do_not_reach_the_terminal() -> None:
    stream = configured(log_format="console")
    structlog.get_logger().info("model \x1b[2J", name="a\x1b]0;owned\x07b", nested={"\x9b1m": ["\u202e"]})
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(stream.getvalue())
    assert "\\x1b]0;owned" in stream.getvalue()


# Texts with a secret in them, as they come in messages of drivers and people.
TEXTS = [
    f"mongodb://user:{SECRET}@host:27017/db",
    f"cannot reach mongodb+srv://u:{SECRET}@cluster.example/?a=b, giving up",
    f"redis://:{SECRET}@127.0.0.1:6379/0",
    f"rediss://default:p@{SECRET}@host",  # an @ that nobody quoted
    f"('https://u:{SECRET}@proxy:80',)",
    f"GET https://hub/x?token={SECRET}&a=1",
    f"tlsCertificateKeyFilePassword={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f"HF_TOKEN={SECRET} nightjar",
    "hf_" + "A1b2C3d4E5f6G7h8I9",
]


@pytest.mark.parametrize("text", TEXTS)
def test_secrets_in_texts_are_hidden(text: str) -> None:
    hidden = redact_text(text)
    assert SECRET not in hidden
    assert "A1b2C3d4" not in hidden
    assert "***" in hidden


# Harmless texts that look a little like secrets stay as they are.
HARMLESS = [
    "127.0.0.1:27017 connected at 12:30",
    "https://huggingface.co/org/model@main",
    "prompt_tokens=12 and max_tokens: 5",
    "Unknown parameter 'max_token' (from --set max_token=5). min-token=1, max_new_token=2",
    "tokenizer=gpt2",
    "C:\\models\\a.gguf",
    "someone@example.org",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True),
        ("MONGO_PASSWORD", True),
        ("hf_token", True),
        ("api_key", True),
        ("apiKey", True),
        ("clientSecret", True),
        ("Authorization", True),
        ("tokenizer", False),
        ("key", False),
        ("path", False),
    ],
)
def test_keys_that_name_a_secret(key: str, secret: bool) -> None:
    assert names_secret(key) is secret


def test_numbers_stay_under_a_key_that_says_token() -> None:
    stream = configured()
    structlog.get_logger().info("turn", prompt_tokens=5, tokens_per_s=1.5, token="abc", tokens=[1, 2], eos_token=None)
    (event,) = events(stream)
    assert (event["prompt_tokens"], event["tokens_per_s"], event["tokens"], event["eos_token"]) == (
        5,
        1.5,
        [1, 2],
        None,
    )
    assert event["token"] == "***"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_password_of_the_settings_is_hidden_in_every_form(form: str) -> None:
    """Quoted in the URL, unquoted in an error message, and in a traceback."""
    stream = configured(mongo_url="mongodb://u:p%40ss%2Fw0rd@h/", hf_token="plainly-a-token", log_format=form)
    try:
        raise ValueError("refused p@ss/w0rd of mongodb://u:p%40ss%2Fw0rd@h/")
    except ValueError:
        structlog.get_logger().exception("failed", given="plainly-a-token")
    assert "ValueError" in stream.getvalue()
    for secret in ("p@ss/w0rd", "p%40ss%2Fw0rd", "plainly-a-token"):
        assert secret not in stream.getvalue()


@dataclass
class Holder:
    """An object that is logged as it is."""

    inner: object


def _structures(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.text(max_size=8), inner, max_size=3),
            st.builds(Holder, inner),
        ),
        max_leaves=8,
    )


_harmless = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
_hidden_in_text = st.sampled_from(
    [
        SecretStr(SECRET),
        f"mongodb://u:{SECRET}@h/",
        f"before redis://:{SECRET}@h:1 after",
        f"x?token={SECRET}",
        {"password": SECRET},
        {"a": {"hf_token": SECRET}},
        f'{{"api_key": "{SECRET}"}}',
        ValueError({"secret": SECRET}),
        Path(f"/x?password={SECRET}"),
        f"Bearer {SECRET}".encode(),
    ]
)
_hidden_under_a_key = st.sampled_from(
    [{"nested_secret": [SECRET, {"deep": SECRET}]}, {"api_key": Holder(SECRET)}, {"token": ValueError(SECRET)}]
)


@given(value=_structures(_hidden_in_text | _harmless), form=st.sampled_from(["json", "console"]))
def test_no_secret_leaves_through_a_message_or_an_exception(value: Any, form: str) -> None:
    stream = configured(log_format=form)
    logging.getLogger("library").warning("message %s", value)
    try:
        raise RuntimeError(value)
    except RuntimeError:
        structlog.get_logger().exception("raised")
    assert SECRET not in stream.getvalue()
    assert "RuntimeError" in stream.getvalue()


@given(value=_structures(_hidden_in_text | _hidden_under_a_key | _harmless), form=st.sampled_from(["json", "console"]))
def test_no_secret_leaves_through_a_field(value: Any, form: str) -> None:
    stream = configured(log_format=form)
    structlog.get_logger().info("field", value=value)
    assert SECRET not in stream.getvalue()
    assert "field" in stream.getvalue()


@given(value=_structures(st.sampled_from([SECRET, f"<{SECRET}>", ValueError(SECRET)]) | _harmless))
def test_under_a_key_that_names_a_secret_no_text_stays(value: Any) -> None:
    stream = configured()
    structlog.get_logger().info("field", client_secret=value)
    assert SECRET not in stream.getvalue()


@given(value=_structures(st.one_of(st.just(SECRET), st.just(f"<{SECRET}>"), _harmless)))
def test_a_remembered_secret_is_hidden_in_any_text(value: Any) -> None:
    stream = configured()
    remember(SecretStr(SECRET))
    structlog.get_logger().info("field", value=value, other=f"{value}")
    assert SECRET not in stream.getvalue()


def test_a_structure_that_holds_itself_ends() -> None:
    stream = configured()
    loop: list[Any] = []
    loop.append(loop)
    structlog.get_logger().info("loop", value=loop)
    assert "***" in stream.getvalue()
