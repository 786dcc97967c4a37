"""The rubrics that come with Nightjar are rubrics."""

from __future__ import annotations

from pathlib import Path

import config
from scripts.rubrics import read_rubric_file

FOLDER = Path(config.__file__).parent / "rubrics"


def test_storybench_has_seven_criteria_from_1_to_5() -> None:
    rubric = read_rubric_file(FOLDER / "storybench.yaml")
    assert len(rubric["criteria"]) == 7
    assert {"".join(one["scale"]) for one in rubric["criteria"]} == {"12345"}
