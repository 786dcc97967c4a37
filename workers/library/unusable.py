"""Model files that llama.cpp loads and Nightjar cannot use: told from their metadata, since loading one may end the
process or give numbers that mean nothing. Pure."""

from __future__ import annotations

from nightjar.workers.library.gguf.metadata import Metadata

DIFFUSION = frozenset("dream llada llada-moe rnd1".split())
DRAFTS = frozenset("eagle3 dflash gemma4-assistant".split())
SOUND = frozenset("wavtokenizer-dec qwen3tts pockettts".split())
RANK, POOLINGS = 4, range(-1, 4)
"""`pooling_type`: -1 unspecified, 0 none, 1 mean, 2 cls, 3 last, 4 rank."""
POSITIONS = "position_embd.weight"


def why_unusable(metadata: Metadata) -> str | None:
    """What the model is instead of one that writes or embeds, and what to take; None for those that do."""
    architecture = metadata.architecture
    pooling = metadata.of_architecture("pooling_type")
    sides = {tensor.name.partition(".")[0] for tensor in metadata.tensors}
    if architecture == "t5" or {"enc", "dec"} <= sides:
        return (
            f"an encoder-decoder ({architecture}): it reads with one half and writes with the other, and Nightjar runs "
            "models of one half only. Take a decoder (llama, qwen, gemma, ...), or an encoder to embed texts"
        )
    if architecture in DIFFUSION:
        return (
            f"a diffusion model ({architecture}): it fills in a text all at once, and Nightjar generates token by "
            "token. Take a model that does"
        )
    if architecture in DRAFTS:
        return f"a draft for another model ({architecture}), which cannot answer by itself. Take that model"
    if architecture in SOUND:
        return f"a model of sound ({architecture}), not of text. Take a language model"
    if pooling == RANK:
        return (
            "a reranker (pooling_type is rank): it scores how well a text answers a query, and gives no embeddings. "
            "Take the embedding model of its family"
        )
    if pooling is not None and pooling not in POOLINGS:
        return f"pooled in a way that this llama.cpp does not know (pooling_type is {pooling!r}). Convert it again"
    return None


def positions_of(metadata: Metadata) -> int | None:
    """How many positions the model's table holds; None for models without one, which may go on beyond their context."""
    return next((tensor.shape[-1] for tensor in metadata.tensors if tensor.name == POSITIONS), None)
