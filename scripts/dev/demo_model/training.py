"""Training: batches of chats of like length, two optimisers, a fixed number of steps, checkpoints to resume from."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from nightjar.scripts.dev.demo_model.corpus import chats
from nightjar.scripts.dev.demo_model.extras import training_package
from nightjar.scripts.dev.demo_model.network import NetworkShape, hidden_states, new_weights
from nightjar.scripts.dev.demo_model.tokenizer import Encoded, encode_chat


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the result but the machine: everything random comes from the seed."""

    seed: int = 20_240
    steps: int = 2_000
    batch_tokens: int = 3_072
    pool: int = 768  # chats sorted by length at a time
    learning_rate: float = 3e-3
    warm_up: int = 60
    weight_decay: float = 0.01
    copy_weight: float = 3.0
    answer_weight: float = 4.0


def batches(tokenizer: Any, recipe: Recipe, shape: NetworkShape) -> Iterator[list[Encoded]]:
    """Endless batches of at most `batch_tokens` ids, padding included; chats longer than the context are left out."""
    stream, rng = chats(recipe.seed), Random(recipe.seed)
    while True:
        pool = [
            encode_chat(tokenizer, chat, copy_weight=recipe.copy_weight, answer_weight=recipe.answer_weight)
            for chat in itertools.islice(stream, recipe.pool)
        ]
        pool = sorted((row for row in pool if len(row.ids) <= shape.context), key=lambda row: len(row.ids))
        groups: list[list[Encoded]] = [[]]
        for row in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(row.ids) > recipe.batch_tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from groups


def padded(rows: list[Encoded]) -> tuple[Any, Any]:
    """Ids and weights as (batch, length) tensors; padding has id 0 and weight 0 and lies after all real tokens."""
    torch = training_package("torch")
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        weights[at, : len(row.ids)] = torch.tensor(row.weights)
    return ids, weights


def loss_of(weights: dict[str, Any], shape: NetworkShape, ids: Any, importance: Any) -> Any:
    """Weighted mean cross-entropy; scores are computed only where a token is to be learned."""
    torch = training_package("torch")
    targets, importance = ids[:, 1:], importance[:, 1:]
    learned = importance > 0
    hidden = hidden_states(weights, shape, ids)[:, :-1][learned]
    losses = torch.nn.functional.cross_entropy(hidden @ weights["token_embd"].T, targets[learned], reduction="none")
    return (losses * importance[learned]).sum() / importance.sum()


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then linear decay to zero at the last step."""
    if step < recipe.warm_up:
        return recipe.learning_rate * (step + 1) / recipe.warm_up
    return recipe.learning_rate * (recipe.steps - step) / (recipe.steps - recipe.warm_up)


class Muon:
    """Momentum, orthogonalised (Jordan et al. 2024), for matrices; steps are scaled to AdamW's size (Liu et al. 2025).

    torch.optim.Muon computes in bfloat16, which is many times slower than float32 on a CPU without it; and matrices of
    one shape are done together here.
    """

    COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(self, matrices: list[Any], *, momentum: float, weight_decay: float) -> None:
        torch = training_package("torch")
        self.momentum, self.weight_decay = momentum, weight_decay
        shapes = sorted({matrix.shape for matrix in matrices})
        self.groups = [[matrix for matrix in matrices if matrix.shape == shape] for shape in shapes]
        self.velocities = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    def step(self, rate: float) -> None:
        """One step from the gradients, which are then cleared."""
        torch = training_package("torch")
        with torch.no_grad():
            for group, velocity in zip(self.groups, self.velocities, strict=True):
                gradient = torch.stack([matrix.grad for matrix in group])
                velocity.mul_(self.momentum).add_(gradient)
                update = self.orthogonal(gradient + self.momentum * velocity)
                scale = 0.2 * max(update.shape[1:]) ** 0.5
                for matrix, change in zip(group, update, strict=True):
                    matrix.mul_(1 - rate * self.weight_decay).sub_(change, alpha=rate * scale)
                    matrix.grad = None

    def orthogonal(self, matrices: Any) -> Any:
        """(n, rows, columns) -> about the nearest semi-orthogonal matrices, by five Newton-Schulz steps."""
        a, b, c = self.COEFFICIENTS
        tall = matrices.shape[1] > matrices.shape[2]
        x = matrices.mT if tall else matrices
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            square = x @ x.mT
            x = a * x + (b * square + c * square @ square) @ x
        return x.mT if tall else x


def optimisers(weights: dict[str, Any], recipe: Recipe) -> tuple[Muon, Any]:
    """Muon for the matrices between layers; AdamW for the embedding and the norms."""
    torch = training_package("torch")
    inner = [weight for name, weight in weights.items() if weight.ndim == 2 and name != "token_embd"]
    outer = [weight for name, weight in weights.items() if weight.ndim == 1 or name == "token_embd"]
    adam = torch.optim.AdamW(outer, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return Muon(inner, momentum=0.95, weight_decay=recipe.weight_decay), adam


def train(
    tokenizer: Any,
    recipe: Recipe,
    shape: NetworkShape,
    checkpoint: Path,
    on_checkpoint: Callable[[dict[str, Any], int], None],
) -> dict[str, Any]:
    """The trained weights. Every 200 steps it saves to `checkpoint`, to resume from, and calls back."""
    torch = training_package("torch")
    weights = new_weights(shape, recipe.seed)
    muon, adam = optimisers(weights, recipe)
    first = restore(checkpoint, recipe, weights, muon, adam)
    began, seen, averaged = time.monotonic(), 0, 0.0
    stream = itertools.islice(batches(tokenizer, recipe, shape), first, recipe.steps)
    for step, rows in enumerate(stream, start=first):
        ids, importance = padded(rows)
        loss = loss_of(weights, shape, ids, importance)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        adam.param_groups[0]["lr"] = learning_rate(step, recipe)
        adam.step()
        adam.zero_grad()
        muon.step(learning_rate(step, recipe))
        seen += ids.numel()
        averaged = loss.item() if step == first else 0.95 * averaged + 0.05 * loss.item()
        if step % 20 == 19:
            speed = seen / (time.monotonic() - began)
            print(f"step {step + 1}/{recipe.steps} loss {averaged:.4f} {speed:.0f} tokens/s", flush=True)
        if step % 200 == 199 or step + 1 == recipe.steps:
            save(checkpoint, recipe, step + 1, weights, muon, adam)
            on_checkpoint(weights, step + 1)
    return weights


def save(checkpoint: Path, recipe: Recipe, step: int, weights: dict[str, Any], muon: Muon, adam: Any) -> None:
    """Write everything that resuming needs; a crash while writing leaves the older checkpoint."""
    torch = training_package("torch")
    solvers = {"muon": muon.velocities, "adam": adam.state_dict()}
    state = {"recipe": vars(recipe), "step": step, "weights": weights, **solvers}
    fresh = checkpoint.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(checkpoint)


def restore(checkpoint: Path, recipe: Recipe, weights: dict[str, Any], muon: Muon, adam: Any) -> int:
    """Load the checkpoint of the same recipe into weights and optimisers; the number of steps already done, else 0."""
    torch = training_package("torch")
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["recipe"] != vars(recipe):
        return 0
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(state["weights"][name])
    muon.velocities = state["muon"]
    adam.load_state_dict(state["adam"])
    return int(state["step"])
