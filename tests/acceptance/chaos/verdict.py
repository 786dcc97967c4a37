"""Whether a run survived: every transcript is compared with the expected one and with the ledger of generations."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from nightjar.jobs.documents import Job
from nightjar.jobs.identity import chain_digest, turn_seed
from nightjar.jobs.states import JobStatus
from nightjar.workers.engine.fake import echo
from tests.acceptance.chaos.house import RUN, House

SEED = 7
MARGIN_S = 1.0
"""A commit takes a moment, and so does the answer to a claim; nothing that matters is as quick."""


@dataclass(frozen=True)
class Verdict:
    """The result of a run: errors in its transcripts, and what was generated again."""

    jobs: int
    done: int
    wrong: list[str]
    turns: int
    generated: int
    after_commit: int
    """Generations asked for, for a turn that had been committed."""
    late: int
    """Turns written under an older fence after a later owner had begun to generate them."""

    @property
    def again(self) -> float:
        """Generations beyond the committed ones, as a share of the turns."""
        return (self.generated - self.turns) / self.turns


async def judge(house: House, *, turns: int) -> Verdict:
    """Checks every transcript: each turn once, in order, with the text its prompt and seed give, chained."""
    jobs = await Job.find({"run": RUN}).to_list()
    scripted = not house.demo_model
    wrong = [f"{job.sequence}: {problem}" for job in jobs if (problem := _problem(job, turns, scripted=scripted))]
    ledger = _ledger(house) if scripted else {}
    return Verdict(
        jobs=len(jobs),
        done=sum(job.status is JobStatus.DONE for job in jobs),
        wrong=wrong,
        turns=len(jobs) * turns,
        generated=sum(map(len, ledger.values())),
        after_commit=sum(_after_commit(job, ledger) for job in jobs),
        late=sum(_late(job, ledger) for job in jobs),
    )


def _ledger(house: House) -> dict[int, list[float]]:
    """Seed of a turn -> when its generations were asked for, on the worker's clock."""
    began: dict[int, list[float]] = defaultdict(list)
    for line in house.ledger.read_text().splitlines():
        moment, seed = line.split()
        began[int(seed)].append(float(moment))
    return began


def _after_commit(job: Job, ledger: dict[int, list[float]]) -> int:
    return sum(
        began > turn.committed_at.timestamp() + MARGIN_S
        for turn in job.turns
        for began in ledger.get(turn.draw.seed, ())
    )


def _late(job: Job, ledger: dict[int, list[float]]) -> int:
    """A later owner reads at its claim what is committed, and generates only what is not."""
    claims = [(attempt.fence, attempt.started_at.timestamp()) for attempt in job.attempts]
    late = 0
    for turn in job.turns:
        later = claims[bisect_right([fence for fence, _ in claims], turn.fence) :]
        late += any(began > later[0][1] + MARGIN_S for began in ledger.get(turn.draw.seed, ())) if later else 0
    return late


def _problem(job: Job, turns: int, *, scripted: bool) -> str | None:
    if [turn.index for turn in job.turns] != list(range(turns)):
        return f"turns {[turn.index for turn in job.turns]}"
    fences = [turn.fence for turn in job.turns]
    if fences != sorted(fences):
        return f"turns committed under fences {fences}: a late owner wrote"
    chain, history = "", ""
    for turn in job.turns:
        chain = chain_digest(chain, turn.index, turn.prompt, turn.draw.reply_ids or ())
        if turn.chain != chain:
            return f"turn {turn.index} does not follow from the one before it"
        seed = turn_seed(SEED, job.sequence_digest, job.repeat, turn.index)
        history += f"<|im_start|>user\n{turn.prompt}<|im_end|>\n<|im_start|>assistant\n"
        if turn.draw.seed != seed or (scripted and turn.draw.reply != echo(history, seed)):
            return f"turn {turn.index} has the seed or the text of another"
        history += f"{turn.draw.reply}<|im_end|>\n"
    return None
