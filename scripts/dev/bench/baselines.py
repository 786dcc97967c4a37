"""What the engine is measured against: a bare decode loop, and `llama_cpp.Llama` in series."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np

import nightjar.workers.engine.llama.library  # noqa: F401  # keeps llama.cpp's log lines off the terminal
from nightjar.config.errors import EngineError, ModelError
from nightjar.scripts.dev.bench.workloads import SAMPLING, Delivered, Workload


class Apart:
    """A baseline in a process of its own.

    Two computing threads of one process have an OpenMP team each. With more such threads than cores the teams no
    longer wait busily at their barriers: on two cores everything in that process was slower by a quarter.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"))
        self._process.submit(_begin, make, arguments, options).result()

    def run(self, *arguments: Any) -> Any:
        return self._process.submit(_run, arguments).result()

    def close(self) -> None:
        self._process.shutdown()


_baseline: Any = None


def _begin(make: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    global _baseline
    _baseline = make(*arguments, **options)


def _run(arguments: tuple[Any, ...]) -> Any:
    return _baseline.run(*arguments)


class BareLoop:
    """`llama_decode` and `llama_sampler_sample`, and nothing else: no scheduler, no text, no asyncio.

    Raises ModelError if the model does not load, EngineError if llama.cpp does not decode.
    """

    def __init__(self, path: Path, *, slots: int, context: int, threads: int) -> None:
        self._slots = slots
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path} for the bare loop.")
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_seq_max = slots * context, slots
        params.n_batch, params.n_ubatch = 512, 256
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type, params.kv_unified, params.no_perf = 1, False, True
        self._ctx = llama.llama_init_from_model(self._model, params)
        if not self._ctx:
            raise ModelError(f"llama.cpp cannot open a context of {slots} x {context} tokens for the bare loop.")
        self._token, self._pos, self._seq = (np.zeros(512, np.int32) for _ in range(3))
        self._count, self._output = np.ones(512, np.int32), np.zeros(512, np.int8)
        self._pointers = self._seq.ctypes.data + 4 * np.arange(512, dtype=np.uint64)
        number = ctypes.POINTER(ctypes.c_int32)
        self._batch = llama.llama_batch(
            token=self._token.ctypes.data_as(number),
            pos=self._pos.ctypes.data_as(number),
            n_seq_id=self._count.ctypes.data_as(number),
            seq_id=self._pointers.ctypes.data_as(ctypes.POINTER(number)),
            logits=self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def run(self, prompt_tokens: int, generated: int) -> float:
        """All slots at once; returns the seconds of the decode phase."""
        slots, chains = self._slots, [_chain(seed) for seed in range(self._slots)]
        llama.llama_memory_clear(llama.llama_get_memory(self._ctx), False)
        for slot in range(slots):
            self._fill(
                [300 + (slot * 31 + i * 7) % 1000 for i in range(prompt_tokens)],
                range(prompt_tokens),
                [slot] * prompt_tokens,
            )
            self._output[:prompt_tokens] = 0
            self._decode()
        tokens, rows = [300] * slots, list(range(slots))
        began = time.perf_counter()
        for step in range(generated):
            self._fill(tokens, [prompt_tokens + step] * slots, rows)
            self._output[:slots] = 1
            self._decode()
            tokens = [llama.llama_sampler_sample(chain, self._ctx, row) for row, chain in enumerate(chains)]
        seconds = time.perf_counter() - began
        for chain in chains:
            llama.llama_sampler_free(chain)
        return seconds

    def close(self) -> None:
        llama.llama_free(self._ctx)
        llama.llama_model_free(self._model)

    def _decode(self) -> None:
        code = llama.llama_decode(self._ctx, self._batch)
        if code != 0:  # without its work done a loop is fast, and the ratio to it worth nothing
            raise EngineError(f"llama_decode failed with code {code} in the bare loop, {self._slots} slots.")

    def _fill(self, tokens: list[int], positions: Any, slots: list[int]) -> None:
        count = self._batch.n_tokens = len(tokens)
        self._token[:count], self._pos[:count], self._seq[:count] = tokens, positions, slots


class Serial:
    """One conversation at a time through `llama_cpp.Llama`, which reuses the last prompt's beginning by itself."""

    def __init__(self, path: Path, *, context: int, threads: int) -> None:
        self._llama = llama.Llama(
            str(path),
            n_ctx=context,
            n_gpu_layers=-1,  # all, as on the other sides
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=True,
            verbose=False,
        )

    def run(self, workload: Workload) -> Delivered:
        tokens = replies = 0
        began = time.perf_counter()
        for chat in workload.chats:
            ids: list[int] = []
            for turn in chat.turns:
                ids += turn
                self._llama.set_seed(chat.seed)
                drawn = self._llama.generate(ids, **{_OWN_NAMES.get(k, k): v for k, v in SAMPLING.items()})
                reply = [token for _, token in zip(range(workload.reply_tokens), drawn, strict=False)]
                ids = ids + reply
                tokens += len(reply)
                replies += 1
        return Delivered(seconds=time.perf_counter() - began, replies=replies, reply_tokens=tokens)

    def close(self) -> None:
        self._llama.close()


_OWN_NAMES = {"temperature": "temp"}


def _chain(seed: int) -> Any:
    params = llama.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = llama.llama_sampler_chain_init(params)
    for sampler in (
        llama.llama_sampler_init_top_k(SAMPLING["top_k"]),
        llama.llama_sampler_init_top_p(SAMPLING["top_p"], 1),
        llama.llama_sampler_init_min_p(SAMPLING["min_p"], 1),
        llama.llama_sampler_init_temp(SAMPLING["temperature"]),
        llama.llama_sampler_init_dist(seed),
    ):
        llama.llama_sampler_chain_add(chain, sampler)
    return chain
