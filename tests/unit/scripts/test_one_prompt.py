"""What `nightjar try` and `nightjar worker` take from a command line, and how they tell what a reply took."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import pytest

from nightjar.config.errors import UsageError
from nightjar.jobs.models import LoadFacts
from nightjar.scripts import one_prompt
from nightjar.scripts.commands.try_ import _duration, reproducible_line
from nightjar.scripts.one_prompt import check_seed, pin, read_prompt
from nightjar.scripts.options.load import LoadOptions
from nightjar.workers.process.gpus import Card

LOAD = LoadFacts(
    device="CPU: 2 threads",
    offloaded_layers=0,
    context=64,
    slots=1,
    n_batch=64,
    n_ubatch=64,
    threads=2,
    flash_attention=False,
    cache_type_k="f16",
    cache_type_v="f16",
    llama_cpp_build="b1",
    llama_cpp_python="0.1",
    load_s=0.5,
    reproducible=True,
)
CARDS = [Card(index=str(number), uuid=f"GPU-{number}abc", name="NVIDIA L4", memory_bytes=1) for number in range(2)]


class Input:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize(
    ("words", "given", "expected"),
    [
        (["Tell me a story."], b"", "Tell me a story."),
        ([" kept as it is\n"], b"", " kept as it is\n"),
        (["-"], "Füchse\n".encode(), "Füchse\n"),
    ],
)
def test_a_prompt_is_read(words: list[str], given: bytes, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Input(given))
    assert read_prompt(words) == expected


@pytest.mark.parametrize(
    ("words", "system", "given", "said"),
    [
        ([""], None, b"", "The prompt is empty"),
        (["\u2003\n"], None, b"", "The prompt is empty"),  # white space of other scripts
        (["-"], None, b"  \n", "Standard input is empty"),
        (["-"], None, b"a\xff", "not valid UTF-8 at byte 1"),
        (["a\udcff"], None, b"", "The prompt is not valid UTF-8"),  # how Python hands on such an argument
        (["Hi"], "a\udcff", b"", "--system is not valid UTF-8"),
        (["Tell", "me"], None, b"", '"Tell me"'),  # the quotes forgotten
    ],
)
def test_a_prompt_that_is_none_is_refused(
    words: list[str], system: str | None, given: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Input(given))
    with pytest.raises(UsageError, match=said):
        read_prompt(words, system)


@pytest.mark.parametrize(("seed", "is_fine"), [(0, True), (2**31 - 1, True), (-1, False), (2**31, False)])
def test_seeds_are_those_of_a_runs_turns(seed: int, is_fine: bool) -> None:
    if is_fine:
        check_seed(seed)
        return
    with pytest.raises(UsageError, match="from 0 to 2147483647"):
        check_seed(seed)


@pytest.mark.parametrize(
    ("wanted", "cards", "engine", "visible"),
    [
        (None, CARDS, None, None),  # whatever llama.cpp finds
        ("none", CARDS, "none", ""),
        ("1", CARDS, "GPU-1abc", "GPU-1abc"),
        ("GPU-0", CARDS, "GPU-0abc", "GPU-0abc"),
    ],
)
def test_the_process_is_pinned_to_the_card(
    wanted: str | None, cards: Sequence[Card], engine: str | None, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("nightjar.workers.process.gpus.list_cards", lambda: list(cards))
    assert pin(wanted) == engine
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


@pytest.mark.parametrize(
    ("wanted", "cards", "said"),
    [
        ("banana", CARDS, "0: NVIDIA L4, GPU-0abc; 1: NVIDIA L4"),  # the choices are named
        ("7", [], "No NVIDIA card is visible"),
        ("0,1", CARDS, "on one card"),
    ],
)
def test_a_card_that_is_not_there_is_refused(
    wanted: str, cards: Sequence[Card], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nightjar.workers.process.gpus.list_cards", lambda: list(cards))
    with pytest.raises(UsageError, match=said):
        pin(wanted)


def test_the_log_goes_nowhere_where_the_home_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from nightjar.config.settings import load_settings

    monkeypatch.setenv("NIGHTJAR_HOME", "/dev/null/home")
    with one_prompt._log_stream(load_settings(), "try.log") as stream:
        assert stream.name == os.devnull


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "under 1 ms"), (0.0042, "4 ms"), (0.999, "999 ms"), (0.9997, "1.0 s"), (12.34, "12.3 s")],
)
def test_times_below_a_second_are_told_in_milliseconds(seconds: float, said: str) -> None:
    assert _duration(seconds) == said


@pytest.mark.parametrize(
    ("cost", "alone", "said"),
    [
        (0.38, False, "reproducible: costs 38% of the decode rate here"),
        (0.38, True, "reproducible: costs 38% of the decode rate here, one conversation per decode"),
        (0.0, False, "reproducible: costs 0% of the decode rate here"),  # measured, and nothing
        (None, False, "reproducible: at no known cost"),
    ],
)
def test_what_reproducible_costs_is_told(cost: float | None, alone: bool, said: str) -> None:
    load = LOAD.model_copy(update={"reproducible_alone": alone})
    assert reproducible_line(load, cost) == said


@pytest.mark.parametrize(("text", "slots"), [("auto", "auto"), (" Auto", "auto"), ("1", 1), ("256", 256)])
def test_slots_are_a_number_or_auto(text: str, slots: int | str) -> None:
    options = LoadOptions(slots=text)
    assert options.changes() == {"slots": slots}
    assert options.arguments() == ["--slots", str(slots)]


@pytest.mark.parametrize("text", ["0", "-1", "257", "1.5", "many", ""])
def test_other_slots_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="from 1 to 256, or auto"):
        LoadOptions(slots=text).changes()


@pytest.mark.parametrize(("text", "threads"), [("auto", "auto"), (" Auto", "auto"), ("1", 1), ("512", 512)])
def test_threads_are_a_number_or_auto(text: str, threads: int | str) -> None:
    options = LoadOptions(threads=text)
    assert options.changes() == {"threads": threads}
    assert options.arguments() == ["--threads", str(threads)]


@pytest.mark.parametrize("text", ["0", "-1", "513", "1.5", "all", "", "\u0663"])
def test_other_threads_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="from 1 to 512, or auto"):
        LoadOptions(threads=text).changes()


def test_what_is_not_given_changes_nothing() -> None:
    assert (LoadOptions().changes(), LoadOptions().arguments()) == ({}, [])
    assert LoadOptions(reproducible=True).changes() == {"reproducible": True}
    assert LoadOptions(reproducible=True, slots="4").arguments() == ["--slots", "4", "--reproducible"]
    assert LoadOptions(probe=True).changes() == {}  # it is no load setting
    assert LoadOptions(probe=True, threads="2").arguments() == ["--threads", "2", "--probe"]
    assert LoadOptions(probe=False).arguments() == ["--no-probe"]
