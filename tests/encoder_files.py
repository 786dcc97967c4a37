"""GGUF files of encoders made for tests: BERT, as embedding model or reranker, and T5, with its decoder or without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONTEXT = 128
WIDTH, FEED, LAYERS, HEADS = 32, 64, 2, 2
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] fox hen owl ran sat the a in on hut".split()
MEAN, RANK = 1, 4
BUCKETS = 8
Shapes = Mapping[str, tuple[int, ...]]


def write_bert(path: Path, *, pooling: int = MEAN) -> Path:
    """A BERT of two layers with random weights: no KV cache, every token sees every other, a table of 128 positions.

    With `RANK` it has the head of a reranker: one number a text.
    """
    import gguf

    writer = gguf.GGUFWriter(path, "bert")
    _sizes(writer)
    writer.add_layer_norm_eps(1e-6)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType(pooling))
    writer.add_token_type_count(2)
    _words(writer)
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(WORDS), WIDTH),
        "position_embd.weight": (CONTEXT, WIDTH),
        "token_types.weight": (2, WIDTH),
        "token_embd_norm.weight": (WIDTH,),
        "token_embd_norm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            *((f"attn_{part}", WIDTH, WIDTH) for part in ("q", "k", "v", "output")),
            ("ffn_up", FEED, WIDTH),
            ("ffn_down", WIDTH, FEED),
        ):
            shapes |= {f"blk.{layer}.{name}.weight": (rows, columns), f"blk.{layer}.{name}.bias": (rows,)}
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes |= {f"blk.{layer}.{name}.weight": (WIDTH,), f"blk.{layer}.{name}.bias": (WIDTH,)}
    if pooling == RANK:
        shapes |= {"cls.weight": (WIDTH, WIDTH), "cls.bias": (WIDTH,)}
        shapes |= {"cls.output.weight": (1, WIDTH), "cls.output.bias": (1,)}
    return _finished(writer, path, shapes)


def write_t5(path: Path, *, decoder: bool = False, pooling: int | None = MEAN) -> Path:
    """A T5 of two layers with random weights: its encoder alone, which embeds, or with the decoder."""
    import gguf

    architecture = "t5" if decoder else "t5encoder"
    writer = gguf.GGUFWriter(path, architecture)
    _sizes(writer)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_relative_attn_buckets_count(BUCKETS)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    if decoder:
        writer.add_decoder_start_token_id(0)
    elif pooling is not None:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    _words(writer)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(WORDS), WIDTH)}
    for side in ("enc", "dec") if decoder else ("enc",):
        for block in (f"{side}.blk.{layer}" for layer in range(LAYERS)):
            attentions = ("attn", "cross_attn") if side == "dec" else ("attn",)
            for attention in attentions:
                shapes |= {f"{block}.{attention}_{part}.weight": (WIDTH, WIDTH) for part in "qkvo"}
                shapes[f"{block}.{attention}_norm.weight"] = (WIDTH,)
            shapes[f"{block}.attn_rel_b.weight"] = (BUCKETS, HEADS)
            shapes[f"{block}.ffn_norm.weight"] = (WIDTH,)
            shapes |= {f"{block}.ffn_up.weight": (FEED, WIDTH), f"{block}.ffn_down.weight": (WIDTH, FEED)}
        shapes[f"{side}.output_norm.weight"] = (WIDTH,)
    return _finished(writer, path, shapes)


def _sizes(writer: Any) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)


def _words(writer: Any) -> None:
    """WordPiece over a few words."""
    words = [word if word.startswith("[") else f"\u2581{word}" for word in WORDS]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(words)
    writer.add_token_types([3 if word.startswith("[") else 1 for word in words])
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_pad_token_id(0)


def _finished(writer: Any, path: Path, shapes: Shapes) -> Path:
    import numpy as np

    random = np.random.default_rng(1)
    for name, shape in shapes.items():
        values = np.ones(shape) if name.endswith("norm.weight") else random.normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
