"""GGUF files made for tests: real ones of any shape, with random weights, and bare ones with chosen keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_gguf(
    path: Path,
    values: Mapping[str, Any] | None = None,
    *,
    architecture: str = "llama",
    tensors: int = 1,
    vocab: int = 8,
) -> Path:
    """A well-formed GGUF with one small tensor and the given keys; it has facts but cannot be loaded."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_token_list([f"t{number}".encode() for number in range(vocab)])
    for key, value in (values or {}).items():
        add_value(writer, key, value)
    for number in range(tensors):
        writer.add_tensor(f"tensor{number}.weight", np.zeros((4, 32), dtype=np.float32))
    _finish(writer)
    return path


def add_value(writer: Any, key: str, value: Any) -> None:
    """Adds a value by its Python type; integers as uint32."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, list(value))


def write_llama(
    path: Path,
    *,
    layers: int = 2,
    width: int = 64,
    heads: int = 4,
    kv_heads: int = 4,
    hidden: int = 128,
    vocab: int = 512,
    context: int = 512,
    quantisation: str = "F16",
    template: str | None = CHATML,
    seed: int = 7,
    name: str = "generated",
    window: int | None = None,
    named_templates: Mapping[str, str] | None = None,
    ends: bool = True,
    pre: str = "gpt-2",
) -> Path:
    """A llama of the given shape with random weights that llama.cpp loads; byte-level vocabulary, ChatML. `pre` names
    how texts are split before they are tokenised.

    With a `window` it is of the architecture cohere2: three of four layers see so many tokens, the output is tied.
    `ends` False: the file does not say which tokens begin and end a text.
    """
    import gguf
    import numpy as np

    kind = gguf.GGMLQuantizationType[quantisation]
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama" if window is None else "cohere2")
    if window is not None:
        writer.add_sliding_window(window)
        writer.add_logit_scale(1.0)
        writer.add_layer_norm_eps(1e-5)
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if quantisation == "F32" else f"MOSTLY_{quantisation}"])
    _vocabulary(writer, vocab, pre, ends=ends)
    if template is not None:
        writer.add_chat_template(template)
    if named_templates:
        writer.add_chat_template([{"name": key, "template": text} for key, text in named_templates.items()])

    def matrix(tensor: str, rows: int, columns: int) -> None:
        weights = random.standard_normal((rows, columns), dtype=np.float32) * 0.05
        data = weights.astype(np.float16) if quantisation == "F16" else gguf.quants.quantize(weights, kind)
        writer.add_tensor(f"{tensor}.weight", data, raw_dtype=kind)

    def norm(tensor: str) -> None:
        writer.add_tensor(f"{tensor}.weight", np.ones(width, dtype=np.float32))

    matrix("token_embd", vocab, width)
    kv_width = width // heads * kv_heads
    for layer in range(layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm")
        if window is None:
            norm(f"{block}.ffn_norm")
        matrix(f"{block}.attn_q", width, width)
        matrix(f"{block}.attn_k", kv_width, width)
        matrix(f"{block}.attn_v", kv_width, width)
        matrix(f"{block}.attn_output", width, width)
        matrix(f"{block}.ffn_gate", hidden, width)
        matrix(f"{block}.ffn_up", hidden, width)
        matrix(f"{block}.ffn_down", width, hidden)
    norm("output_norm")
    if window is None:
        matrix("output", vocab, width)
    _finish(writer)
    return path


def write_mamba(path: Path, *, layers: int = 2, width: int = 64, vocab: int = 512, seed: int = 7) -> Path:
    """A recurrent model with random weights that llama.cpp loads: it has a state instead of cells to copy or trim."""
    import gguf
    import numpy as np

    inner, state, kernel, rank = 2 * width, 8, 4, 4
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name("generated")
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(layers)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    _vocabulary(writer, vocab)
    writer.add_chat_template(CHATML)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.3)

    tensor("token_embd.weight", vocab, width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(layers):
        block = f"blk.{layer}"
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(width, dtype=np.float32))
        tensor(f"{block}.ssm_in.weight", 2 * inner, width)
        tensor(f"{block}.ssm_conv1d.weight", inner, kernel)
        tensor(f"{block}.ssm_conv1d.bias", inner)
        tensor(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        tensor(f"{block}.ssm_dt.weight", inner, rank)
        tensor(f"{block}.ssm_dt.bias", inner)
        writer.add_tensor(f"{block}.ssm_a", -np.exp(random.standard_normal((inner, state), dtype=np.float32)))
        tensor(f"{block}.ssm_d", inner)
        tensor(f"{block}.ssm_out.weight", width, inner)
    _finish(writer)
    return path


def write_lora(
    path: Path, *, architecture: str = "llama", width: int = 64, hidden: int | None = None, rank: int = 4
) -> Path:
    """A strong random LoRA adapter of the first layer's query and of its way down. `hidden` None: twice as wide."""
    import gguf
    import numpy as np

    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for name in ("blk.0.attn_q.weight", "blk.0.ffn_down.weight"):
        inner = width if "attn" in name else hidden or 2 * width
        writer.add_tensor(f"{name}.lora_a", random.standard_normal((rank, inner)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", random.standard_normal((width, rank)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary(writer: Any, size: int, pre: str = "gpt-2", *, ends: bool = True) -> None:
    """Byte-level BPE: three control tokens, the 256 bytes as GPT-2 writes them, then fillers that no merge makes."""
    import gguf

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*control, *letters, *(f"filler{number}" for number in range(size - len(letters) - len(control)))]
    types = [gguf.TokenType.CONTROL] * len(control) + [gguf.TokenType.NORMAL] * (size - len(control))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["t h", "h e"])
    if ends:
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(2)
        writer.add_eot_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
