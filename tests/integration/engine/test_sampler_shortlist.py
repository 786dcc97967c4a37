"""Drawing from a shortlist of likely tokens gives the very tokens that llama.cpp draws from the whole vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from nightjar.jobs.parameters import Parameters
from nightjar.scripts.dev.bench.models import TINY, build
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
