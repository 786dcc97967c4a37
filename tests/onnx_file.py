"""A tiny picture encoder in ONNX, written byte by byte: its vector is the picture's mean colour."""

from __future__ import annotations

from pathlib import Path

SIDE = 8


def write_colour_model(folder: Path) -> Path:
    """A folder as a publisher lays it out: vision_model.onnx, and how pictures are prepared."""
    folder.mkdir(parents=True)
    mean = _text(1, "pixel_values") + _text(2, "image_embeds") + _text(4, "ReduceMean")
    mean += _message(5, _text(1, "axes") + _number(8, 2) + _number(8, 3) + _number(20, 7))
    mean += _message(5, _text(1, "keepdims") + _number(3, 0) + _number(20, 2))
    graph = _message(1, mean) + _text(2, "colour")
    graph += _message(11, _value("pixel_values", (1, 3, SIDE, SIDE))) + _message(12, _value("image_embeds", (1, 3)))
    model = _number(1, 8) + _message(7, graph) + _message(8, _text(1, "") + _number(2, 13))
    (folder / "vision_model.onnx").write_bytes(model)
    sizes = f'{{"size": {{"height": {SIDE}, "width": {SIDE}}}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}}'
    (folder / "preprocessor_config.json").write_text(sizes)
    return folder


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_message(1, _number(1, size)) for size in shape)
    return _text(1, name) + _message(2, _message(1, _number(1, 1) + _message(2, dimensions)))


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
