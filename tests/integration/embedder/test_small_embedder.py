"""The small embedder: one process for all who need it, which ends with them and is started again if it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from nightjar.config.endpoint import socket_path
from nightjar.config.errors import ModelError, UnknownNameError
from nightjar.config.settings import Settings
from nightjar.workers.embedder.client import SmallEmbedder, open_embedder
from nightjar.workers.library.memory_model import memory_model_bytes, room_here
from tests.demo_engine import DEMO
from tests.minilm import WHEEL_SHA256, Original, cached_gguf, embed

TEXTS = ("A lighthouse stands in the storm.", "The beacon on the cliff during the gale.", "Bread needs flour.")


@pytest.fixture(scope="module")
def minilm(request: pytest.FixtureRequest) -> tuple[Original, Path]:
    assert request.config.cache is not None
    return cached_gguf(request.config.cache.mkdir(f"minilm-{WHEEL_SHA256[:12]}"))


@pytest.fixture
def configured(settings: Settings, minilm: tuple[Original, Path]) -> Settings:
    return settings.model_copy(update={"memory_model": str(minilm[1])})


def helpers(home: Path) -> list[psutil.Process]:
    """Embedder processes that listen at a socket of this home."""
    folder = str(socket_path(home, "any").parent)
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        ours = "nightjar.workers.embedder.process" in words and words[-1].startswith(folder)
        found += [process] if ours and process.info["status"] != psutil.STATUS_ZOMBIE else []
    return found


async def ended(home: Path) -> bool:
    for _ in range(300):
        if not helpers(home):
            return True
        await asyncio.sleep(0.1)
    return False


async def test_two_users_share_a_process_and_it_ends_with_the_last(
    configured: Settings, minilm: tuple[Original, Path]
) -> None:
    """Vectors as the original's; many texts go in batches; the digest is the file's."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm[0].tokenizer_file))
    tokenizer.no_padding()
    async with await open_embedder(configured, "This test") as one:
        async with await open_embedder(configured, "This test") as other:
            vectors, many = await asyncio.gather(one.embed(TEXTS), other.embed(["short"] * 130))
            assert len(helpers(configured.home)) == 1
        theirs = np.array([embed(minilm[0], tokenizer.encode(text).ids) for text in TEXTS])
        assert (vectors * theirs).sum(1).min() > 0.999
        assert many.shape == (130, 384)
        assert (await one.embed([])).shape[0] == 0
        assert len(one.facts.digest) == 64
        assert len(helpers(configured.home)) == 1, "one of its users is still there"
    assert await ended(configured.home)


async def test_a_killed_process_is_started_again(configured: Settings) -> None:
    async with await open_embedder(configured, "This test") as embedder:
        before = await embedder.embed(TEXTS)
        [process] = helpers(configured.home)
        os.kill(process.pid, signal.SIGKILL)
        assert np.allclose(await embedder.embed(TEXTS), before)
        [again] = helpers(configured.home)
        assert again.pid != process.pid
        again.send_signal(signal.SIGTERM)  # of a whole group of processes: its users still need it
        assert (await embedder.embed(TEXTS)).shape == (3, 384)
        assert helpers(configured.home) == [again]


async def test_a_user_that_was_killed_leaves_no_process(configured: Settings) -> None:
    """Its connection is closed by the kernel, whatever became of it."""
    embedder: SmallEmbedder = await open_embedder(configured, "This test")
    await embedder.embed(TEXTS[:1])
    assert embedder._streams is not None
    embedder._streams[1].transport.abort()
    assert await ended(configured.home)


async def test_it_cannot_be_had(settings: Settings) -> None:
    """Not set: what to pull. A chat model; a name that nobody knows; a file that cannot be loaded."""
    with pytest.raises(ModelError, match=r"Recall needs a small embedding model.*nightjar model pull \S+/\S+"):
        await open_embedder(settings, "Recall")
    with pytest.raises(ModelError, match=r"generates text.*nightjar model pull"):
        await open_embedder(settings.model_copy(update={"memory_model": str(DEMO)}), "Recall")
    with pytest.raises(UnknownNameError):
        await open_embedder(settings.model_copy(update={"memory_model": "nobody"}), "Recall")


def test_its_memory_counts_in_fit(settings: Settings, configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least its weights, and never more than there is."""
    from nightjar.workers.library import memory_model
    from nightjar.workers.library.fit.hardware import Machine

    monkeypatch.setattr(memory_model, "this_machine", lambda: Machine(memory=2**31, available=2**31, cores=2))
    assert memory_model_bytes(settings) == 0
    taken = memory_model_bytes(configured)
    assert 45_000_000 < taken < 300_000_000
    assert room_here(configured).host == 2**31 - taken
    assert room_here(settings).host == 2**31
