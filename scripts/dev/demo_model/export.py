"""Writing the GGUF file: Q8_0 matrices, F32 norms, the tokenizer, the ChatML template, and its provenance."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from nightjar.scripts.dev.demo_model.network import NetworkShape
from nightjar.scripts.dev.demo_model.tokenizer import CONTROL, END, PAD

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
DESCRIPTION = (
    "A very small story model for demonstrations and tests. Trained from random weights by "
    "scripts/dev/train_demo_model.py on synthetic chats that a grammar makes; no other text was used. "
    "It tells short stories in two or three turns and knows nothing else; its judgements are chance."
)
F32Array = npt.NDArray[np.float32]


def write_gguf(
    path: Path, weights: dict[str, F32Array], shape: NetworkShape, tokens: str, made: dict[str, int]
) -> None:
    """Write the model; `tokens` is the tokenizer as JSON, `made` the training's numbers (`nightjar.training.*`)."""
    writer = gguf.GGUFWriter(path, "llama")
    add_description(writer, made, sum(weight.size for weight in weights.values()))
    add_sizes(writer, shape)
    add_tokenizer(writer, json.loads(tokens))
    for name, weight in weights.items():
        if weight.ndim == 1:
            writer.add_tensor(f"{name}.weight", weight)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def after_q8_0(weights: dict[str, F32Array]) -> dict[str, F32Array]:
    """The weights as the file holds them: matrices quantised to Q8_0 and back."""
    kind = gguf.GGMLQuantizationType.Q8_0

    def stored(weight: F32Array) -> F32Array:
        back: F32Array = gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)
        return back.reshape(weight.shape)

    return {name: weight if weight.ndim == 1 else stored(weight) for name, weight in weights.items()}


def add_description(writer: gguf.GGUFWriter, made: dict[str, int], parameters: int) -> None:
    """Name, licence, how it was made, and the sampling it was tried with."""
    writer.add_type("model")
    writer.add_name("Nightjar Demo")
    writer.add_basename("nightjar-demo")
    writer.add_version("1")
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_author("The Nightjar contributors")
    writer.add_description(DESCRIPTION)
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_tags(["text-generation", "demo", "stories", "synthetic-data"])
    writer.add_sampling_temp(0.7)
    writer.add_sampling_top_k(40)
    writer.add_sampling_top_p(0.95)
    for key, number in made.items():
        writer.add_uint32(f"nightjar.training.{key}", number)


def add_sizes(writer: gguf.GGUFWriter, shape: NetworkShape) -> None:
    """The hyper-parameters of llama.cpp's llama architecture."""
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_tokenizer(writer: gguf.GGUFWriter, saved: dict[str, Any]) -> None:
    """Tokens in id order; every special id is set, since llama.cpp gives omitted ones a default of another model."""
    ids: dict[str, int] = saved["model"]["vocab"]
    tokens = sorted(ids, key=ids.__getitem__)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([control if token in CONTROL else normal for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in saved["model"]["merges"]])
    writer.add_bos_token_id(ids[PAD])
    writer.add_eos_token_id(ids[END])
    writer.add_eot_token_id(ids[END])
    writer.add_pad_token_id(ids[PAD])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)
