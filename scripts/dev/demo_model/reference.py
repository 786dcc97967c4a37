"""Reference logits: what torch computes, kept so that llama.cpp can be checked without torch."""

import itertools
import json
from pathlib import Path
from typing import Any

from nightjar.scripts.dev.demo_model.corpus import chats
from nightjar.scripts.dev.demo_model.export import F32Array, after_q8_0
from nightjar.scripts.dev.demo_model.extras import training_package
from nightjar.scripts.dev.demo_model.network import NetworkShape, logits
from nightjar.scripts.dev.demo_model.tokenizer import encode_chat

REFERENCE_SEED = 77_000_002
PROMPTS, POSITIONS, BEST = 3, 64, 16


def write_reference(path: Path, weights: dict[str, F32Array], shape: NetworkShape, tokenizer: Any) -> None:
    """For some chats' first ids: at each position the BEST highest logits, from F32 and from Q8_0 weights."""
    stored = after_q8_0(weights)
    prompts = []
    for chat in itertools.islice(chats(REFERENCE_SEED), PROMPTS):
        ids = encode_chat(tokenizer, chat).ids[:POSITIONS]
        prompts.append({"ids": ids, "f32": best(weights, shape, ids), "q8_0": best(stored, shape, ids)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"prompts": prompts}, separators=(",", ":")) + "\n", encoding="utf-8")


def best(weights: dict[str, F32Array], shape: NetworkShape, ids: list[int]) -> dict[str, list[list[Any]]]:
    """Token ids and logits of the highest scores of each position, highest first."""
    torch = training_package("torch")
    tensors = {name: torch.from_numpy(weight.copy()) for name, weight in weights.items()}
    with torch.no_grad():
        top = logits(tensors, shape, torch.tensor([ids]))[0].topk(BEST, dim=-1)
    values = [[round(value, 4) for value in row] for row in top.values.tolist()]
    return {"ids": top.indices.tolist(), "logits": values}
