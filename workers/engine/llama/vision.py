"""A vision model: a model file and its projector, asked about one picture at a time, through llama.cpp's libmtmd."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp as llama
from llama_cpp import mtmd_cpp as mtmd

from nightjar.config.errors import ContextError, EngineError, ModelFileError
from nightjar.workers.engine.llama.context import ContextSettings, open_context
from nightjar.workers.engine.llama.library import forget_errors, log_line, recent_errors
from nightjar.workers.engine.llama.model import LlamaModel

MARKER = mtmd.mtmd_default_marker().decode()
"""Where the picture stands in a prompt."""
MOST_BATCH = 2048

mtmd.mtmd_log_set(log_line, None)
mtmd.mtmd_helper_log_set(log_line, None)


class VisionModel:
    """On the CPU. Not for two threads at once."""

    def __init__(self, path: Path, projector: Path, *, context: int, threads: int) -> None:
        """Raises ModelFileError where the files cannot be loaded, or do not belong together; ModelFitError."""
        self._eyes: Any = None
        self._context: Any = None
        self._model = LlamaModel(path, gpu_layers=0, mmap=True, mlock=False)
        self._size = context
        self._batch = min(context, MOST_BATCH)  # a picture may have to be decoded in one piece
        settings = ContextSettings(
            context=context,
            slots=1,
            n_batch=self._batch,
            n_ubatch=self._batch,
            threads=threads,
            flash_attention=False,
            offload_kv=False,
            cache_type_k="f16",
            cache_type_v="f16",
        )
        try:
            self._context, _ = open_context(self._model, settings)
            self._eyes = _eyes(projector, self._model, threads)
        except BaseException:
            self.close()
            raise

    @property
    def chat_template(self) -> str | None:
        """The file's own."""
        return self._model.chat_template

    @property
    def texts(self) -> tuple[str, str]:
        """Of the tokens that begin and end a text, as templates write them."""
        return self._model.tokenizer.bos_text, self._model.tokenizer.eos_text

    def reply(self, prompt: str, pixels: bytes, width: int, height: int, most_tokens: int) -> str:
        """What the model says, always the likeliest token. `prompt`: rendered, with MARKER where the RGB picture is.

        Raises ContextError where both are too long, EngineError where llama.cpp fails.
        """
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        with self._chunks(prompt, pixels, width, height) as chunks:
            tokens = mtmd.mtmd_helper_get_n_tokens(chunks)
            if tokens + most_tokens > self._size:
                raise ContextError(
                    f"Picture and prompt have {tokens} tokens, the reply {most_tokens}, and the context holds "
                    f"{self._size}. Give the model a larger `context`."
                )
            at = llama.llama_pos(0)
            forget_errors()
            if mtmd.mtmd_helper_eval_chunks(
                self._eyes, self._context, chunks, 0, 0, self._batch, True, ctypes.byref(at)
            ):
                raise EngineError(f"llama.cpp cannot read the picture: {recent_errors() or 'it gave no reason'}.")
        return self._generate(at.value, most_tokens)

    def _generate(self, position: int, most_tokens: int) -> str:
        sampler = llama.llama_sampler_init_greedy()
        batch = llama.llama_batch_init(1, 0, 1)
        batch.n_tokens, batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 1, 0, 1
        said: list[int] = []
        try:
            while len(said) < most_tokens:
                token = int(llama.llama_sampler_sample(sampler, self._context, -1))
                if self._model.tokenizer.is_end(token):
                    break
                said.append(token)
                batch.token[0], batch.pos[0] = token, position
                position += 1
                if llama.llama_decode(self._context, batch):
                    raise EngineError(f"llama.cpp cannot go on: {recent_errors() or 'it gave no reason'}.")
        finally:
            llama.llama_batch_free(batch)
            llama.llama_sampler_free(sampler)
        return self._model.tokenizer.detokenize(said)

    @contextmanager
    def _chunks(self, prompt: str, pixels: bytes, width: int, height: int) -> Iterator[Any]:
        """Prompt and picture as the model takes them."""
        data = prompt.encode("utf-8", "replace")
        bos = self.texts[0]
        text = mtmd.mtmd_input_text(data, len(data), not (bos and prompt.startswith(bos)), True)
        picture = mtmd.mtmd_bitmap_init(width, height, (ctypes.c_uint8 * len(pixels)).from_buffer_copy(pixels))
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            pictures = (mtmd.mtmd_bitmap_p_ctypes * 1)(picture)
            if mtmd.mtmd_tokenize(self._eyes, chunks, ctypes.byref(text), pictures, 1):
                raise EngineError(
                    f"llama.cpp cannot put the picture into the prompt: {recent_errors() or 'it gave no reason'}."
                )
            yield chunks
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(picture)

    def close(self) -> None:
        """Frees everything. Idempotent."""
        if self._eyes:
            mtmd.mtmd_free(self._eyes)
            self._eyes = None
        if self._context:
            llama.llama_free(self._context)
            self._context = None
        self._model.close()


def _eyes(projector: Path, model: LlamaModel, threads: int) -> Any:
    """What turns pictures into the model's embeddings. Raises ModelFileError."""
    params = mtmd.mtmd_context_params_default()
    params.use_gpu = params.print_timings = params.warmup = False
    params.n_threads = threads
    forget_errors()
    eyes = mtmd.mtmd_init_from_file(str(projector).encode(), model.handle, params)
    if eyes and mtmd.mtmd_support_vision(eyes):
        return eyes
    reason = recent_errors() or ("it sees no pictures" if eyes else "llama.cpp gave no reason")
    if eyes:
        mtmd.mtmd_free(eyes)
    raise ModelFileError(f"{projector} cannot be used as the projector of this model: {reason}.")
