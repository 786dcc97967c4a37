"""Another quantisation of a model file, made by llama.cpp from the file itself."""

from __future__ import annotations

from pathlib import Path

import llama_cpp as llama

FILE_TYPES = {
    "Q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q4_K_M": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q2_K": llama.LLAMA_FTYPE_MOSTLY_Q2_K,
}


def requantise(source: Path, kind: str, target: Path) -> Path:
    """Takes 1.5 to 3 s for SmolLM2: its 4-bit weights are read as they are, whatever that loses."""
    params = llama.llama_model_quantize_default_params()
    params.ftype = FILE_TYPES[kind]
    params.allow_requantize = True
    params.nthread = 2
    assert llama.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0
    return target
