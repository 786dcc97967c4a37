"""Gates on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nightjar.jobs.ending import Ending, Gate


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What a run must keep, for an exit code of 0."""

    fail_below: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC:X", help="Gate: fails when the metric's mean is worse than X; repeatable."),
    ] = None
    fail_on_regression: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:MARGIN",
            help="Gate: fails when the metric is significantly worse than the baseline's, by more than the margin; "
            "repeatable.",
        ),
    ] = None
    max_missing: Annotated[
        str | None,
        typer.Option(metavar="SHARE|COUNT", help="Gate: fails when more turns are missing: 0.05, 5%, or 3 turns."),
    ] = None
    fail_on_drift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:LIMIT",
            help="Gate: fails when a model is further from --fidelity-to: kld:0.02 (docs/fidelity.md); repeatable.",
        ),
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="An inconclusive gate fails, too.")] = False
    baseline: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Compare with this run; default: the suite's baseline."),
    ] = None

    def gates(self) -> tuple[Gate, ...]:
        """Raises UsageError for what is no gate."""
        from nightjar.pipeline.compare.drift import parse_drifts
        from nightjar.pipeline.compare.gates import parse_gates

        gates = parse_gates(self.fail_below or (), self.fail_on_regression or (), self.max_missing)
        return (*gates, *parse_drifts(self.fail_on_drift or ()))

    def ending(self) -> Ending:
        """As a run holds it."""
        from nightjar.jobs.ending import Ending

        return Ending(gates=self.gates(), strict=self.strict, baseline=self.baseline)
