"""A model file in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp as llama

from nightjar.config.errors import ModelFileError
from nightjar.workers.engine.llama.grammar_vocabulary import GrammarVocabulary
from nightjar.workers.engine.llama.library import forget_errors, recent_errors
from nightjar.workers.engine.llama.tokenizer import LlamaTokenizer
from nightjar.workers.library.gguf.metadata import template_key

MAX_KEY_BYTES = 256


class LlamaModel:
    """A loaded model file, with its vocabulary."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int,
        mmap: bool,
        mlock: bool,
        vocabulary_only: bool = False,
        grammars: bool = False,
        progress: Callable[[float], bool] = lambda share: True,
    ) -> None:
        """`progress` hears the share that is loaded, and ends the load where it returns False.

        `vocabulary_only`: no weights are read, and no context can be made. `grammars`: the vocabulary is made ready for
        them meanwhile, else when it is first asked for. Raises ModelFileError if llama.cpp cannot load the file.
        """
        self._path = path
        self._grammar_vocabulary: GrammarVocabulary | None = None
        if grammars:
            self.grammar_vocabulary  # noqa: B018  # starts its thread
        params = llama.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.vocab_only = vocabulary_only
        params.load_mode = (llama.LLAMA_LOAD_MODE_MMAP if mmap else 0) + (llama.LLAMA_LOAD_MODE_MLOCK if mlock else 0)
        told = llama.llama_progress_callback(lambda share, _: progress(share))
        params.progress_callback = told  # kept until the load is over
        if not vocabulary_only:  # which may be beside a load that is to tell its own
            forget_errors()
        self.handle = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            self._close_grammars()
            reason = recent_errors() or "llama.cpp gave no reason"
            raise ModelFileError(
                f"llama.cpp cannot load {path}: {reason}. The file may be truncated, or newer than this llama.cpp."
            )
        self.adapters: list[tuple[Any, float]] = []
        self.vocab = llama.llama_model_get_vocab(self.handle)
        self.tokenizer = LlamaTokenizer(self.vocab, guessed=self._guessed_tokens())

    @property
    def layers(self) -> int:
        return int(llama.llama_model_n_layer(self.handle))

    @property
    def parameters(self) -> int:
        return int(llama.llama_model_n_params(self.handle))

    @property
    def embedding_width(self) -> int:
        """Of what pooling gives, which may be wider than what the model takes in."""
        return int(llama.llama_model_n_embd_out(self.handle))

    @property
    def only_encodes(self) -> bool:
        return bool(llama.llama_model_has_encoder(self.handle) and not llama.llama_model_has_decoder(self.handle))

    @property
    def can_share(self) -> bool:
        """Whether the cache of one sequence can be trimmed and copied at any position."""
        fixed_state = llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        return not fixed_state and llama.llama_model_n_swa(self.handle) == 0

    @property
    def chat_template(self) -> str | None:
        """The file's own; of several named ones the default."""
        key = template_key(self._keys())
        return self._text(key) if key else None

    def _guessed_tokens(self) -> frozenset[int]:
        """BOS and EOS where the file names none: llama.cpp takes a fixed id then, in many vocabularies the comma."""
        keys = set(self._keys())
        ids = {"bos": llama.llama_vocab_bos(self.vocab), "eos": llama.llama_vocab_eos(self.vocab)}
        return frozenset(
            token
            for name, token in ids.items()
            if f"tokenizer.ggml.{name}_token_id" not in keys
            and token >= 0
            and not llama.llama_vocab_is_control(self.vocab, token)
        )

    def _keys(self) -> list[str]:
        """The names of the file's metadata."""
        buffer = ctypes.create_string_buffer(MAX_KEY_BYTES)
        keys = []
        for number in range(llama.llama_model_meta_count(self.handle)):
            llama.llama_model_meta_key_by_index(self.handle, number, buffer, MAX_KEY_BYTES)
            keys.append(buffer.value.decode("utf-8", "replace"))
        return keys

    def _text(self, key: str) -> str:
        """A value of the file's metadata."""
        size = 1 + llama.llama_model_meta_val_str(self.handle, key.encode(), None, 0)
        buffer = ctypes.create_string_buffer(size)
        llama.llama_model_meta_val_str(self.handle, key.encode(), buffer, size)
        return buffer.value.decode("utf-8", "replace")

    def add_adapter(self, path: Path, scale: float) -> None:
        """Puts a LoRA adapter on every context made from now on. Raises ModelFileError if it does not fit."""
        forget_errors()
        adapter = llama.llama_adapter_lora_init(self.handle, str(path).encode())
        if not adapter:
            raise ModelFileError(
                f"llama.cpp cannot put the adapter {path} on this model: "
                f"{recent_errors() or 'it gave no reason'}. It may have been made for another model."
            )
        self.adapters.append((adapter, scale))

    @property
    def grammar_vocabulary(self) -> GrammarVocabulary:
        """Its vocabulary for grammars; made in another thread, and waited for when it is used."""
        if self._grammar_vocabulary is None:
            path = self._path
            self._grammar_vocabulary = GrammarVocabulary(
                lambda: LlamaModel(path, gpu_layers=0, mmap=True, mlock=False, vocabulary_only=True)
            )
        return self._grammar_vocabulary

    def _close_grammars(self) -> None:
        if self._grammar_vocabulary is not None:
            self._grammar_vocabulary.close()
            self._grammar_vocabulary = None

    def close(self) -> None:
        self._close_grammars()
        if self.handle:
            self.tokenizer.close()
            llama.llama_model_free(self.handle)  # and its adapters
            self.handle = None
