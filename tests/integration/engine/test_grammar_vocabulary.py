"""A model's vocabulary for grammars: read once, beside the weights, and freed before the model that it points into."""

from __future__ import annotations

import threading

import llama_cpp as llama
import pytest

from nightjar.config.errors import EngineError, ParameterError
from nightjar.workers.engine.grammar.held import held_to
from nightjar.workers.engine.llama.grammar_vocabulary import MOST_GRAMMARS, GrammarVocabulary
from nightjar.workers.engine.llama.model import LlamaModel
from tests.demo_engine import DEMO

THREAD = "grammar-vocabulary"


def opened(*, whole: bool = False) -> LlamaModel:
    return LlamaModel(DEMO, gpu_layers=0, mmap=True, mlock=False, vocabulary_only=not whole, grammars=whole)


def grammar(text: str) -> str:
    return held_to(text, None) or ""


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The models that llama.cpp was told to free, in order."""
    addresses: list[int] = []
    free = llama.llama_model_free

    def recording(handle: int) -> None:
        addresses.append(handle)
        free(handle)

    monkeypatch.setattr(llama, "llama_model_free", recording)
    return addresses


def test_it_is_read_once_in_a_thread_of_its_own() -> None:
    """Whoever made it goes on at once; whoever needs it first waits for it; many grammars are made of the one."""
    may_open, by = threading.Event(), list[str]()

    def slowly() -> LlamaModel:
        may_open.wait(10)
        by.append(threading.current_thread().name)
        return opened()

    vocabulary = GrammarVocabulary(slowly)
    try:
        first = grammar("/first/")
        assert not vocabulary.ready(first)
        waiting = threading.Thread(target=vocabulary.prepare, args=(first,))
        waiting.start()
        waiting.join(0.1)
        assert (waiting.is_alive(), by) == (True, [])
        may_open.set()
        waiting.join(10)
        assert vocabulary.ready(first)
        for number in range(MOST_GRAMMARS):
            vocabulary.matcher(grammar(f"/{number}/"))
        assert not vocabulary.ready(first), "the oldest goes"
        assert by == [THREAD]
    finally:
        may_open.set()
        vocabulary.close()


def test_matchers_of_one_grammar_go_their_own_ways() -> None:
    vocabulary = GrammarVocabulary(opened)
    try:
        one, two = (vocabulary.matcher(grammar("/a(b|c)/")) for _ in range(2))
        assert one.forced()
        assert one.mask().any()
        assert one.mask().tolist() != two.mask().tolist()
    finally:
        vocabulary.close()


def test_it_is_read_while_the_weights_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread runs before llama.cpp is asked for the weights."""
    load, running = llama.llama_model_load_from_file, list[bool]()

    def loading(path: bytes, params: llama.llama_model_params) -> int | None:
        if not params.vocab_only:
            running.append(THREAD in {thread.name for thread in threading.enumerate()})
        return load(path, params)

    monkeypatch.setattr(llama, "llama_model_load_from_file", loading)
    opened(whole=True).close()
    assert running == [True]


@pytest.mark.parametrize("used", [True, False])
def test_it_is_freed_before_the_model(freed: list[int], used: bool) -> None:
    """Also where it is still being read when the model is closed."""
    model = opened(whole=True)
    whole = model.handle
    if used:
        assert model.grammar_vocabulary.matcher(grammar("/yes/")).forced()
    model.close()
    assert (len(freed), freed[-1]) == (2, whole)
    assert THREAD not in {thread.name for thread in threading.enumerate()}


def test_what_cannot_be_read_is_told_to_whoever_wants_a_grammar() -> None:
    def broken() -> LlamaModel:
        raise RuntimeError("no such thing")

    vocabulary = GrammarVocabulary(broken)
    for _ in range(2):
        with pytest.raises(EngineError, match="cannot read this model's vocabulary: no such thing"):
            vocabulary.matcher(grammar("/yes/"))
    vocabulary.close()
    vocabulary.close()  # again


def test_a_closed_one_makes_no_more_and_a_bad_grammar_harms_none() -> None:
    vocabulary = GrammarVocabulary(opened)
    with pytest.raises(ParameterError, match="cannot be used with this model's vocabulary"):
        vocabulary.prepare("no grammar")
    vocabulary.prepare(grammar("/yes/"))
    vocabulary.close()
    assert not vocabulary.ready(grammar("/yes/"))
    with pytest.raises(EngineError, match="closed"):
        vocabulary.matcher(grammar("/yes/"))
