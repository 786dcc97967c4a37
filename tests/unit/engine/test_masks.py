"""Preparing samplers beside the device."""

from __future__ import annotations

from typing import Any, cast

from nightjar.workers.engine.masks import MaskThread


class Prepared:
    times = 0

    def prepare(self) -> None:
        self.times += 1


def test_a_thread_that_takes_no_more_work_stops_no_step() -> None:
    """As at an interpreter's end, while the engine still decodes: draws then compute their masks themselves."""
    sampler, masks = Prepared(), MaskThread()
    for _ in range(2):
        masks.add(cast(Any, sampler))
        masks.begin()
        masks.wait()
        masks.close()
    assert sampler.times == 1
