"""What the engine's likelihoods are measured against: a serial loop, and `llama_cpp.Llama` as harnesses ask it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np

import nightjar.workers.engine.llama.library  # noqa: F401  # keeps llama.cpp's log lines off the terminal
from nightjar.config.errors import EngineError, ModelError
from nightjar.scripts.dev.bench.workloads import Ids

Questions = Sequence[tuple[Ids, tuple[Ids, ...]]]


class SerialScorer:
    """One text after the other over the low-level API, each going on from what it shares with the one before. Only rows
    that are read are asked for, and no answer's last token is computed."""

    def __init__(self, path: Path, context: int, threads: int) -> None:
        """Raises ModelError."""
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path} for the serial loop.")
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch = context, context
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type, params.no_perf = llama.LLAMA_FLASH_ATTN_TYPE_AUTO, True
        self._ctx = llama.llama_init_from_model(self._model, params)
        if not self._ctx:
            raise ModelError(f"llama.cpp cannot open a context of {context} tokens for the serial loop.")
        self._memory = llama.llama_get_memory(self._ctx)
        self._vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))
        self._batch = llama.llama_batch_init(context, 0, 1)

    def run(self, header: Ids, questions: Questions) -> float:
        """Seconds for all questions, the header being there."""
        llama.llama_memory_clear(self._memory, False)
        self._rows(header, 0, 1)
        began = time.perf_counter()
        for context, answers in questions:
            first = _logprobs(self._rows(context[len(header) :], len(header), 1)[0])
            for answer in answers:
                rows = self._rows(answer[:-1], len(context), len(answer) - 1)
                float(first[answer[0]]) + sum(
                    float(_logprobs(row)[token]) for row, token in zip(rows, answer[1:], strict=True)
                )
        return time.perf_counter() - began

    def _rows(self, ids: Ids, start: int, outputs: int) -> Any:
        """Computes ids from a position on; the logits of the last `outputs` of them."""
        llama.llama_memory_seq_rm(self._memory, 0, start or -1, -1)
        batch = self._batch
        batch.n_tokens = len(ids)
        for at, token in enumerate(ids):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, start + at, 1
            batch.seq_id[at][0], batch.logits[at] = 0, at >= len(ids) - outputs
        code = llama.llama_decode(self._ctx, batch)
        if code != 0:
            raise EngineError(f"llama_decode failed with code {code} in the serial loop.")
        return np.ctypeslib.as_array(llama.llama_get_logits(self._ctx), shape=(outputs, self._vocabulary))


def _logprobs(row: Any) -> Any:
    peak = row.max()
    return row - (peak + np.log(np.exp(row - peak).sum(dtype=np.float64)))


class EchoScorer:
    """`create_completion(echo=True)` with the logits of every token, once an answer."""

    def __init__(self, path: Path, context: int, threads: int) -> None:
        self._llama = llama.Llama(
            str(path),
            n_ctx=context,
            n_gpu_layers=-1,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=True,
            logits_all=True,
            verbose=False,
        )

    def run(self, header: Ids, questions: Questions) -> float:
        """Seconds; it finds the header again by itself where it can. It cannot echo ids, so it gets their text."""
        texts = [
            self._llama.detokenize([*context, *answer]).decode("utf-8", "replace")
            for context, answers in questions
            for answer in answers
        ]
        began = time.perf_counter()
        for text in texts:
            self._llama.create_completion(text, max_tokens=1, echo=True, logprobs=10, temperature=0.0)
        return time.perf_counter() - began
