"""How far one load's distributions are from another's, token by token: what workers measure and the pipeline sums up.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from nightjar.jobs.models import LoadFacts, ModelFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RunFidelity(BaseModel):
    """What the models of a run are held against, once its replies are there."""

    model_config = ConfigDict(frozen=True)

    reference: str
    """Name of a model, of the run's or not. Its file is the same for the whole run."""
    path: str | None = None
    """A GGUF file given by path (`nightjar eval`); None where a registry knows the name."""


@dataclass(frozen=True, kw_only=True)
class ScoredPlaces:
    """Where the scored tokens stand: arrays of one length, an entry a token."""

    text: NDArray[Any]
    """Number of the text that the token belongs to: texts are the sample that intervals are taken over."""
    span: NDArray[Any]
    """Number of the stretch of scored tokens without a gap: a window's, or a reply."""
    position: NDArray[Any]
    """Tokens of its span before it."""
    depth: NDArray[Any]
    """Tokens of its context before it."""

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """A candidate's next-token distributions q against a reference's p: arrays with an entry for each scored token."""

    kl: NDArray[Any]
    """sum p log(p/q), in nats."""
    kl_variance: NDArray[Any] | None
    """Of the estimate of `kl`; None where it is exact."""
    same_top: NDArray[Any]
    """Whether both have the same likeliest token."""
    reference_logprob: NDArray[Any]
    """log p of the token that follows in the text, in nats."""
    candidate_logprob: NDArray[Any]

    @property
    def exact(self) -> bool:
        return self.kl_variance is None


@dataclass(frozen=True, kw_only=True)
class LoadedSide:
    """One side of a comparison: which file, and how it was loaded."""

    label: str
    """What a person called it: the model, and what it was loaded with."""
    facts: ModelFacts
    load: LoadFacts
    cache_bytes: int
    """KV cache of a thousand tokens of context, over the layers that see all of it."""
