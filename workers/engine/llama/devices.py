"""The GPUs that this build of llama.cpp can use."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import llama_cpp as llama
from llama_cpp._ggml import libggml

_GPU_DEVICE = 1  # ggml-backend.h: enum ggml_backend_dev_type
_NO_GPU = ("CPU", "BLAS", "RPC")
"""Backends of ggml that are no GPU of this machine."""


@dataclass(frozen=True, kw_only=True)
class UsableGpu:
    description: str
    free_bytes: int


def gpus() -> list[UsableGpu]:
    """As far as this process may see them."""
    if not llama.llama_supports_gpu_offload():
        return []
    visible = []
    for index in range(libggml.ggml_backend_dev_count()):
        device = _ggml("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t(index))
        if _ggml("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p(device)) != _GPU_DEVICE:
            continue
        description = _ggml("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p(device))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        _ggml("ggml_backend_dev_memory", None, ctypes.c_void_p(device), ctypes.byref(free), ctypes.byref(total))
        visible.append(UsableGpu(description=description.decode("utf-8", "replace"), free_bytes=free.value))
    return visible


def gpu_backends() -> list[str]:
    """The kinds of GPU that this build computes on (CUDA, Metal, ...), whether or not one is here and visible."""
    names = []
    for index in range(libggml.ggml_backend_reg_count()):
        registered = _ggml("ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t(index))
        name = _ggml("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p(registered))
        names.append(name.decode("utf-8", "replace"))
    return [name for name in names if name not in _NO_GPU]


def _ggml(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(libggml, name)
    function.restype = result
    return function(*arguments)
