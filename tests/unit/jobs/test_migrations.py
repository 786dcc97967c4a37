"""What becomes of stored documents: each migration on a document of before, and on one that has been through it."""

from __future__ import annotations

from copy import deepcopy

import pytest

from nightjar.jobs.migrations import (
    Convert,
    OldDocument,
    drop_dead_speed_of_run,
    drop_dead_speed_of_worker,
    judging_is_a_document,
    judging_of_score,
    may_be_closed_by_dispatchers,
    nest_file_facts_of_model,
    nest_file_facts_of_run,
    nest_judging_and_outcome,
    of_an_evaluation,
    rename_score,
)
from nightjar.jobs.models import FileFacts, ModelFacts

FLAT = {
    "name": "m",
    "digest": "d" * 64,
    "file_name": "m.gguf",
    "file_bytes": 1,
    "kind": "chat",
    "architecture": "llama",
    "parameters": 1,
    "quantisation": "Q8_0",
    "vocabulary": 2,
    "context_train": 3,
    "layers": 4,
    "template_digest": None,
    "licence": None,
    "sampling_defaults": {"top_k": 1},
    "registry_parameters": {},
    "adapters": [],
}
NESTED = {
    "name": "m",
    "source": "file",
    "digest": "d" * 64,
    "kind": "chat",
    "template_digest": None,
    "sampling_defaults": {"top_k": 1},
    "registry_parameters": {},
    "file": {name: FLAT[name] for name in FileFacts.model_fields},
}
SPEED = {"prefill_tokens_per_s": 1.0}
DEAD = SPEED | {"all_slots_prefill_tokens_per_s": None}

OLD_JUDGING = {
    "judges": ["j"],
    "rubric": {"name": "r"},
    "self_judging": True,
    "against": None,
    "check": None,
    "planned": True,
}
ASKED = {name: OLD_JUDGING[name] for name in ("judges", "rubric", "self_judging", "against")}
ASKED |= {"number": 1, "reason": None, "begun_at": None, "ended_at": None}
CASES: list[tuple[Convert, OldDocument, OldDocument]] = [
    # every run of before evaluates
    (of_an_evaluation, {"_id": "r"}, {"_id": "r", "kind": "evaluation"}),
    # nobody but a dispatcher closes a run of before
    (may_be_closed_by_dispatchers, {"_id": "r"}, {"_id": "r", "closers": None}),
    # a run that was never judged gets empty places
    (
        nest_judging_and_outcome,
        {"_id": "r", "judges": ["j"], "untold": True, "name": "n"},
        {
            "_id": "r",
            "name": "n",
            "judging": {
                "judges": ["j"],
                "rubric": None,
                "self_judging": False,
                "against": None,
                "check": None,
                "planned": False,
            },
            "outcome": {
                "verdict": None,
                "answer": None,
                "files": [],
                "deadline_met": False,
                "stalled_at": None,
                "untold": True,
                "finished_at": None,
            },
        },
    ),
    # a run that was judged has one judging, which is complete where the run is DONE
    (
        judging_is_a_document,
        {"_id": "r", "status": "DONE", "judging": OLD_JUDGING, "outcome": {"answer": "a", "files": ["f"]}},
        {
            "_id": "r",
            "status": "DONE",
            "judging": {
                "passes": [ASKED | {"status": "COMPLETE", "verdict": None, "answer": "a", "files": ["f"]}],
                "shown": 1,
                "check": None,
                "planned": True,
            },
            "outcome": {"answer": "a", "files": ["f"]},
        },
    ),
    (
        judging_is_a_document,
        {"_id": "r", "status": "JUDGING", "judging": OLD_JUDGING, "outcome": {"answer": "an earlier one's"}},
        {
            "_id": "r",
            "status": "JUDGING",
            "judging": {
                "passes": [ASKED | {"status": "OPEN", "verdict": None, "answer": None, "files": []}],
                "shown": 1,
                "check": None,
                "planned": True,
            },
            "outcome": {"answer": "an earlier one's"},
        },
    ),
    # one that was not judged has none, and may have had its judges checked
    (
        judging_is_a_document,
        {"judging": {"judges": [], "rubric": None, "check": {"judges": ["j"]}, "planned": True}},
        {"judging": {"passes": [], "shown": None, "check": {"judges": ["j"]}, "planned": True}},
    ),
    (judging_of_score, {"scorer": "judge.plot"}, {"scorer": "judge.plot", "judging": 1}),
    (judging_of_score, {"scorer": "judges_of_ours"}, {"scorer": "judges_of_ours"}),
    # a judge's score was named by a digest
    (
        rename_score,
        {"_id": "0a1b", "job": "j", "turn": 0, "scorer": "judge.plot"},
        {"_id": "j.0.judge.plot", "job": "j", "turn": 0, "scorer": "judge.plot"},
    ),
    # a run without helpers, and one whose probe was never made
    (
        drop_dead_speed_of_run,
        {"models": [{"loads": [{"probe": DEAD}, {"probe": None}]}]},
        {"models": [{"loads": [{"probe": SPEED}, {"probe": None}]}]},
    ),
    (drop_dead_speed_of_worker, {"load": {"probe": DEAD}}, {"load": {"probe": SPEED}}),
    (drop_dead_speed_of_worker, {"load": None}, {"load": None}),  # it never loaded
    (nest_file_facts_of_model, {"_id": "m", "facts": FLAT}, {"_id": "m", "facts": NESTED}),
    # facts that no worker has fixed yet stay unknown
    (
        nest_file_facts_of_run,
        {"models": [{"name": "m", "facts": FLAT}, {"name": "n", "facts": None}], "helpers": []},
        {"models": [{"name": "m", "facts": NESTED}, {"name": "n", "facts": None}], "helpers": []},
    ),
]


@pytest.mark.parametrize(("convert", "before", "after"), CASES)
def test_a_document_gets_its_new_form_once(convert: Convert, before: OldDocument, after: OldDocument) -> None:
    given = deepcopy(before)
    assert convert(given) == after
    assert given == before, "what was read is not changed in place"
    assert convert(after) == after, "a migration that was interrupted may meet its own work"


def test_nested_facts_are_what_the_code_reads() -> None:
    assert ModelFacts.model_validate(NESTED).file_facts.vocabulary == 2
