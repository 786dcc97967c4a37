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
WINDOW, CHUNKS = 256, 4
MICRO_BATCH = 64
TOP, LAST, TRIES = "Same top p:", f"[{CHUNKS}]", 8
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
    """Tales of the demo's kind, long enough for the windows by any vocabulary."""
    file = tmp_path_factory.mktemp("text") / "text.txt"
    kinds = "fox bear cat dog bird hare duck frog goat lamb mouse owl pig hen wolf bee ant crow swan seal".split()
    pairs = [(kind, kinds[(7 * number + 3) % len(kinds)], number) for number, kind in enumerate(kinds * 4)]
    tales = (
        f"Once upon a time there was a {one}. It met a {two} in the wood, and they shared bread number {number}. "
        f"Then the {two} walked home, and the {one} was happy.\n"
        for one, two, number in pairs
    )
    file.write_text("".join(tales), "utf-8")
    return file


def program(last: str, model: Path, text: Path, base: Path, *more: str) -> str:
    """What it prints: batches, micro-batches and flash attention as the comparison has them.

    Its log is written by a thread that is not waited for, so that now and then the last lines, where `last` stands, are
    lost: it is asked again.
    """
    options = ("-c", WINDOW, "-b", WINDOW, "-ub", MICRO_BATCH, "-t", 1, "-tb", 1, "-fa", "off", "-ngl", 0)
    words = [PROGRAM, "-m", model, "-f", text, "--chunks", CHUNKS, "--kl-divergence-base", base, *options, *more]
    for _ in range(TRIES):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        if last in done.stdout:
            break
    return done.stdout


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
    reference = program(LAST, model, text, base)
    compared = program(TOP, coarse, text, base, "--kl-divergence")
    numbers = ours(pair, text)
    assert numbers.reference_perplexity == pytest.approx(said(re.escape(LAST), reference), rel=0.005)
    assert numbers.perplexity == pytest.approx(said(r"Mean PPL\(Q\)\s*:", compared), rel=0.005)
    assert numbers.kld.value == pytest.approx(said(r"Mean\s+KLD:", compared), rel=0.005, abs=1e-4)
    assert 100 * numbers.same_top.value == pytest.approx(said(TOP, compared), abs=0.5)
    assert numbers.tokens == CHUNKS * (WINDOW - WINDOW // 2 - 1)


async def test_so_is_the_perplexity_of_a_suite(pair: tuple[Path, Path], text: Path, tmp_path: Path) -> None:
    """`mode: perplexity` with `score_from` at the half, as the engine scores it."""
    model, _ = pair
    printed = program(LAST, model, text, tmp_path / "base.kld")
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
    assert math.exp(-total / tokens) == pytest.approx(said(re.escape(LAST), printed), rel=0.005)
