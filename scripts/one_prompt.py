"""What `nightjar try` asks of which model: everything a person types is checked before the model is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import shorten
from typing import TYPE_CHECKING, TextIO

from nightjar.config.errors import ModelFileError, OutputError, UsageError
from nightjar.config.surrogates import has_surrogate
from nightjar.jobs.identity import MOST_SEED

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.models import ModelFacts
    from nightjar.scripts.chat_model import Prompt, Subject

STANDARD_INPUT = "-"
LINE_END, BLANK_LINE = "\n", "\n\n"


def read_prompt(words: Sequence[str], system: str | None = None) -> str:
    """The prompt of a command line, or standard input's text for "-". Raises UsageError; checks `system` with it."""
    if len(words) > 1:
        raise UsageError(
            f"The prompt came in {len(words)} pieces. Put it in quotes: "
            f'"{shorten(" ".join(words), 60, placeholder=" ...")}".'
        )
    from_input = words[0] == STANDARD_INPUT
    text = _standard_input() if from_input else words[0]
    if not text.strip():
        raise UsageError(
            "Standard input is empty. Pipe a text into this command, or give the prompt in quotes."
            if from_input
            else "The prompt is empty. Give a text in quotes, or - to read it from standard input."
        )
    for what, given in (("The prompt", text), ("--system", system or "")):
        if has_surrogate(given):
            raise UsageError(f"{what} is not valid UTF-8. Convert it to UTF-8 (iconv does), then give it again.")
    return text


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"Standard input is not valid UTF-8 at byte {error.start}. Convert it to UTF-8 (iconv does) and try again."
        ) from None


def check_seed(seed: int) -> None:
    """Raises UsageError for a seed that no turn of a run could have."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"--seed is {seed}; it must be from 0 to {MOST_SEED}.")


def log_to_file(name: str = "try.log") -> None:
    """Logs to that file in NIGHTJAR_HOME/logs: what llama.cpp prints while it loads would bury the reply."""
    from nightjar.config.logging import configure
    from nightjar.config.settings import load_settings

    settings = load_settings()
    configure(settings, stream=_log_stream(settings, name))


def _log_stream(settings: Settings, name: str) -> TextIO:
    """A home that cannot be written costs the log, not the reply."""
    from nightjar.scripts.session import open_log

    try:
        return open_log(settings.home / "logs" / name)
    except OutputError:
        return open(os.devnull, "w", encoding="utf-8")


def pin(wanted: str | None) -> str | None:
    """Pins this process to the card, as a worker is, and returns the engine's name for it.

    To be called before anything touches CUDA. Raises UsageError for a card that is not there, and for several.
    """
    from nightjar.workers.process.gpus import choose_pins, list_cards

    if wanted is None:
        return None
    pins = choose_pins(wanted, list_cards())
    if len(pins) > 1:
        raise UsageError(f"--gpu {wanted}: one reply is generated on one card. Name one of them.")
    os.environ.update(pins[0].environment())
    return pins[0].gpu


def find_subject(model: str, assignments: Sequence[str], *, completion: bool) -> Subject:
    """The model, fetched where it may be, with its parameters.

    Raises UsageError for a file that is no model, a model that cannot do this, and assignments to another model;
    UnknownNameError, ParameterError, HubError.
    """
    from nightjar.config.settings import load_settings
    from nightjar.jobs.assignments import read_assignments
    from nightjar.jobs.machines.doing import Activity, Doing
    from nightjar.jobs.parameters import merged
    from nightjar.scripts.chat_model import Subject
    from nightjar.scripts.views.model_pull import obtained
    from nightjar.scripts.views.saying import saying
    from nightjar.workers.library.inspect import entry_facts

    everywhere, by_model = read_assignments(assignments)
    with unusable_file():
        entry = obtained(model, load_settings())
        with saying(Doing(task=Activity.READING)):
            facts = entry_facts(entry)
    for other in by_model:
        if other != entry.name:
            raise UsageError(f"--set is for {other!r}, and {entry.name!r} is tried. Correct or leave out the name.")
    _check_kind(facts, completion=completion)
    subject = Subject(entry=entry, facts=facts, set_parameters=merged(everywhere, by_model.get(entry.name, {})))
    subject.resolved()  # a wrong parameter is named now, not after the load
    return subject


def typed_prompt(text: str, system: str | None, *, completion: bool) -> Prompt:
    """What the model is given: a text to go on, or the messages of a chat."""
    if completion:
        return f"{system}{'' if system.endswith(LINE_END) else BLANK_LINE}{text}" if system else text
    messages = [{"role": "user", "content": text}]
    return [{"role": "system", "content": system}, *messages] if system else messages


@contextmanager
def unusable_file() -> Iterator[None]:
    """A file that is missing or no model is bad input here: a person named it. Raises UsageError."""
    try:
        yield
    except ModelFileError as error:
        raise UsageError(str(error)) from error


def _check_kind(facts: ModelFacts, *, completion: bool) -> None:
    from nightjar.jobs.models import ModelKind

    if facts.kind is ModelKind.EMBEDDING:
        raise UsageError(
            f"{facts.name} is an embedding model: it makes vectors of texts and cannot reply. Name a chat or base "
            "model; `nightjar model list` shows the kinds."
        )
    if facts.kind is ModelKind.BASE and not completion:
        raise UsageError(
            f"{facts.name} has no chat template. For a base model add --completion, which continues the text; for a "
            "chat model whose file lost its template, name one in models.toml (template = FILE)."
        )
