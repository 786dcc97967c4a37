"""Nightjar: evaluate local GGUF language models.

What a program may import (docs/python.md); everything else is the product's own and may change. Names are loaded when
they are used, so that `import nightjar` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nightjar.config.version import NIGHTJAR_VERSION as __version__

if TYPE_CHECKING:
    from nightjar.config.errors import (
        ContextError,
        EngineError,
        HubError,
        ModelError,
        ModelFileError,
        ModelFitError,
        NightjarError,
        OutputError,
        ParameterError,
        RunConflictError,
        SchemaError,
        ServiceError,
        SettingsError,
        SuiteError,
        TemplateError,
        UnknownNameError,
        UsageError,
    )
    from nightjar.evaluating import aevaluate, evaluate
    from nightjar.manager import Manager
    from nightjar.model import Model, ModelReply, aload, load
    from nightjar.saved_report import Report, read_report
    from nightjar.scorers import (
        Context,
        Direction,
        FunctionScorer,
        Scale,
        Score,
        Scorer,
        ScorerFactory,
        ScoreState,
        passed,
        unscored,
    )

__all__ = [
    "Context",
    "ContextError",
    "Direction",
    "EngineError",
    "FunctionScorer",
    "HubError",
    "Manager",
    "Model",
    "ModelError",
    "ModelFileError",
    "ModelFitError",
    "ModelReply",
    "NightjarError",
    "OutputError",
    "ParameterError",
    "Report",
    "RunConflictError",
    "Scale",
    "SchemaError",
    "Score",
    "ScoreState",
    "Scorer",
    "ScorerFactory",
    "ServiceError",
    "SettingsError",
    "SuiteError",
    "TemplateError",
    "UnknownNameError",
    "UsageError",
    "__version__",
    "aevaluate",
    "aload",
    "evaluate",
    "load",
    "passed",
    "read_report",
    "unscored",
]
_HOMES = {
    "evaluating": "aevaluate evaluate",
    "saved_report": "Report read_report",
    "manager": "Manager",
    "model": "Model ModelReply aload load",
    "scorers": "Context Direction FunctionScorer Scale Score ScoreState Scorer ScorerFactory passed unscored",
}
_LAZY = {name: f"nightjar.{home}" for home, names in _HOMES.items() for name in names.split()}
"""Name -> the module that has it; the errors, which are the rest, have one of their own."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nightjar' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY.get(name, "nightjar.config.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
