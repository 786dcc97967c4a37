"""Perplexity and divergence of one text, as llama.cpp's own `llama-perplexity` gives them.

Runs where `LLAMA_PERPLEXITY` names that program, built of the llama.cpp of llama-cpp-python (docs/benchmarks.md).
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nightjar import config
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.sequences import TextRule
from nightjar.pipeline.report.data.fidelity_numbers import FidelityNumbers, fidelity_numbers
from nightjar.scripts.fidelity import TextSource, read_material
from nightjar.workers.conversation.text_windows import Vocabulary, plan_windows
from nightjar.workers.engine.device import this_device
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import ScoreRequest
from nightjar.workers.fidelity.comparison import LoadComparison
from nightjar.workers.fidelity.loads import FidelityLoad
from nightjar.workers.fidelity.passages import WindowLayout, places_of
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.inspect import read_facts
from tests.requantised import requantise
from tests.smollm2 import smollm2

PROGRAM = os.environ.get("LLAMA_PERPLEXITY")
DOCS = Path(__file__).parents[3] / "docs"
WINDOW, CHUNKS = 256, 4
MICRO_BATCH = 64
MODELS: dict[str, Callable[[], Path]] = {
    "the demo": lambda: Path(config.__file__).parent / "models" / "nightjar-demo.gguf",
    "SmolLM2": smollm2,
}
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(PROGRAM is None, reason="LLAMA_PERPLEXITY names no llama-perplexity"),
]


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and itself requantised."""
    model = MODELS[request.param]()
    return model, requantise(model, "Q4_K_M", tmp_path_factory.mktemp("pair") / "coarse.gguf")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for the windows by any vocabulary."""
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text((DOCS / "statistics.md").read_text("utf-8")[:6000], "utf-8")
    return file


def program(model: Path, text: Path, base: Path, *more: str) -> str:
    """What it prints: batches, micro-batches and flash attention as the comparison has them."""
    options = ("-c", WINDOW, "-b", WINDOW, "-ub", MICRO_BATCH, "-t", 1, "-tb", 1, "-fa", "off", "-ngl", 0)
    words = [PROGRAM, "-m", model, "-f", text, "--chunks", CHUNKS, "--kl-divergence-base", base, *options, *more]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def said(pattern: str, printed: str) -> float:
    found = re.search(pattern + r"\s*(-?[0-9.]+)", printed)
    assert found is not None, printed[-2000:]
    return float(found.group(1))


def a_load(path: Path, name: str) -> FidelityLoad:
    settings = LoadSettings(threads=1, flash_attention=False, n_ubatch=MICRO_BATCH)
    entry = ModelEntry(name=name, path=path, load=settings, parameters={}, template=None, reasoning=None)
    return FidelityLoad(label=name, entry=entry, facts=read_facts(path, name))


def ours(pair: tuple[Path, Path], text: Path) -> FidelityNumbers:
    loads = [a_load(pair[0], "reference"), a_load(pair[1], "coarse")]
    source = TextSource(
        name="text",
        texts=(text.read_text("utf-8"),),
        window=WINDOW,
        layout=WindowLayout.LLAMA_PERPLEXITY,
        limit=CHUNKS,
    )
    material = read_material(loads, source)
    comparison = LoadComparison(
        passages=material.passages, device=this_device("none"), apart=False, seed=1, folder=Path(tempfile.gettempdir())
    )
    [(_, deviations)] = comparison.compare(loads[0], loads[1:]).candidates
    return fidelity_numbers(deviations, places_of(material.passages), material.unit)


def test_perplexity_and_divergence_are_its_own(pair: tuple[Path, Path], text: Path, tmp_path: Path) -> None:
    """To 0.5 % or 1e-4 nats: its file of the reference's distributions has 16 bits an entry."""
    model, coarse = pair
    base = tmp_path / "base.kld"
    reference = program(model, text, base)
    compared = program(coarse, text, base, "--kl-divergence")
    numbers = ours(pair, text)
    assert numbers.reference_perplexity == pytest.approx(said(r"Final estimate: PPL =", reference), rel=0.005)
    assert numbers.perplexity == pytest.approx(said(r"Mean PPL\(Q\)\s*:", compared), rel=0.005)
    assert numbers.kld.value == pytest.approx(said(r"Mean\s+KLD:", compared), rel=0.005, abs=1e-4)
    assert 100 * numbers.same_top.value == pytest.approx(said(r"Same top p:", compared), abs=0.5)
    assert numbers.tokens == CHUNKS * (WINDOW - WINDOW // 2 - 1)


async def test_so_is_the_perplexity_of_a_suite(pair: tuple[Path, Path], text: Path, tmp_path: Path) -> None:
    """`mode: perplexity` with `score_from` at the half, as the engine scores it."""
    model, _ = pair
    printed = program(model, text, tmp_path / "base.kld")
    content = text.read_text("utf-8")  # noqa: ASYNC240  # a small file
    settings = LoadSettings(
        threads=1, slots=1, context=2 * WINDOW, n_ubatch=MICRO_BATCH, flash_attention=False, reproducible=True
    )
    async with await load(model, settings=settings, gpu="none") as engine:
        tokenizer = engine.tokenizer
        ids = tokenizer.tokenize(content, parse_special=False)
        vocabulary = Vocabulary(bos=tokenizer.bos, eos=None, asked_bos=tokenizer.bos is not None, context=2 * WINDOW)
        plan = plan_windows(ids, TextRule(window=WINDOW, score_from=WINDOW // 2), vocabulary)
        total = tokens = 0.0
        for number, window in enumerate(plan.windows[:CHUNKS]):
            request = ScoreRequest(id=f"w{number}", context=window.context, continuations=(window.scored,))
            [scored] = (await engine.score(request)).scored
            total += sum(scored.logprobs)
            tokens += len(scored.logprobs)
    assert math.exp(-total / tokens) == pytest.approx(said(r"Final estimate: PPL =", printed), rel=0.005)
