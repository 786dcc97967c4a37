"""Which samplers a request needs, in which order. Pure; `llama/sampler.py` builds them.

The order is llama.cpp's own: bias and penalties on all logits, then the cuts, then temperature and the draw.
A sampler that would change nothing is left out: over a large vocabulary each pass costs time.
"""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.jobs.parameters import Parameters

Arguments = tuple[float | int | tuple[str, ...] | tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Stage:
    """One sampler: its name in llama.cpp (`llama_sampler_init_NAME`) and its arguments, the vocabulary left out."""

    name: str
    arguments: Arguments = ()


def stages(parameters: Parameters, seed: int, context: int) -> tuple[Stage, ...]:
    """The sampler chain of a request; the last stage chooses the token. A window of -1 is the whole context."""
    chain: list[Stage] = []
    if parameters.logit_bias:
        chain.append(Stage("logit_bias", (tuple(sorted(parameters.logit_bias.items())),)))
    if _penalises(parameters):
        chain.append(
            Stage(
                "penalties",
                (
                    _window(parameters.repeat_last_n, context),
                    parameters.repeat_penalty,
                    parameters.frequency_penalty,
                    parameters.presence_penalty,
                ),
            )
        )
    if parameters.dry_multiplier > 0 and parameters.dry_penalty_last_n != 0:
        chain.append(
            Stage(
                "dry",
                (
                    parameters.dry_multiplier,
                    parameters.dry_base,
                    parameters.dry_allowed_length,
                    _window(parameters.dry_penalty_last_n, context),
                    parameters.dry_sequence_breakers,
                ),
            )
        )
    if parameters.temperature == 0:
        return (*chain, Stage("greedy"))
    return (*chain, *_cuts(parameters, seed), Stage("temp", (parameters.temperature,)), Stage("dist", (seed,)))


def remembered_tokens(parameters: Parameters, context: int) -> int:
    """How many of the prompt's last tokens the penalties look at; 0 if there are none."""
    windows = [0]
    if _penalises(parameters):
        windows.append(_window(parameters.repeat_last_n, context))
    if parameters.dry_multiplier > 0:
        windows.append(_window(parameters.dry_penalty_last_n, context))
    return max(windows)


def _window(tokens: int, context: int) -> int:
    return context if tokens == -1 else tokens


def _penalises(parameters: Parameters) -> bool:
    changes = (parameters.repeat_penalty, parameters.frequency_penalty, parameters.presence_penalty) != (1.0, 0.0, 0.0)
    return changes and parameters.repeat_last_n != 0


def _cuts(parameters: Parameters, seed: int) -> list[Stage]:
    cuts: list[Stage] = []
    if parameters.top_k > 0:
        cuts.append(Stage("top_k", (parameters.top_k,)))
    if parameters.typical_p < 1:
        cuts.append(Stage("typical", (parameters.typical_p, 1)))
    if parameters.top_p < 1:
        cuts.append(Stage("top_p", (parameters.top_p, 1)))
    if parameters.min_p > 0:
        cuts.append(Stage("min_p", (parameters.min_p, 1)))
    if parameters.xtc_probability > 0:
        cuts.append(Stage("xtc", (parameters.xtc_probability, parameters.xtc_threshold, 1, seed)))
    return cuts
