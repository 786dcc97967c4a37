"""Works out what a report says of its judges, and what follows for the ranking. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from nightjar.pipeline.judging.borders import imitation
from nightjar.pipeline.judging.checkup import Checkup
from nightjar.pipeline.judging.pairs import PairResult
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import Method, Rubric
from nightjar.pipeline.judging.verdicts import COMPOSITE, composite, is_judges, judged_turns, metric_name, of_criterion
from nightjar.pipeline.report.data.judges import Agreement, Flips, Imitation, JudgeReport, JudgingReport
from nightjar.pipeline.report.data.notice import Notice
from nightjar.pipeline.report.data.ranking import Ranking
from nightjar.pipeline.report.data.ranking import ranking as ranking_of
from nightjar.pipeline.report.data.run_report import RunReport
from nightjar.pipeline.statistics.agreement import Level, krippendorff_alpha
from nightjar.pipeline.statistics.preference import rates_of
from nightjar.pipeline.statistics.strengths import strengths_of
from nightjar.pipeline.transcripts import JobRow


def with_judging(report: RunReport, bench: JudgeResults) -> RunReport:
    """The report with its section on judges; scores of a judge that failed its check rank nothing."""
    if bench.rubric is None and not bench.checkups:
        return report
    judging = judging_report(bench, report.jobs)
    ranking, notices = report.ranking, [*suspicions(judging), *report.notices]
    if judging.blind:
        why = "; ".join(checkup.told for checkup in judging.blind)
        instead = ""
        if ranking is not None and is_judges(ranking.metric):
            ranking = _without_judges(report) or barred(ranking, why)
            instead = "" if is_judges(ranking.metric) else f" Models are ranked by {ranking.metric} instead."
        text = f"Check of judges: {why}. The judges' scores rank nothing here.{instead} Judges shows the check."
        notices.insert(0, Notice(level="warning", text=text))
    return replace(report, judging=judging, ranking=ranking, notices=tuple(notices))


def suspicions(judging: JudgingReport) -> Iterator[Notice]:
    """Which judges can be talked into a good verdict, and how many replies look as if they tried."""
    for checkup in judging.fooled:
        told = checkup.told_of_attempts or ""
        text = f"Check of judges: {told}. Do not trust its scores of replies that try this; Judges shows the check."
        yield Notice(level="warning", text=text)
    if judging.imitations:
        counts = Counter(imitation.model for imitation in judging.imitations)
        by_model = ", ".join(f"{model}: {count}" for model, count in counts.most_common())
        many = "replies imitate" if len(judging.imitations) > 1 else "reply imitates"
        yield Notice(
            level="warning",
            text=f"{len(judging.imitations)} judged {many} a verdict, or the markers around the texts that judges read "
            f"({by_model}). Judges lists them: check that their scores are deserved.",
        )


def _imitations(jobs: Sequence[JobRow]) -> Iterator[Imitation]:
    for job in jobs:
        for turn in job.turns:
            if (what := imitation(turn.reply)) is not None:
                yield Imitation(
                    job=job.id,
                    model=job.contestant,
                    sequence=job.sequence,
                    repeat=job.repeat,
                    turn=turn.index,
                    what=what,
                )


def _without_judges(report: RunReport) -> Ranking | None:
    """The ranking by what was not judged, the share of checks first; None where nothing else has a better end."""
    others = [name for name in report.quality_metrics() if not is_judges(name)]
    metric = "checks" if "checks" in others else next(iter(others), None)
    return None if metric is None else ranking_of(report.models, metric, report.scales[metric])


def barred(ranking: Ranking, reason: str) -> Ranking:
    """The ranking without ranks and without verdicts on pairs."""
    places = tuple(replace(place, rank=None, reason=place.reason or reason) for place in ranking.places)
    return replace(ranking, places=places, pairs=(), win_rates=(), strengths=())


def unlike(one: RunReport, two: RunReport) -> str | None:
    """Why the judges' scores of two reports cannot be compared; None if they can."""
    first, second = one.judging, two.judging
    if first is second or first is None or second is None or None in (first.rubric, second.rubric):
        return None
    if (first.prompt_digest, first.scoring_digest) != (second.prompt_digest, second.scoring_digest):
        return "they were judged by different rubrics"
    if [(judge.name, judge.file) for judge in first.judges] != [(judge.name, judge.file) for judge in second.judges]:
        return "they were judged by different judges"
    if first.rubric is not None and first.rubric.method is Method.PAIRWISE and one.provenance.id != two.provenance.id:
        return "shares of comparisons won are among a run's own replies; use `nightjar judge RUN --against RUN`"
    return None


def judging_report(bench: JudgeResults, jobs: Sequence[JobRow]) -> JudgingReport:
    rubric = bench.rubric
    pairwise = rubric is not None and rubric.method is Method.PAIRWISE
    checked = {
        checkup.judge: checkup for checkup in bench.checkups if checkup.rubric == bench.prompt_digest or rubric is None
    }
    names = list(dict.fromkeys([*bench.judges, *(checkup.judge for checkup in bench.checkups if rubric is None)]))
    shares = _shares(rubric, bench) if rubric is not None and pairwise else {}
    return JudgingReport(
        rubric=rubric,
        prompt_digest=bench.prompt_digest,
        scoring_digest=rubric.scoring_digest if rubric else None,
        score_digest=bench.score_digest,
        against=bench.against,
        judges=tuple(_judge(name, bench, jobs, checked.get(name)) for name in names),
        agreement=tuple(_agreement(rubric, bench)) if rubric is not None and len(bench.judges) > 1 else (),
        rates=tuple(rates_of(shares)),
        strengths=tuple(strengths_of(shares)) if bench.against is None else (),
        imitations=tuple(_imitations(jobs)) if rubric is not None else (),
        bench=bench,
    )


def _judge(name: str, bench: JudgeResults, jobs: Sequence[JobRow], checked: Checkup | None) -> JudgeReport:
    flips = None
    if bench.rubric is not None and bench.rubric.method is Method.PAIRWISE:
        results = [result for result in bench.pairs if result.pair.decided is None and name in _seats(bench, result)]
        values_and_reasons = [_compared(name, result, bench.rubric) for result in results]
        flips = _flips(name, results)
    else:
        values_and_reasons = list(_points(name, bench, bench.rubric, jobs)) if bench.rubric is not None else []
    values = [value for value, _ in values_and_reasons]
    missing = Counter(why for value, why in values_and_reasons if value is None)
    there = [value for value in values if value is not None]
    return JudgeReport(
        name=name,
        file=bench.files.get(name),
        own=tuple(sorted(bench.panel.own.get(name, ()))),
        asked=len(values),
        judged=len(there),
        missing=dict(missing.most_common()),
        mean=fmean(there) if there and flips is None else None,
        flips=flips,
        checkup=checked,
    )


def _points(
    name: str, bench: JudgeResults, rubric: Rubric, jobs: Sequence[JobRow]
) -> Iterator[tuple[float | None, str]]:
    """One judge's composite for each text it was to judge, or None with the reason."""
    for job in jobs:
        if name not in bench.panel.seats(job.model) or not job.turns:
            continue
        without = bench.unreferenced.get(job.sequence, frozenset())
        for turn, place, failure in judged_turns(rubric, job):
            if failure is not None or turn.index in without:
                continue
            given = bench.verdicts.get((job.id, place), {}).get(name, [])
            value = composite(rubric, given)
            why = next((verdict.reason for verdict in given if verdict.value is None), "not judged")
            yield value, why


def _compared(name: str, result: PairResult, rubric: Rubric) -> tuple[float | None, str]:
    """One judge's composite for a pair, or None with the reason."""
    why = next(
        (
            why
            for value, why in (result.points(criterion.name, [name]) for criterion in rubric.criteria)
            if value is None
        ),
        "",
    )
    return result.composite(rubric, [name]), why.removeprefix(f"{name}: ")


def _flips(name: str, results: Sequence[PairResult]) -> Flips:
    said = [opinion for result in results for opinion in result.opinions.get(name, ())]
    shown = [side for opinion in said for side in opinion.first_shown if side is not None]
    turned = [opinion.flipped for opinion in said if opinion.flipped is not None]
    return Flips(compared=len(turned), flipped=sum(turned), sided=len(shown), first=sum(shown))


def _agreement(rubric: Rubric, bench: JudgeResults) -> Iterator[Agreement]:
    """Agreement by each criterion at its own level of measurement, then by the composite."""
    pairwise = rubric.method is Method.PAIRWISE
    level = Level.NOMINAL if pairwise else Level.ORDINAL
    for criterion in rubric.criteria:
        units = _pair_units(criterion.name, bench) if pairwise else _units(criterion.name, bench)
        yield _alpha(metric_name(criterion.name), level, units)
    if pairwise:
        whole = [[r.composite(rubric, [judge]) for judge in bench.judges] for r in bench.pairs if not r.pair.decided]
    else:
        whole = [[composite(rubric, said) for said in given.values()] for given in bench.verdicts.values()]
    yield _alpha(COMPOSITE, Level.INTERVAL, whole)


def _units(criterion: str, bench: JudgeResults) -> list[list[float | None]]:
    by_text = [[of_criterion(criterion, said) for said in given.values()] for given in bench.verdicts.values()]
    return [[verdict.value if verdict else None for verdict in unit] for unit in by_text]


def _pair_units(criterion: str, bench: JudgeResults) -> list[list[float | None]]:
    open_ = [result for result in bench.pairs if result.pair.decided is None]
    return [[result.points(criterion, [judge])[0] for judge in bench.judges] for result in open_]


def _alpha(metric: str, level: Level, units: Sequence[Sequence[float | None]]) -> Agreement:
    there = [[value for value in unit if value is not None] for unit in units]
    pairable = [unit for unit in there if len(unit) > 1]
    return Agreement(metric=metric, level=level, alpha=krippendorff_alpha(pairable, level), units=len(pairable))


def _shares(rubric: Rubric, bench: JudgeResults) -> dict[tuple[str, str], dict[str, float]]:
    """Pair of names -> sequence -> share won by the first: mean over repeats of the mean over turns."""
    cells: dict[tuple[str, str], dict[tuple[str, int], list[float]]] = {}
    for result in bench.pairs:
        value = result.composite(rubric, _seats(bench, result))
        if value is not None:
            first = result.pair.first
            cells.setdefault(result.names, {}).setdefault((first.sequence, first.repeat), []).append(value)
    shares: dict[tuple[str, str], dict[str, float]] = {}
    for names, by_repeat in cells.items():
        repeats: dict[str, list[float]] = {}
        for (sequence, _), values in by_repeat.items():
            repeats.setdefault(sequence, []).append(fmean(values))
        shares[names] = {sequence: fmean(values) for sequence, values in repeats.items()}
    return shares


def _seats(bench: JudgeResults, result: PairResult) -> tuple[str, ...]:
    return bench.panel.seats(result.pair.first.model, result.pair.second.model)
