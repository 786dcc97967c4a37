"""Which judge jobs a run needs."""

from __future__ import annotations

from dataclasses import replace

from nightjar.jobs.identity import digest
from nightjar.pipeline.judging.judged import JudgedJob
from nightjar.pipeline.judging.panel import Panel, seat
from nightjar.pipeline.judging.plan import JudgeJobSpec, plan_judging, prompt_digest
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.rubric import Rubric, read_rubric


def rubric(scope: str = "turn", best: str = "good", **changes: object) -> Rubric:
    scale = {"1": "bad", "2": best}
    criteria = [{"name": "plot", "description": "d", "scale": scale}]
    return read_rubric({"criteria": criteria, "scope": scope, **changes})


def job(model: str = "amber-1b", *replies: str, **changes: object) -> JudgedJob:
    chain = ""
    turns = []
    for at, reply in enumerate(replies or ("one", "two", "three")):
        chain = digest(chain, reply)
        turns.append(JudgedTurn(index=at, prompt=f"p{at}", reply=reply, chain=chain))
    made = JudgedJob(id=digest("job", model), model=model, sequence="story", repeat=0, tags=("t",), turns=tuple(turns))
    return replace(made, **changes)  # type: ignore[arg-type]


def plan(
    *jobs: JudgedJob, by: Rubric | None = None, judges: tuple[str, ...] = ("judge",), self_judging: bool = False
) -> list[JudgeJobSpec]:
    panel = seat(judges, {one.model: frozenset() for one in jobs}, {}, self_judging=self_judging)
    return list(plan_judging("run", jobs, by or rubric(), panel))


def ids(specs: list[JudgeJobSpec]) -> set[str]:
    return {spec.id for spec in specs}


def test_a_job_per_reply_and_judge() -> None:
    """Every reply goes to every judge; each job has an id of its own."""
    specs = plan(job("amber-1b"), job("basalt-3b"), judges=("judge", "other"))
    assert [(spec.judge, spec.judged.model, spec.turn) for spec in specs[:4]] == [
        ("judge", "amber-1b", 0),
        ("judge", "amber-1b", 1),
        ("judge", "amber-1b", 2),
        ("judge", "basalt-3b", 0),
    ]
    assert len(ids(specs)) == len(specs) == 12


def test_ids_are_the_work_itself() -> None:
    """The same work has the same ids; another rubric, judge, run or text has others, and only for what it touches."""
    same = plan(job())
    assert ids(plan(job())) == ids(same)
    assert not ids(plan(job(), by=rubric(best="splendid"))) & ids(same)
    assert not ids(plan(job(), judges=("other",))) & ids(same)
    assert not ids(list(plan_judging("another", [job()], rubric(), Panel(judges=("judge",))))) & ids(same)
    assert ids(plan(job("amber-1b", "one", "two", "another"))) & ids(same) == ids(same[:2])


def test_a_judge_has_no_word_on_its_own_replies() -> None:
    """Unless asked: then all replies go to it."""
    jobs = (job("judge"), job("amber-1b"))
    assert {spec.judged.model for spec in plan(*jobs)} == {"amber-1b"}
    assert {spec.judged.model for spec in plan(*jobs, self_judging=True)} == {"judge", "amber-1b"}


def test_the_same_file_under_another_name_is_its_own() -> None:
    """By name or by file; a model whose file is not known is identified by name alone."""
    files = {"copy": frozenset({"f1"}), "another": frozenset({"f2"}), "unknown": frozenset[str]()}
    panel = seat(("judge", "another"), files, {"judge": "f1"})
    assert panel.seats("copy") == ("another",)
    assert panel.seats("another") == ("judge",)
    assert panel.seats("unknown") == ("judge", "another")
    assert panel.seats("copy", "another") == ()
    assert seat(("judge",), files, {"judge": "f1"}, self_judging=True).seats("copy") == ("judge",)


def test_a_turn_without_the_required_reference_is_not_asked_about() -> None:
    """Whether there is one or not is of no weight to other rubrics."""
    one = job()
    referenced = replace(one, turns=(replace(one.turns[0], reference="A good one."), *one.turns[1:]))
    assert [spec.turn for spec in plan(referenced, by=rubric(reference="required"))] == [0]
    assert [spec.turn for spec in plan(referenced)] == [0, 1, 2]
    shown = {by: plan(referenced, by=rubric(reference=by))[0].sequence.prompt_text(0) for by in ("if_any", "hidden")}
    assert ["A good one." in prompt for prompt in shown.values()] == [True, False]


def test_the_digest_of_the_prompts_is_of_all_that_is_read() -> None:
    """Any text or choice that a judge can see makes another; how verdicts are counted has a digest of its own."""
    changed = [
        rubric(),
        rubric(instructions="Be strict."),
        rubric("conversation"),
        rubric(layout="all"),
        rubric(best="splendid"),
        rubric(reference="hidden"),
        rubric(temperature=0.5),
    ]
    assert len({prompt_digest(one) for one in changed}) == len(changed)
    assert rubric(best="splendid").scoring_digest == rubric().scoring_digest != rubric("conversation").scoring_digest
    assert prompt_digest(read_rubric(rubric().model_dump(mode="json"))) == prompt_digest(rubric())


def test_failures_are_not_asked_about() -> None:
    """An empty or degenerate reply has the worst value already; later replies are judged with it in view."""
    specs = plan(job(failures=frozenset({1})))
    assert [spec.turn for spec in specs] == [0, 2]
    assert "p1" in specs[1].sequence.prompt_text(0)


def test_a_whole_conversation_is_one_job() -> None:
    """Scope conversation: one job, all turns in it; none where every reply failed."""
    (spec,) = plan(job(failures=frozenset({0})), by=rubric("conversation"))
    assert spec.turn is None
    assert all(prompt in spec.sequence.prompt_text(0) for prompt in ("p0", "p1", "p2"))
    assert plan(job(failures=frozenset({0, 1, 2})), by=rubric("conversation")) == []


def test_only_what_the_model_saw_is_shown() -> None:
    """A reply is judged with the turns before it, not after; independent turns are judged alone."""
    second = plan(job())[1].sequence.prompt_text(0)
    assert ("one" in second, "two" in second, "three" in second) == (True, True, False)
    alone = plan(job(independent=True))[1].sequence.prompt_text(0)
    assert ("REPLY:\none" in alone, "REPLY:\ntwo" in alone) == (False, True)


def test_no_prompt_names_a_model() -> None:
    """Neither the judged model, the judge, nor another model of the run is in anything that a judge reads."""
    for spec in plan(job("amber-1b"), job("basalt-3b"), judges=("judge-7b", "other-9b")):
        read = spec.sequence.model_dump_json()
        assert not [name for name in ("amber-1b", "basalt-3b", "judge-7b", "other-9b") if name in read]
