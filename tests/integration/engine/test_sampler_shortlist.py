"""Drawing from a shortlist of likely tokens gives the very tokens that llama.cpp draws from the whole vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightjar.jobs.parameters import Parameters
from nightjar.scripts.dev.bench.models import TINY, build
from nightjar.workers.engine.grammar.matcher import Mask, allowed_ids
from nightjar.workers.engine.llama.backend import GREEDY_K
from nightjar.workers.engine.llama.model import LlamaModel
from nightjar.workers.engine.llama.sampler import Candidates, Chain, Chains, Shortlist
from nightjar.workers.engine.request import Request

VOCABULARY = 20_000
ROWS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    loaded = LlamaModel(build(TINY, tmp_path_factory.mktemp("m")), gpu_layers=0, mmap=True, mlock=False)
    yield loaded
    loaded.close()


def chain(model: LlamaModel, parameters: Parameters) -> Chain:
    request = Request(id="r", prompt=(300,), max_tokens=ROWS, parameters=parameters, seed=5)
    return Chains(model).of(request, context=256)


@pytest.mark.parametrize(
    "options",
    [
        {},  # the defaults: top-k 40, top-p, min-p, temperature
        {"top_k": 1},
        {"top_k": 100, "top_p": 1.0, "min_p": 0.0, "temperature": 3.0},
        {"typical_p": 0.7},
        {"xtc_probability": 0.5, "xtc_threshold": 0.05},  # draws from its own random numbers
    ],
)
def test_the_same_tokens_in_the_same_order(model: LlamaModel, options: dict[str, float]) -> None:
    parameters = Parameters.model_validate(options)
    short, whole = chain(model, parameters), chain(model, parameters)
    shortlist, candidates = Shortlist(parameters.top_k, VOCABULARY), Candidates(VOCABULARY)
    random = np.random.default_rng(3)
    found, wanted = [], []
    for _ in range(ROWS):
        logits = (3 * random.standard_normal(VOCABULARY)).astype(np.float32)
        found.append(shortlist.draw(logits, short))
        wanted.append(candidates.draw(np.arange(VOCABULARY), logits, whole))
        whole.accept(wanted[-1])
    short.close()
    whole.close()
    assert found == wanted
    assert len(set(found)) > ROWS / 2


def test_there_is_no_shortlist_of_a_flat_distribution(model: LlamaModel) -> None:
    """All logits alike pass any bound: the caller then hands llama.cpp all of them."""
    plain = chain(model, Parameters())
    assert Shortlist(40, VOCABULARY).draw(np.zeros(VOCABULARY, np.float32), plain) is None
    plain.close()


def test_nor_of_logits_that_are_no_numbers(model: LlamaModel) -> None:
    plain = chain(model, Parameters())
    assert Shortlist(40, VOCABULARY).draw(np.full(VOCABULARY, np.nan, np.float32), plain) is None
    plain.close()


MASKED: list[dict[str, float]] = [
    {},
    {"top_k": 1},
    {"top_k": 100, "top_p": 1.0, "min_p": 0.0, "temperature": 2.0},
    {"typical_p": 0.7},
    {"xtc_probability": 0.5, "xtc_threshold": 0.05},
    {"temperature": 0.0},
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    options=st.sampled_from(MASKED),
    share=st.sampled_from([0.0002, 0.001, 0.005, 0.05, 0.5, 0.99]),  # from 4 entries on
    spread=st.sampled_from([0.3, 3.0, 12.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_of_those_a_mask_lets_through_the_very_same(
    model: LlamaModel,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, float],
    share: float,
    spread: float,
    seed: int,
) -> None:
    """As the chain draws from the whole row, with the others put out by hand: the same id, and the same probability of
    each that was left to draw from."""
    parameters = Parameters.model_validate(options)
    random = np.random.default_rng(seed)
    logits = (spread * random.standard_normal(VOCABULARY)).astype(np.float32)
    bits = random.random(VOCABULARY) < share
    bits[random.integers(VOCABULARY)] = True
    mask = packed(bits)
    greedy = parameters.temperature == 0
    shortlist = Shortlist(GREEDY_K, VOCABULARY, needed=1) if greedy else Shortlist(parameters.top_k, VOCABULARY)
    left = Left(monkeypatch)
    short, whole = chain(model, parameters), chain(model, parameters)
    found = shortlist.pick(logits, short, mask)
    if found is None:  # then the allowed ones are counted out
        found = Candidates(VOCABULARY).draw(allowed_ids(mask, VOCABULARY), logits, short)
    probabilities = left.last
    put_out = np.where(bits, logits, -np.inf).astype(np.float32)
    assert Candidates(VOCABULARY).draw(np.arange(VOCABULARY), put_out, whole) == found
    assert bits[found]
    if not greedy:
        assert probabilities == pytest.approx(left.last)
        assert probabilities[found] > 0
    short.close()
    whole.close()


def packed(bits: npt.NDArray[np.bool_]) -> Mask:
    """A mask as llguidance writes it: a bit for each entry, in words of 32."""
    padded = np.pad(bits, (0, -len(bits) % 32))
    return np.packbits(padded, bitorder="little").view(np.uint32)


class Left:
    """What the last draw left to choose from, with its probabilities."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last: dict[int, float] = {}
        apply = plain_apply

        def recording(handle: Any, array: Any) -> None:
            apply(handle, array)
            found = ctypes.cast(array, llama.llama_token_data_array_p).contents
            entries = [found.data[place] for place in range(found.size)]
            self.last = {entry.id: entry.p for entry in entries if entry.p > 0}

        monkeypatch.setattr(llama, "llama_sampler_apply", recording)


plain_apply = llama.llama_sampler_apply


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_the_ids_of_a_mask(bits: list[bool]) -> None:
    assert allowed_ids(packed(np.array(bits)), len(bits)).tolist() == [place for place, bit in enumerate(bits) if bit]
