"""llama.cpp, typed and thin: the only importer of `llama_cpp`. Everything here belongs to one thread at a time."""

from __future__ import annotations

import ctypes
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt
import structlog
from llama_cpp._ggml import libggml
from llama_cpp.llama_grammar import SchemaConverter

from config.errors import EngineError, ModelError, ModelFileError, ParameterError
from config.logging import llama_log
from jobs.parameters import Parameters
from workers.engine.guide import Guide
from workers.engine.guided import GuidedSampler
from workers.engine.request import Request, TokenLogprob
from workers.engine.sampling import Stage, remembered_tokens, stages
from workers.engine.scheduler import Limits
from workers.engine.schema import enforceable
from workers.engine.slots import Copy, Move, Piece, Work

BUILD = f"llama.cpp {llama.llama_version().decode()}"
BINDING: str = llama.__version__
CELL_PADDING = 256
"""llama.cpp rounds each sequence's cells up to this."""
CACHE_TYPES = {"f16": 1, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}
JSON_CHARACTER = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
"""GBNF: what may stand inside a JSON string."""
MOST_GRAMMARS = 32
"""Parsed grammars kept, oldest out first."""
_GPU_DEVICE = 1  # ggml-backend.h: enum ggml_backend_dev_type
_ERROR = 4  # ggml.h: enum ggml_log_level
_NOBODY = Work("embedding", ())
_recent_errors: deque[str] = deque(maxlen=3)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: Any) -> None:
    line = text.decode("utf-8", "replace")
    if level == _ERROR and line.strip():
        _recent_errors.append(line.strip())
    if structlog.is_configured():
        llama_log(level, line)


llama.llama_log_set(_log, None)  # `_log` lives as long as the module: without it the process would crash


@dataclass(frozen=True, kw_only=True)
class ContextSettings:
    """Everything resolved; `context` counts tokens per slot."""

    context: int
    slots: int
    n_batch: int
    n_ubatch: int
    threads: int
    flash_attention: bool
    offload_kv: bool
    cache_type_k: str
    cache_type_v: str
    min_copy: int = 16
    embeddings: bool = False


class LlamaModel:
    """A loaded model file, with its vocabulary."""

    def __init__(self, path: Path, *, gpu_layers: int, mmap: bool, mlock: bool) -> None:
        """Raises ModelFileError where llama.cpp cannot load the file."""
        params = llama.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.load_mode = (llama.LLAMA_LOAD_MODE_MMAP if mmap else 0) + (llama.LLAMA_LOAD_MODE_MLOCK if mlock else 0)
        _recent_errors.clear()
        self.handle = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            reason = "; ".join(_recent_errors) or "llama.cpp gave no reason"
            raise ModelFileError(
                f"llama.cpp cannot load {path}: {reason}. The file may be truncated, or newer than this llama.cpp."
            )
        self.adapters: list[tuple[Any, float]] = []
        self.vocab = llama.llama_model_get_vocab(self.handle)
        self.tokenizer = LlamaTokenizer(self.vocab)

    @property
    def layers(self) -> int:
        return int(llama.llama_model_n_layer(self.handle))

    @property
    def embedding_width(self) -> int:
        return int(llama.llama_model_n_embd(self.handle))

    @property
    def can_share(self) -> bool:
        """Whether the cache of one sequence can be trimmed and copied at any position."""
        fixed_state = llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        return not fixed_state and llama.llama_model_n_swa(self.handle) == 0

    @property
    def generates(self) -> bool:
        return bool(llama.llama_model_has_decoder(self.handle))

    @property
    def chat_template(self) -> str | None:
        found = llama.llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else None

    def add_adapter(self, path: Path, scale: float) -> None:
        """Puts a LoRA adapter on every context made from now on. Raises ModelFileError where it does not fit."""
        _recent_errors.clear()
        adapter = llama.llama_adapter_lora_init(self.handle, str(path).encode())
        if not adapter:
            raise ModelFileError(
                f"llama.cpp cannot put the adapter {path} on this model: "
                f"{'; '.join(_recent_errors) or 'it gave no reason'}. It may have been made for another model."
            )
        self.adapters.append((adapter, scale))

    def close(self) -> None:
        if self.handle:
            llama.llama_model_free(self.handle)  # and its adapters
            self.handle = None


class LlamaTokenizer:
    """The model's own tokenizer; safe from any thread."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self.size = int(llama.llama_vocab_n_tokens(vocab))
        self._pieces: list[bytes | None] = [None] * self.size

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        return self._ids(text, add_special=False, parse_special=parse_special)

    def whole(self, text: str) -> list[int]:
        """Ids of a plain text with the control tokens the model wants around one (BOS; CLS and SEP)."""
        return self._ids(text, add_special=True, parse_special=False)

    def _ids(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 16
        while True:
            buffer = (llama.llama_token * room)()
            count = llama.llama_tokenize(self._vocab, data, len(data), buffer, room, add_special, parse_special)
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def detokenize(self, ids: Sequence[int]) -> str:
        return b"".join(self.piece(token) for token in ids).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """What the token adds to the text; nothing for control tokens."""
        known = self._pieces[token]
        if known is None:
            known = self._pieces[token] = self._render(token, special=False)
        return known

    def written(self, token: int) -> bytes:
        """The token's text, control tokens written out."""
        return self._render(token, special=True)

    def is_end(self, token: int) -> bool:
        return token in self._ends

    @cached_property
    def _ends(self) -> frozenset[int]:
        return frozenset(i for i in range(self.size) if llama.llama_vocab_is_eog(self._vocab, i))

    @cached_property
    def bos(self) -> int | None:
        if not llama.llama_vocab_get_add_bos(self._vocab):
            return None
        return _token_or_none(llama.llama_vocab_bos(self._vocab))

    @cached_property
    def special_texts(self) -> tuple[str, ...]:
        parsed = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN  # what parse_special recognises
        controls = (i for i in range(self.size) if llama.llama_vocab_get_attr(self._vocab, i) & parsed)
        return tuple(text for i in controls if (text := self.written(i).decode("utf-8", "replace")))

    @cached_property
    def bos_text(self) -> str:
        return self._text_of(llama.llama_vocab_bos(self._vocab))

    @cached_property
    def eos_text(self) -> str:
        return self._text_of(llama.llama_vocab_eos(self._vocab))

    def _text_of(self, token: int) -> str:
        return "" if _token_or_none(token) is None else self.written(token).decode("utf-8", "replace")

    def _render(self, token: int, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count


class LlamaBackend:
    """A context over a model: the KV cache of all slots, one batch, the samplers' logits. See `Backend`."""

    def __init__(self, model: LlamaModel, settings: ContextSettings) -> None:
        """Raises ModelError where the context cannot be made (out of memory, mostly)."""
        self.model = model
        self.tokenizer = model.tokenizer
        self.is_end = model.tokenizer.is_end
        self.limits = Limits(
            slots=settings.slots,
            context=settings.context,
            n_batch=settings.n_batch,
            can_copy=model.can_share and settings.slots > 1,
            can_trim=model.can_share,
            min_copy=settings.min_copy,
        )
        _recent_errors.clear()
        self._ctx = llama.llama_init_from_model(model.handle, _context_params(settings))
        if not self._ctx:
            reason = "; ".join(_recent_errors) or "llama.cpp gave no reason"
            raise ModelError(
                f"llama.cpp cannot make a context of {settings.slots} x {settings.context} tokens: {reason}. "
                "Load it with fewer slots or a smaller context."
            )
        _set_adapters(self._ctx, model.adapters)
        self._memory = llama.llama_get_memory(self._ctx)
        self._batch = _Batch(settings.n_batch)
        self._width = model.tokenizer.size
        self._embeds = settings.embeddings
        self._candidates = Candidates(self._width)
        self._grammars: dict[str, Chain] = {}
        self._abort_text = ctypes.create_string_buffer(2)
        self._listen_for_abort()

    def _listen_for_abort(self) -> None:
        """llama.cpp asks after every node whether to abort. A Python callback would wait for the interpreter's lock
        each time; `strlen` of a buffer that `abort` writes into answers without it: 0 goes on, 1 aborts."""
        asked = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
        llama.llama_set_abort_callback(self._ctx, asked, ctypes.cast(self._abort_text, ctypes.c_void_p))

    def move(self, moves: Sequence[Move]) -> None:
        for move in moves:
            if isinstance(move, Copy):
                # Copies between streams are whole; a partial range would abort the process.
                llama.llama_memory_seq_cp(self._memory, move.source, move.target, -1, -1)
                slot = move.target
            else:
                slot = move.slot
            if not llama.llama_memory_seq_rm(self._memory, slot, move.keep or -1, -1):
                raise EngineError(f"The cache of slot {slot} cannot be trimmed to {move.keep} tokens.")

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        rows = self._batch.fill(pieces)
        self._abort_text.value = b""
        code = llama.llama_decode(self._ctx, self._batch.struct)
        if code == 0:
            return rows
        meaning = {1: "no room in the KV cache", 2: "aborted: it made no progress", -1: "the batch was refused"}
        raise EngineError(
            f"Decoding failed with code {code} ({meaning.get(code, 'a fatal error in llama.cpp')}); "
            f"{self._batch.struct.n_tokens} tokens in {len(pieces)} slots. {'; '.join(_recent_errors)}".rstrip()
        )

    def clear(self) -> None:
        llama.llama_memory_clear(self._memory, False)

    def abort(self) -> None:
        self._abort_text.value = b"1"

    def sampler(self, request: Request) -> LlamaSampler:
        return LlamaSampler(self, request)

    def grammar(self, parameters: Parameters) -> Chain | None:
        """A fresh copy of the request's grammar; each text is parsed once. Raises ParameterError."""
        text = parameters.grammar
        if text is None and parameters.json_schema is None:
            return None
        name = "grammar" if text is not None else "json_schema"
        text = grammar_of_schema(json.dumps(parameters.json_schema)) if text is None else text
        if text not in self._grammars:
            handle = llama.llama_sampler_init_grammar(self.model.vocab, text.encode(), b"root")
            if not handle:
                raise ParameterError(f"Parameter {name!r} is no valid GBNF grammar with a rule `root`.")
            if len(self._grammars) >= MOST_GRAMMARS:
                self._grammars.pop(next(iter(self._grammars))).close()
            self._grammars[text] = Chain(handle)
        return self._grammars[text].copy()

    def pieces(self, request: Request) -> Callable[[int], bytes]:
        """What tokens add to the text; reasoning markers show even where they are control tokens."""
        hidden = {
            token: self.tokenizer.written(token)
            for marker in request.reasoning or ()
            for token in self.tokenizer.tokenize(marker, parse_special=True)
            if not self.tokenizer.piece(token)
        }
        if not hidden:
            return self.tokenizer.piece
        return lambda token: hidden.get(token) or self.tokenizer.piece(token)

    def candidates(self, row: int) -> Candidates:
        """One row's logits for samplers applied by hand; valid until the next call."""
        return self._candidates.of(self.logits(row))

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """The logits of a row, in place: valid until the next decode."""
        pointer = llama.llama_get_logits_ith(self._ctx, row)
        if not pointer:
            raise EngineError(f"llama.cpp has no logits for row {row} of the batch.")
        return np.ctypeslib.as_array(pointer, shape=(self._width,))

    def sample(self, chain: Chain, row: int) -> int:
        """Draws and accepts the next token."""
        return int(llama.llama_sampler_sample(chain.handle, self._ctx, row))

    def whole(self, text: str) -> list[int]:
        return self.tokenizer.whole(text)

    def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """As many texts in one call as there are slots and room in the batch."""
        if not self._embeds:
            raise ModelError("This model generates text; embeddings need an embedding model.")
        vectors: list[list[float]] = []
        for group in batches(texts, self.limits.slots, self.limits.n_batch):
            vectors += self._embed_together(group)
        return vectors

    def _embed_together(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        if self._memory:
            self.clear()
        self._batch.fill(
            [Piece(slot=n, start=0, ids=tuple(ids), output=True, work=_NOBODY) for n, ids in enumerate(texts)]
        )
        self._batch.want_all()
        compute = llama.llama_decode if self._memory else llama.llama_encode
        code = compute(self._ctx, self._batch.struct)
        if code != 0:
            why = "; ".join(_recent_errors)
            raise EngineError(f"Embedding {len(texts)} texts failed with code {code}. {why}".rstrip())
        return [self._vector(slot) for slot in range(len(texts))]

    def _vector(self, slot: int) -> list[float]:
        """The pooled embedding as a unit vector."""
        pointer = llama.llama_get_embeddings_seq(self._ctx, slot)
        if not pointer:
            raise ModelError("The model's metadata names no pooling (mean, cls or last); it cannot embed texts.")
        vector = np.ctypeslib.as_array(pointer, shape=(self.model.embedding_width,)).astype(np.float64)
        return [float(value) for value in vector / (np.linalg.norm(vector) or 1.0)]

    def close(self) -> None:
        self.free()
        self.model.close()

    def free(self) -> None:
        """Frees the context; the model stays."""
        for grammar in self._grammars.values():
            grammar.close()
        self._grammars.clear()
        if self._ctx:
            llama.llama_free(self._ctx)
            self._ctx = None


class LlamaSampler:
    """One request's sampling: a chain of llama.cpp's samplers, guided where a grammar or a budget asks for it."""

    def __init__(self, backend: LlamaBackend, request: Request) -> None:
        """Raises ParameterError where the grammar or schema cannot be used."""
        self._backend = backend
        self._top = request.parameters.top_logprobs
        grammar = backend.grammar(request.parameters)
        self._chain = _chain(backend.model, request, backend.limits.context)
        self._guided: GuidedSampler | None = None
        if grammar is not None or (request.reasoning and request.parameters.reasoning_budget is not None):
            tokenizer = backend.tokenizer
            self._guided = GuidedSampler(
                self._chain,
                grammar,
                Guide(request.reasoning, opened=request.reasoning_open, budget=request.parameters.reasoning_budget),
                piece=backend.pieces(request),
                is_end=backend.is_end,
                tokenize=lambda text: tokenizer.tokenize(text.decode("utf-8", "replace"), parse_special=True),
            )

    def sample(self, row: int) -> int:
        if self._guided is None:
            return self._backend.sample(self._chain, row)
        return self._guided.sample(self._backend.candidates(row))

    def logprob(self, row: int, token: int) -> TokenLogprob:
        return top_logprobs(self._backend.logits(row), token, self._top)

    def close(self) -> None:
        if self._guided is not None:
            self._guided.close()
        else:
            self._chain.close()


class Chain:
    """A llama.cpp sampler (or chain of them) that this object owns."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def accept(self, token: int) -> None:
        llama.llama_sampler_accept(self.handle, token)

    def copy(self) -> Chain:
        return Chain(llama.llama_sampler_clone(self.handle))

    def close(self) -> None:
        if self.handle:
            llama.llama_sampler_free(self.handle)
            self.handle = None


class Candidates:
    """The whole vocabulary with the logits of one row, for samplers that are applied by hand."""

    def __init__(self, size: int) -> None:
        self._data = np.zeros(size, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        self._ids = np.arange(size, dtype=np.int32)
        self._pointer = ctypes.cast(self._data.ctypes.data, llama.llama_token_data_p)
        self._array = llama.llama_token_data_array()
        self._logits: npt.NDArray[np.float32] = np.zeros(size, np.float32)

    def of(self, logits: npt.NDArray[np.float32]) -> Candidates:
        self._logits = logits
        return self

    def refill(self) -> None:
        """Undoes what samplers did."""
        self._data["id"] = self._ids
        self._data["logit"] = self._logits
        self._array.data, self._array.size = self._pointer, len(self._data)
        self._array.selected, self._array.sorted = -1, False

    def apply(self, sampler: Chain) -> None:
        llama.llama_sampler_apply(sampler.handle, ctypes.byref(self._array))

    def draw(self, chain: Chain) -> int:
        """What the chain selects; it is not accepted yet."""
        self.apply(chain)
        assert self._array.selected >= 0, "the last sampler of a chain selects"
        return int(self._array.data[self._array.selected].id)

    @property
    def any_left(self) -> bool:
        return bool(np.isfinite(self._data["logit"]).any())

    def allowed(self, grammar: Chain, token: int) -> bool:
        """Whether the grammar lets this one token come next."""
        one = llama.llama_token_data(token, 0.0, 0.0)
        array = llama.llama_token_data_array(ctypes.pointer(one), 1, -1, False)
        llama.llama_sampler_apply(grammar.handle, ctypes.byref(array))
        return bool(one.logit == 0.0)


class _Batch:
    """A llama_batch over numpy arrays, so that a step's tokens are written with a few assignments."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._count = np.ones(size, np.int32)
        self._seq = np.zeros(size, np.int32)
        self._output = np.zeros(size, np.int8)
        self._seq_pointers = self._seq.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        self.struct = llama.llama_batch()
        self.struct.token = self._token.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.pos = self._pos.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.n_seq_id = self._count.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.seq_id = self._seq_pointers.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        self.struct.logits = self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, pieces: Sequence[Piece]) -> list[int]:
        """Writes the pieces one after the other; returns the index of each one's last token."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        outputs: list[int] = []
        rows: list[int] = []
        for piece in pieces:
            count = len(piece.ids)
            tokens.extend(piece.ids)
            positions.extend(range(piece.start, piece.start + count))
            slots.extend([piece.slot] * count)
            outputs.extend([0] * (count - 1))
            outputs.append(piece.output)
            rows.append(len(tokens) - 1)
        n = len(tokens)
        self._token[:n], self._pos[:n], self._seq[:n], self._output[:n] = tokens, positions, slots, outputs
        self.struct.n_tokens = n
        return rows

    def want_all(self) -> None:
        """Every token's output is wanted, as pooling does."""
        self._output[: self.struct.n_tokens] = 1


def top_logprobs(logits: npt.NDArray[np.float32], token: int, top: int) -> TokenLogprob:
    """Natural logarithms of the softmax of unmodified logits."""
    peak = float(logits.max())
    normaliser = peak + float(np.log(np.exp(logits - peak, dtype=np.float32).sum(dtype=np.float64)))
    count = min(top, len(logits))
    best = np.argpartition(logits, -count)[-count:]
    best = best[np.lexsort((best, -logits[best]))]
    return TokenLogprob(
        token=token,
        logprob=float(logits[token]) - normaliser,
        top=tuple((int(i), float(logits[i]) - normaliser) for i in best),
    )


@lru_cache(maxsize=64)
def grammar_of_schema(text: str) -> str:
    """GBNF for a JSON Schema. Raises ParameterError where it cannot be enforced."""
    schema = enforceable(json.loads(text))
    converter = _SchemaConverter(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
    try:
        converter.visit(converter.resolve_refs(schema, ""), "")
    except Exception as error:
        raise ParameterError(f"Parameter 'json_schema' cannot be turned into a grammar: {error!r}.") from None
    return str(converter.format_grammar())


class _SchemaConverter(SchemaConverter):  # type: ignore[misc]  # the library is untyped
    """The library's converter, but no control characters in strings, and lengths without one rule a character."""

    def visit(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("type") == "string" and "pattern" not in schema and "format" not in schema:
            length = f"{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}"
            if not {"enum", "const"} & set(schema):
                rule = rf'"\"" {self._add_rule("char", JSON_CHARACTER)}{length} "\"" space'
                return str(self._add_rule(f"{name}-text" if name else "root", rule))
        return str(super().visit(schema, name))

    def _add_rule(self, name: str, rule: str) -> str:
        return str(super()._add_rule(name, JSON_CHARACTER if name == "char" else rule))


def _chain(model: LlamaModel, request: Request, context: int) -> Chain:
    params = llama.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = Chain(llama.llama_sampler_chain_init(params))
    for stage in stages(request.parameters, request.seed, context):
        llama.llama_sampler_chain_add(chain.handle, _sampler(stage, model))
    remembered = remembered_tokens(request.parameters, context)
    for token in request.prompt[-remembered:] if remembered else ():
        chain.accept(token)
    return chain


@dataclass(frozen=True, kw_only=True)
class Gpu:
    description: str
    free_bytes: int


def gpus() -> list[Gpu]:
    """The GPUs that this build of llama.cpp can use, as far as this process may see them."""
    if not llama.llama_supports_gpu_offload():
        return []
    found = []
    for index in range(libggml.ggml_backend_dev_count()):
        device = _ggml("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t(index))
        if _ggml("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p(device)) != _GPU_DEVICE:
            continue
        description = _ggml("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p(device))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        _ggml("ggml_backend_dev_memory", None, ctypes.c_void_p(device), ctypes.byref(free), ctypes.byref(total))
        found.append(Gpu(description=description.decode("utf-8", "replace"), free_bytes=free.value))
    return found


def _ggml(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(libggml, name)
    function.restype = result
    return function(*arguments)


def _context_params(settings: ContextSettings) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = settings.slots * padded_cells(settings.context)
    params.n_seq_max = settings.slots
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_ubatch, settings.n_batch)
    params.n_threads = params.n_threads_batch = settings.threads
    params.flash_attn_type = int(settings.flash_attention)
    params.offload_kqv = params.op_offload = settings.offload_kv
    params.type_k, params.type_v = CACHE_TYPES[settings.cache_type_k], CACHE_TYPES[settings.cache_type_v]
    # Separate streams decode distinct contexts faster, but would pool the mean of the last piece of a text only.
    params.kv_unified = settings.embeddings
    params.swa_full = False
    params.no_perf = True
    params.embeddings = settings.embeddings
    return params


def batches(texts: Sequence[Sequence[int]], most: int, tokens: int) -> Iterator[list[Sequence[int]]]:
    """Groups in order, of at most this many texts and tokens; each text fits by itself."""
    group: list[Sequence[int]] = []
    for text in texts:
        if group and (len(group) == most or sum(map(len, group)) + len(text) > tokens):
            yield group
            group = []
        group.append(text)
    if group:
        yield group


def padded_cells(context: int) -> int:
    """Cells llama.cpp really allots for one slot of `context` tokens."""
    return -(-context // CELL_PADDING) * CELL_PADDING


def _token_or_none(token: int) -> int | None:
    return int(token) if token >= 0 else None


def _sampler(stage: Stage, model: LlamaModel) -> Any:
    arguments: tuple[Any, ...] = stage.arguments
    if stage.name == "logit_bias":
        (pairs,) = arguments
        biases = (llama.llama_logit_bias * len(pairs))(*(llama.llama_logit_bias(*pair) for pair in pairs))
        return llama.llama_sampler_init_logit_bias(model.tokenizer.size, len(pairs), biases)
    if stage.name == "penalties":
        return llama.llama_sampler_init_penalties(model.tokenizer.size, *arguments)
    if stage.name == "dry":
        *numbers, texts = arguments
        breakers = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
        return llama.llama_sampler_init_dry(model.vocab, *numbers, breakers, len(texts))
    return getattr(llama, f"llama_sampler_init_{stage.name}")(*arguments)


def _set_adapters(context: Any, adapters: Sequence[tuple[Any, float]]) -> None:
    if not adapters:
        return
    handles = (llama.llama_adapter_lora_p_ctypes * len(adapters))(*(adapter for adapter, _ in adapters))
    scales = (ctypes.c_float * len(adapters))(*(scale for _, scale in adapters))
    if llama.llama_set_adapters_lora(context, handles, len(adapters), scales) != 0:
        raise ModelError("llama.cpp cannot apply these LoRA adapters together.")
