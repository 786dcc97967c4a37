"""A real embedding model: all-MiniLM-L6-v2, converted to GGUF here, embeds as the original does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nightjar.config.errors import ModelError
from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.models import ModelFacts, ModelKind
from nightjar.jobs.parameters import Parameters
from nightjar.workers.engine.loading import load
from nightjar.workers.engine.request import Request
from nightjar.workers.library.digests import DigestCache
from nightjar.workers.library.fit.estimate import kv_bytes_per_token
from nightjar.workers.library.gguf.shape import shape_of
from nightjar.workers.library.inspect import inspect_file, read_facts
from tests.minilm import WHEEL_SHA256, Original, embed, original, write_as_gguf

TEXTS = (
    "A fox jumps over the lazy dog.",
    "The quick animal leaps over a sleepy hound.",
    "Stock markets fell on Monday.",
    "Ünïcödé, naïve café – 你好! [CLS] is text here",
    "x",
    "word " * 200,
)


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Original:
    """The published model, kept in pytest's cache between runs."""
    assert request.config.cache is not None
    return original(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))


@pytest.fixture(scope="module")
def path(model: Original, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_as_gguf(model, tmp_path_factory.mktemp("minilm") / "all-minilm-l6-v2.gguf")


@pytest.fixture(scope="module")
def facts(path: Path) -> ModelFacts:
    return read_facts(path, "minilm", digests=DigestCache(path.parent / "digests.json"))


def test_its_facts(path: Path, facts: ModelFacts) -> None:
    """An embedding model by architecture; it keeps no KV."""
    assert facts.kind is ModelKind.EMBEDDING
    assert (facts.file_facts.architecture, facts.file_facts.vocabulary) == ("bert", 30522)
    assert facts.template_digest is None
    assert kv_bytes_per_token(shape_of(inspect_file(path).metadata)) == 0


async def test_embeddings_agree_with_the_original(model: Original, path: Path, facts: ModelFacts) -> None:
    """Cosine of at least 0.999 for each text, several at once; near texts near, far ones far; the same tokens."""
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(model.tokenizer_file))
    reference.no_padding()
    reference.no_truncation()
    ids = [reference.encode(text).ids for text in TEXTS]
    engine = await load(path, settings=LoadSettings(threads=1, slots=3), facts=facts, gpu="none")
    try:
        ours = np.array(await engine.embed(ids))
        plain = [engine.tokenizer.tokenize(text, parse_special=False) for text in TEXTS[:3]]
        with pytest.raises(ModelError):
            await engine.generate(Request(id="r", prompt=tuple(ids[0]), max_tokens=4, parameters=Parameters(), seed=1))
    finally:
        await engine.close()
    theirs = np.array([embed(model, text_ids) for text_ids in ids])
    assert plain == [text_ids[1:-1] for text_ids in ids[:3]]
    assert ours.shape == (len(TEXTS), 384)
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1)
    assert cosines.min() >= 0.999
    assert ours[0] @ ours[1] > 0.6
    assert ours[0] @ ours[2] < 0.2
