"""The rubrics that come with Nightjar are rubrics."""

from __future__ import annotations

from pathlib import Path

from nightjar import config
from nightjar.scripts.options.rubric import read_rubric_file

FOLDER = Path(config.__file__).parent / "rubrics"


def test_storybench_has_seven_criteria_from_1_to_5() -> None:
    rubric = read_rubric_file(FOLDER / "storybench.yaml")
    assert len(rubric["criteria"]) == 7
    assert {"".join(one["scale"]) for one in rubric["criteria"]} == {"12345"}


def test_every_bundled_rubric_can_be_read() -> None:
    """One of each method."""
    methods = {path.stem: read_rubric_file(path)["method"] for path in FOLDER.glob("*.yaml")}
    assert methods == {"storybench": "points", "pairwise": "pairwise"}
