"""A tiny projector in GGUF, as LLaVA has one: two layers that see 16 x 16 pixels, with random weights."""

from __future__ import annotations

from pathlib import Path

SIDE, PATCH = 16, 8
WIDTH, FEED, LAYERS, HEADS = 16, 32, 2, 2


def write_projector(path: Path, width: int, *, kind: str = "mlp") -> Path:
    """For a model whose embeddings have `width` numbers. Everything a picture holds reaches the model."""
    import gguf
    import numpy as np

    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    writer.add_string("clip.projector_type", kind)
    for key, number in (
        ("embedding_length", WIDTH),
        ("feed_forward_length", FEED),
        ("block_count", LAYERS),
        ("projection_dim", width),
        ("attention.head_count", HEADS),
        ("image_size", SIDE),
        ("patch_size", PATCH),
    ):
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for key, values in (("image_mean", [0.5, 0.5, 0.5]), ("image_std", [0.5, 0.5, 0.5])):
        writer.add_array(f"clip.vision.{key}", values)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * 0.3).astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))

    tensor("v.patch_embd.weight", WIDTH, 3, PATCH, PATCH)
    tensor("v.position_embd.weight", (SIDE // PATCH) ** 2, WIDTH)
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        norm(f"{block}.ln1")
        norm(f"{block}.ln2")
        matrices = [(f"attn_{part}", WIDTH, WIDTH) for part in ("q", "k", "v", "out")]
        for name, rows, columns in (*matrices, ("ffn_up", FEED, WIDTH), ("ffn_down", WIDTH, FEED)):
            tensor(f"{block}.{name}.weight", rows, columns)
            tensor(f"{block}.{name}.bias", rows)
    for number, columns in ((0, WIDTH), (2, width)):
        tensor(f"mm.{number}.weight", width, columns)
        tensor(f"mm.{number}.bias", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
