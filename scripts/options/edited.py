"""What `schedule edit` changes: of all options only those that somebody gave, or gave back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from nightjar.config.errors import UsageError, suggest

KEYS: Mapping[str, tuple[str, ...]] = {
    "assignments": ("set_parameters", "set_model_parameters"),
    "memory": ("set_parameters",),
    "stalled_after": ("stalled_after_s",),
    "report_formats": ("formats",),
    "fail_below": ("gates",),
    "fail_on_regression": ("gates",),
    "max_missing": ("gates",),
    "fail_on_drift": ("gates",),
}
"""Option -> keys of the request, where they are called otherwise."""
SHOWN = {"set": "assignments", "judge": "judges", "measure": "measures", "report": "report_formats"}
"""As an option is typed -> as it is called here."""
RESETTABLE = (
    "repeats seed budget assignments only limit judges rubric self_judging embed_model measures priority max_tries "
    "fail_on_error deadline stalled_after report_formats on_finish fail_below fail_on_regression max_missing "
    "fail_on_drift strict baseline until primary margin fidelity_to"
).split()


def edited_options(request: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Of the request's options those that were given; gates are replaced as a whole."""
    wanted = {key for option in given for key in KEYS.get(option, (option,))}
    return {key: value for key, value in request.items() if key in wanted}


def edited_fields(given: Collection[str], **fields: Any) -> dict[str, Any]:
    """Of the schedule's own fields those that were given, checked. Raises UsageError."""
    from nightjar.pipeline.nights.ticks import Rules

    changed = {name: value for name, value in fields.items() if name in given}
    defaults: dict[str, Any] = {"overlap": "queue", "missed": "run", "grace": "5m", "keep_nights": None}
    rules = Rules.read(**{name: changed.get(name, default) for name, default in defaults.items()})
    checked = {
        "overlap": rules.overlap.value,
        "missed": rules.missed.value,
        "grace": rules.grace_s,
        "keep_nights": rules.keep_nights,
    }
    result = {name: checked.get(name, value) for name, value in changed.items()}
    if "grace" in result:
        result["grace_s"] = result.pop("grace")
    return result


def reset_keys(options: Iterable[str]) -> set[str]:
    """Keys of the request that get their default back. Raises UsageError for what is no such option."""
    keys: set[str] = set()
    for option in options:
        typed = option.strip().lstrip("-").replace("-", "_")
        name = SHOWN.get(typed, typed)
        if name not in RESETTABLE:
            known = sorted({*RESETTABLE, *SHOWN})
            raise UsageError(f"--reset {option!r} is not an option with a default. {suggest(name, known, 'option')}")
        keys |= set(KEYS.get(name, (name,)))
    return keys
