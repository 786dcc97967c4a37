"""Models to measure speed with: real shapes, random weights, built on the spot with the `gguf` package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Raw = npt.NDArray[np.uint8]

BLOCK = 32
"""Values in a block of Q8_0 and of Q4_0."""


@dataclass(frozen=True, kw_only=True)
class BenchShape:
    """A llama architecture. `block_bytes` is 34 for Q8_0 (scale, 32 bytes) and 18 for Q4_0 (scale, 16 bytes)."""

    name: str
    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    quantisation: str
    vocabulary: int = 32_000
    context: int = 8192

    @property
    def block_bytes(self) -> int:
        return {"Q8_0": 34, "Q4_0": 18}[self.quantisation]

    @property
    def spread(self) -> float:
        """Standard deviation of a uniformly random quantised value, in units of the scale."""
        return {"Q8_0": 73.9, "Q4_0": 4.6}[self.quantisation]


SMALL = BenchShape(
    name="bench-60m-q8_0", width=512, layers=8, heads=8, kv_heads=4, feed_forward=1536, quantisation="Q8_0"
)
LARGE = BenchShape(
    name="bench-1b-q4_0", width=2048, layers=22, heads=32, kv_heads=4, feed_forward=5632, quantisation="Q4_0"
)
HUGE = BenchShape(
    name="bench-8b-q4_0",
    width=4096,
    layers=32,
    heads=32,
    kv_heads=8,
    feed_forward=14336,
    quantisation="Q4_0",
    vocabulary=128_256,
)
WORDY = BenchShape(
    name="bench-05b-151936-q4_0",
    width=896,
    layers=24,
    heads=14,
    kv_heads=2,
    feed_forward=4864,
    quantisation="Q4_0",
    vocabulary=151_936,
)
"""The shape of Qwen2.5 0.5B: small, with a large vocabulary."""
SIZES = {"60m": SMALL, "05b": WORDY, "1b": LARGE, "8b": HUGE}
TINY = BenchShape(
    name="bench-tiny-q8_0",
    width=64,
    layers=2,
    heads=2,
    kv_heads=1,
    feed_forward=128,
    quantisation="Q8_0",
    vocabulary=512,
    context=1024,
)


def build(shape: BenchShape, folder: Path, *, seed: int = 1, extra: dict[str, Any] | None = None) -> Path:
    """Writes the model into `folder` unless it is there; the same seed gives the same file.

    `extra` are further metadata: numbers, texts and flags.
    """
    path = folder / f"{shape.name}.gguf"
    if path.exists():
        return path
    import gguf

    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    _describe(writer, shape)
    for key, value in (extra or {}).items():
        _add(writer, key, value)
    _add_vocabulary(writer, shape)
    random = np.random.default_rng(seed)
    kind = gguf.GGMLQuantizationType[shape.quantisation]
    for name, rows, columns in _matrices(shape):
        writer.add_tensor(name, _random_blocks(random, shape, rows, columns), raw_dtype=kind)
    for name in _norms(shape):
        writer.add_tensor(name, np.ones(shape.width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)
    return path


def _describe(writer: Any, shape: BenchShape) -> None:
    writer.add_name(shape.name)
    writer.add_description("Random weights, for measuring speed only.")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_file_type({"Q8_0": 7, "Q4_0": 2}[shape.quantisation])


def _add(writer: Any, key: str, value: Any) -> None:
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    add[type(value)](key, value)


def _add_vocabulary(writer: Any, shape: BenchShape) -> None:
    """SentencePiece-like: three control tokens, 256 bytes, then made-up words with a leading space."""
    import gguf

    kinds = gguf.TokenType
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256))]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *([kinds.BYTE] * 256)]
    for number in range(shape.vocabulary - len(tokens)):
        tokens.append(f"\u2581{word(number)}".encode())
        types.append(kinds.NORMAL)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)


def word(number: int) -> str:
    """The number as a made-up word: two letters a digit."""
    consonants, vowels = "bdfgklmnprstvz", "aeiou"
    letters = ""
    while True:
        number, syllable = divmod(number, len(consonants) * len(vowels))
        letters += consonants[syllable // len(vowels)] + vowels[syllable % len(vowels)]
        if not number:
            return letters
        number -= 1


def _matrices(shape: BenchShape) -> list[tuple[str, int, int]]:
    kv_width = shape.width // shape.heads * shape.kv_heads
    matrices = [("token_embd.weight", shape.vocabulary, shape.width), ("output.weight", shape.vocabulary, shape.width)]
    for layer in range(shape.layers):
        matrices += [
            (f"blk.{layer}.attn_q.weight", shape.width, shape.width),
            (f"blk.{layer}.attn_k.weight", kv_width, shape.width),
            (f"blk.{layer}.attn_v.weight", kv_width, shape.width),
            (f"blk.{layer}.attn_output.weight", shape.width, shape.width),
            (f"blk.{layer}.ffn_gate.weight", shape.feed_forward, shape.width),
            (f"blk.{layer}.ffn_up.weight", shape.feed_forward, shape.width),
            (f"blk.{layer}.ffn_down.weight", shape.width, shape.feed_forward),
        ]
    return matrices


def _norms(shape: BenchShape) -> list[str]:
    layers = range(shape.layers)
    return ["output_norm.weight", *(f"blk.{n}.{part}_norm.weight" for n in layers for part in ("attn", "ffn"))]


def _random_blocks(random: np.random.Generator, shape: BenchShape, rows: int, columns: int) -> Raw:
    """Random quantised values under one scale, so that a row's products have about unit variance."""
    blocks = columns // BLOCK
    data = random.integers(0, 256, (rows, blocks, shape.block_bytes), np.uint8)
    scale = np.array([1 / (shape.spread * columns**0.5)], np.float16).view(np.uint8)
    data[:, :, :2] = scale
    return data.reshape(rows, blocks * shape.block_bytes)
