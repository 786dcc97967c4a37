"""The network, in the terms of llama.cpp's llama architecture, as plain functions over a dictionary of tensors.

Weights carry their GGUF names from the start. RoPE rotates neighbouring pairs, as llama.cpp does for this architecture,
so that Q and K are written unchanged.
"""

from dataclasses import dataclass
from typing import Any

from nightjar.scripts.dev.demo_model.extras import training_package


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """The sizes of the network. Row widths are multiples of 32, which Q8_0 needs."""

    vocabulary: int = 2048
    context: int = 2048
    width: int = 160
    layers: int = 5
    heads: int = 5
    feed_forward: int = 448
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def matrix_shapes(shape: NetworkShape) -> dict[str, tuple[int, int]]:
    """GGUF name -> (rows, columns) of every matrix, the tied embedding first."""
    shapes = {"token_embd": (shape.vocabulary, shape.width)}
    for layer in range(shape.layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{layer}.{name}"] = (shape.width, shape.width)
        for name in ("ffn_gate", "ffn_up"):
            shapes[f"blk.{layer}.{name}"] = (shape.feed_forward, shape.width)
        shapes[f"blk.{layer}.ffn_down"] = (shape.width, shape.feed_forward)
    return shapes


def new_weights(shape: NetworkShape, seed: int) -> dict[str, Any]:
    """Random starting weights; those that add to the residual stream start smaller."""
    torch = training_package("torch")
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, size in matrix_shapes(shape).items():
        scale = 0.02 if name == "token_embd" else size[1] ** -0.5
        if name.endswith(("attn_output", "ffn_down")):
            scale /= (2 * shape.layers) ** 0.5
        weights[name] = torch.randn(size, generator=generator) * scale
    norms = [f"blk.{layer}.{name}" for layer in range(shape.layers) for name in ("attn_norm", "ffn_norm")]
    weights |= {name: torch.ones(shape.width) for name in (*norms, "output_norm")}
    return {name: weight.requires_grad_() for name, weight in weights.items()}


def rope_tables(shape: NetworkShape, length: int) -> tuple[Any, Any]:
    """Cosines and sines, each (length, head_width / 2)."""
    torch = training_package("torch")
    steps = torch.arange(0, shape.head_width, 2, dtype=torch.float32) / shape.head_width
    angles = torch.arange(length, dtype=torch.float32)[:, None] * shape.rope_base**-steps
    return angles.cos(), angles.sin()


def rotate(x: Any, cosines: Any, sines: Any) -> Any:
    """Turn the pairs (x[2i], x[2i+1]) of (..., length, head_width) by their positions' angles."""
    torch = training_package("torch")
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosines - odd * sines, even * sines + odd * cosines), dim=-1).flatten(-2)


def hidden_states(weights: dict[str, Any], shape: NetworkShape, ids: Any) -> Any:
    """(batch, length) ids -> (batch, length, width) after the last norm; causal, positions from 0."""
    torch = training_package("torch")
    functional = torch.nn.functional
    batch, length = ids.shape
    cosines, sines = rope_tables(shape, length)

    def norm(x: Any, name: str) -> Any:
        return functional.rms_norm(x, (shape.width,), weights[name], shape.norm_epsilon)

    def heads(x: Any, name: str) -> Any:
        return (x @ weights[name].T).view(batch, length, shape.heads, shape.head_width).transpose(1, 2)

    x = functional.embedding(ids, weights["token_embd"])
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        y = norm(x, f"{block}.attn_norm")
        q, k, v = (heads(y, f"{block}.attn_{part}") for part in "qkv")
        q, k = rotate(q, cosines, sines), rotate(k, cosines, sines)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).reshape(batch, length, -1) @ weights[f"{block}.attn_output"].T
        y = norm(x, f"{block}.ffn_norm")
        gate = functional.silu(y @ weights[f"{block}.ffn_gate"].T) * (y @ weights[f"{block}.ffn_up"].T)
        x = x + gate @ weights[f"{block}.ffn_down"].T
    return norm(x, "output_norm")


def logits(weights: dict[str, Any], shape: NetworkShape, ids: Any) -> Any:
    """(batch, length) ids -> (batch, length, vocabulary) scores of the next token."""
    return hidden_states(weights, shape, ids) @ weights["token_embd"].T
