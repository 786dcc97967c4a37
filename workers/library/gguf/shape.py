"""What decides a model's memory: tensor sizes and KV widths per layer, read from its metadata. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nightjar.workers.library.gguf.metadata import LongArray, Metadata

WITHOUT_KV = frozenset(
    "bert jina-bert-v2 jina-bert-v3 nomic-bert nomic-bert-moe neo-bert eurobert modern-bert gemma-embedding t5encoder "
    "dream llada llada-moe rnd1 wavtokenizer-dec".split()
)
"""Architectures that see the whole text at once and keep no KV (llama.cpp, `llama_model::create_memory`)."""
SLIDING: Mapping[str, tuple[int, bool]] = {
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "cohere2": (4, False),
    "cohere2moe": (4, True),
    "olmo2": (4, False),
    "exaone4": (4, False),
    "exaone-moe": (4, False),
    "plamo3": (8, False),
    "llama4": (4, False),
    "afmoe": (4, False),
    "laguna": (4, True),
    "mellum": (4, False),
    "smallthinker": (4, True),
}
"""Architectures whose layers see only a window, except one in every N; True: the first of the N, else the last.
A file's own setting wins; an architecture that is not listed sees everything (llama.cpp, `load_swa_pattern`)."""
_LAYER = re.compile(r"^blk\.(\d{1,6})\.")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes in bytes and elements; per-layer tuples have one entry for each layer."""

    layers: int
    width: int
    hidden: int
    heads: int
    vocabulary: int
    context_train: int
    k_widths: tuple[int, ...]
    """Elements of K kept per token; 0 where a layer keeps none."""
    v_widths: tuple[int, ...]
    sliding: tuple[bool, ...]
    """Layers that keep `window` tokens only."""
    window: int = 0
    layer_bytes: tuple[int, ...]
    """Weights of each layer."""
    input_bytes: int
    """The input embedding, which stays in the host's memory."""
    output_bytes: int
    """Everything but layers and input embedding; a tied output counts the input embedding again on a device."""
    state_bytes: int = 0
    """Recurrent state of one slot."""
    active_share: float = 1.0
    """Share of the layers' weights read for one token: below 1 for mixtures of experts."""
    tied: bool = False
    """Output and input embedding are one tensor."""

    @property
    def weights_bytes(self) -> int:
        return self.input_bytes + self.output_bytes + sum(self.layer_bytes)


def shape_of(metadata: Metadata) -> Shape:
    """The shape of a whole model (the tensors of all parts)."""
    get = metadata.of_architecture
    layers = _int(get("block_count"))
    heads = max(_per_layer(get("attention.head_count"), layers, 0), default=0)
    k_widths, v_widths = _kv_widths(metadata, layers, heads)
    layer_bytes, input_bytes, output_bytes, expert_bytes = _weights(metadata, layers)
    names = {tensor.name for tensor in metadata.tensors}
    return Shape(
        layers=layers,
        width=_int(get("embedding_length")),
        hidden=max(_per_layer(get("feed_forward_length"), layers, 0), default=0),
        heads=heads,
        vocabulary=_vocabulary(metadata),
        context_train=_int(get("context_length")),
        k_widths=k_widths,
        v_widths=v_widths,
        sliding=_sliding(metadata, layers),
        window=_int(get("attention.sliding_window")),
        layer_bytes=layer_bytes,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        state_bytes=_state_bytes(metadata, k_widths),
        active_share=_active_share(metadata, sum(layer_bytes), expert_bytes),
        tied="output.weight" not in names and metadata.architecture not in WITHOUT_KV,
    )


def _weights(metadata: Metadata, layers: int) -> tuple[tuple[int, ...], int, int, int]:
    per_layer, input_bytes, output_bytes, expert_bytes = [0] * layers, 0, 0, 0
    for tensor in metadata.tensors:
        match = _LAYER.match(tensor.name)
        if match and int(match[1]) < layers:
            per_layer[int(match[1])] += tensor.bytes
            expert_bytes += tensor.bytes if "_exps" in tensor.name else 0
        elif tensor.name.startswith(("token_embd.", "token_types.", "position_embd.", "per_layer_token_embd.")):
            input_bytes += tensor.bytes
        else:
            output_bytes += tensor.bytes
    return tuple(per_layer), input_bytes, output_bytes, expert_bytes


def _kv_widths(metadata: Metadata, layers: int, heads: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """K and V elements per token and layer, as llama.cpp's `n_embd_k_gqa` and `n_embd_v_gqa` count them."""
    get = metadata.of_architecture
    if metadata.architecture in WITHOUT_KV or not layers:
        return (0,) * layers, (0,) * layers
    kv_heads = _per_layer(get("attention.head_count_kv"), layers, heads)
    width = _int(get("embedding_length"))
    head_width = width // heads if heads else 0
    k_length = _int(get("attention.key_length"), head_width)
    v_length = _int(get("attention.value_length"), head_width)
    sliding = _sliding(metadata, layers)
    k_sliding = _int(get("attention.key_length_swa"), k_length)
    v_sliding = _int(get("attention.value_length_swa"), v_length)
    keeps = _keeping_layers(metadata, layers)
    latent = _int(get("attention.key_length_mla")) > 0  # multi-head latent attention keeps K only
    k = tuple(kv_heads[i] * (k_sliding if sliding[i] else k_length) if i in keeps else 0 for i in range(layers))
    v = tuple(
        0 if latent or i not in keeps else kv_heads[i] * (v_sliding if sliding[i] else v_length) for i in range(layers)
    )
    return k, v


def _keeping_layers(metadata: Metadata, layers: int) -> set[int]:
    """Layers with KV of their own: not those that share another's, nor the recurrent ones of a hybrid."""
    shared = _int(metadata.of_architecture("attention.shared_kv_layers"))
    interval = _int(metadata.of_architecture("full_attention_interval"))
    return {i for i in range(layers - shared) if interval <= 1 or (i + 1) % interval == 0}


def _state_bytes(metadata: Metadata, k_widths: tuple[int, ...]) -> int:
    """Convolution and recurrent state of one slot, float32, over the layers without KV (`n_embd_r`, `n_embd_s`)."""
    get = metadata.of_architecture
    state, inner = _int(get("ssm.state_size")), _int(get("ssm.inner_size"))
    kernel, groups = _int(get("ssm.conv_kernel")), _int(get("ssm.group_count"))
    if not state:
        return 0
    convolution = max(kernel - 1, 0) * (inner + 2 * groups * state)
    return 4 * (convolution + state * inner) * sum(1 for width in k_widths if width == 0)


def _active_share(metadata: Metadata, layers_bytes: int, expert_bytes: int) -> float:
    experts = _int(metadata.of_architecture("expert_count"))
    used = _int(metadata.of_architecture("expert_used_count"))
    if not experts or not used or not layers_bytes:
        return 1.0
    return 1.0 - expert_bytes / layers_bytes * (1 - min(used / experts, 1.0))


def _vocabulary(metadata: Metadata) -> int:
    for tensor in metadata.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
            return tensor.shape[1]
    tokens = metadata.values.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.length
    return len(tokens) if isinstance(tokens, tuple) else 0


def _per_layer(value: Any, layers: int, default: int) -> tuple[int, ...]:
    """A setting given once or per layer, as one number per layer."""
    if isinstance(value, tuple):
        numbers = [_int(item) for item in value[:layers]]
        return tuple(numbers + [default] * (layers - len(numbers)))
    return (_int(value, default),) * layers


def _sliding(metadata: Metadata, layers: int) -> tuple[bool, ...]:
    """The layers with a sliding window: as the file lists them, else by the period of the file or the architecture."""
    listed = metadata.of_architecture("attention.sliding_window_pattern")
    if isinstance(listed, tuple):
        return tuple(bool(item) for item in listed[:layers]) + (False,) * max(layers - len(listed), 0)
    period, dense_first = SLIDING.get(metadata.architecture, (1, False))
    period = _int(listed, period)
    if _int(metadata.of_architecture("attention.sliding_window")) == 0:
        return (False,) * layers
    dense = 0 if dense_first else period - 1
    return tuple(period > 1 and i % period != dense for i in range(layers))


def _int(value: Any, default: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else default
