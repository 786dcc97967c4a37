"""A tiny model of pictures and words in ONNX, written byte by byte: a picture's vector is its mean colour, and a text's
the mean of what its words mean, in the same space."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 8, 8
MEANINGS = {"red": (1, 0.1, 0.1), "green": (0.1, 1, 0.1), "blue": (0.1, 0.1, 1), "sea": (0.1, 0.1, 0.9)}
"""Words that mean a colour; others mean nothing."""
SPECIAL = ("<unk>", "<s>", "</s>")
FLOAT, INT64 = 1, 7
PREPARATION: dict[str, Any] = {
    "image_processor_type": "SiglipImageProcessor",
    "do_resize": True,
    "size": {"height": HEIGHT, "width": WIDTH},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0, 0, 0],
    "image_std": [1, 1, 1],
}


def write_colour_model(folder: Path, *, words: bool = True, kind: str = "clip", **preparation: Any) -> Path:
    """A folder as a publisher lays it out: the encoders, how pictures are prepared, and how texts become tokens.

    `preparation`: changes of preprocessor_config.json.
    """
    folder.mkdir(parents=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARATION | preparation))
    picture, text = {"clip": ("image_embeds", "text_embeds"), "siglip": ("pooler_output", "pooler_output")}[kind]
    mean = _node("ReduceMean", ["pixel_values"], picture, axes=(2, 3), keepdims=0)
    shape = (1, 3, "height", "width")
    (folder / "vision_model.onnx").write_bytes(_model([mean], [("pixel_values", FLOAT, shape)], picture, b""))
    if not words:
        return folder
    table = [(0.01, 0.01, 0.01)] * len(SPECIAL) + list(MEANINGS.values())
    rows = _number(1, len(table)) + _number(1, 3) + _number(2, FLOAT) + _text(8, "table")
    rows += _message(9, b"".join(struct.pack("<3f", *row) for row in table))
    nodes = [
        _node("Gather", ["table", "input_ids"], "rows"),
        _node("ReduceMean", ["rows"], text, axes=(1,), keepdims=0),
    ]
    encoder = _model(nodes, [("input_ids", INT64, (1, "tokens"))], text, _message(5, rows))
    (folder / "text_model.onnx").write_bytes(encoder)
    (folder / "config.json").write_text(
        json.dumps({"model_type": kind, "text_config": {"max_position_embeddings": 16}})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "</s>"}))
    _write_tokenizer(folder / "tokenizer.json")
    return folder


def _write_tokenizer(file: Path) -> None:
    """Whole words in lower case, between a beginning and an end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *MEANINGS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    )
    tokenizer.save(str(file))


def _model(
    nodes: list[bytes], inputs: list[tuple[str, int, tuple[int | str, ...]]], output: str, constants: bytes
) -> bytes:
    graph = b"".join(_message(1, node) for node in nodes) + _text(2, "colour") + constants
    graph += b"".join(_message(11, _value(*each)) for each in inputs)
    graph += _message(12, _value(output, FLOAT, (1, 3)))
    return _number(1, 8) + _message(7, graph) + _message(8, _text(1, "") + _number(2, 13))


def _node(operator: str, inputs: list[str], output: str, *, axes: tuple[int, ...] = (), keepdims: int = 1) -> bytes:
    node = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, operator)
    if axes:
        node += _message(5, _text(1, "axes") + b"".join(_number(8, axis) for axis in axes) + _number(20, 7))
        node += _message(5, _text(1, "keepdims") + _number(3, keepdims) + _number(20, 2))
    return node


def _value(name: str, kind: int, shape: tuple[int | str, ...]) -> bytes:
    sizes = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
    dimensions = b"".join(_message(1, size) for size in sizes)
    return _text(1, name) + _message(2, _message(1, _number(1, kind) + _message(2, dimensions)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
