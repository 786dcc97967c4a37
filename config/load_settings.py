"""How a model is loaded: the ONE form of model settings, used in `[model]`, models.toml and NIGHTJAR_MODEL__*. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

CacheType = Literal["f16", "q8_0", "q4_0"]
Auto = Literal["auto"]
Positive = Annotated[int, Field(ge=1)]


class LoadSettings(BaseModel):
    """Settings a model is loaded with. "auto" is resolved on the worker, for its device, and recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    context: int | None = Field(None, ge=16)
    """Tokens per conversation; None: what the file declares, at most 8192."""
    slots: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    """Conversations at once; auto: as many as fit, on a GPU at most 32, on a CPU at most as many as a measurement here
    found enough (8 until there is one)."""
    gpu_layers: int = Field(-1, ge=-1)
    """Layers offloaded; -1: all."""
    flash_attention: bool = True
    """Used where the device has a kernel for the model's heads."""
    offload_kv: bool = True
    mmap: bool = True
    mlock: bool = False
    n_batch: Positive | Auto = "auto"
    """Tokens per decode call; auto: 2048. A step takes only as many of them as fit into a second."""
    n_ubatch: Positive | Auto = "auto"
    """Tokens per device micro-batch; auto: 64 on a CPU, 512 on a GPU, and at least one for each slot."""
    threads: Positive | Auto = "auto"
    """auto: the cores this process may use, and fewer while other processes need them; fixed under `reproducible`."""
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    """q8_0 and q4_0 need flash attention."""
    memory_share: float = Field(0.8, gt=0, le=1)
    """At most this share of the device's memory."""
    reproducible: bool = False
