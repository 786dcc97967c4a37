"""Names by content as commit e84adcd made them: jobs, sequences and scores in databases go by these for good."""

from __future__ import annotations

from nightjar.jobs.identity import chain_digest, digest, ids_digest, job_id, turn_seed
from nightjar.jobs.sequences import Expectation, Sequence, TurnSpec, sequence_key
from nightjar.jobs.states import JobKind
from nightjar.pipeline.embedding.plan import EmbeddedJob, plan_embedding
from nightjar.pipeline.embedding.similarities import Similarities
from nightjar.pipeline.judging.judged import JudgedJob, JudgedPair
from nightjar.pipeline.judging.panel import Panel
from nightjar.pipeline.judging.plan import plan_judging, plan_pairs, prompt_digest
from nightjar.pipeline.judging.prompts import JudgedTurn
from nightjar.pipeline.judging.results import JudgeResults
from nightjar.pipeline.judging.rubric import read_rubric
from nightjar.pipeline.scoring.turn_scorer import turn_lines

SCALE = {"1": "No.", "2": "Yes."}
POINTS = read_rubric({"name": "pin", "criteria": [{"name": "plot", "description": "Is there one?", "scale": SCALE}]})
PAIRWISE = read_rubric({"name": "pin", "method": "pairwise", "criteria": [{"name": "plot", "description": "Which?"}]})
PANEL = Panel(judges=("judge",), own={"judge": frozenset({"amber"})})
SEQUENCE = Sequence(
    id="fox",
    system="You write.",
    turns=(
        TurnSpec(prompt="Begin.", reference="A fox.", expect=(Expectation(check="includes", value="fox"),)),
        TurnSpec(prompt="End.", expect=(Expectation(check="max_words", value=20),)),
    ),
    measures=(Expectation(check="mattr", value={"window": 20}),),
)
REPLY = job_id("run", JobKind.REPLY, "fox", "birch", 1)


def judged(model: str) -> JudgedJob:
    turns = tuple(
        JudgedTurn(index=at, prompt=turn.prompt, reply=f"{model} {at}", chain=f"c{at}", reference=turn.reference)
        for at, turn in enumerate(SEQUENCE.turns)
    )
    identity = job_id("run", JobKind.REPLY, "fox", model, 1)
    return JudgedJob(id=identity, model=model, sequence="fox", repeat=1, tags=(), turns=turns, system=SEQUENCE.system)


def test_a_reply_job() -> None:
    assert REPLY == "3acf7a97136d3496954eee530952517f"
    assert SEQUENCE.digest == "996575ef7904f587f04f3da00917a4f4"
    assert sequence_key(SEQUENCE) == "62b6d9c512587b26fe78e2286deaf14a"
    assert turn_seed(7, SEQUENCE.digest, 1, 0) == 121340300
    assert chain_digest(chain_digest("", 0, "Begin.", (1, 2)), 1, "End.", (3,)) == "c947676ebf15f809e09827b927009fe8"
    assert ids_digest((1, 2, 3)) == "8a6ae15122001229edb8866f56e342af"


def test_a_judge_job() -> None:
    first, last = plan_judging("run", [judged("birch")], POINTS, PANEL)
    assert prompt_digest(POINTS) == "181ba84ac6ff42da0cd2457043254c2e"
    assert (first.id, first.sequence.digest, sequence_key(first.sequence)) == (
        "c3456bb9f00b9a01027f18def562eb86",
        "5419db9dc2935f24b675f896977d57da",
        "5a42eff4de06997b1eadf3e8e72be570",
    )
    assert (last.id, last.sequence.digest, sequence_key(last.sequence)) == (
        "e4f7cf71390fba751b753d24f0f7047a",
        "683459fb79ee4f248080964b53cffbdf",
        "b870fd45152072c53dc6300992b02878",
    )


def test_a_judge_job_that_compares() -> None:
    pair = JudgedPair(first=judged("birch"), second=judged("cinder"), turn=1)
    one, other = plan_pairs("run", [pair], PAIRWISE, PANEL)
    assert prompt_digest(PAIRWISE) == "e4dc42052d83c362471e1a61b92c1939"
    assert (one.id, one.sequence.digest) == ("a2e86820920f76a17d912ef23cf3004e", "7c5c8647bc6808eff0fb67179552cfc8")
    assert (other.id, other.sequence.digest) == ("e8a4adade5736d07b82b6a6c9e93c92f", "06549c5427c61be0de109ec9b8c98540")


def test_an_embed_job() -> None:
    about = EmbeddedJob(
        id=REPLY, sequence="fox", sequence_digest="d", sequence_document="k", repeat=1, tags=(), chain="c1"
    )
    (spec,) = plan_embedding("run", [(about, SEQUENCE)], "minilm")
    assert spec.id == "26301e146cf7d2ff22db143c8f5b418a"


def test_scores() -> None:
    """Checks, measures, what compares repeats, judges' and similarities: the scorer's digest of each.

    Scorers of words are at their second version, which finds the words of every script.
    """
    lines = {line.name: line.digest for turn in turn_lines(SEQUENCE) for line in turn}
    bench = JudgeResults(rubric=POINTS, prompt_digest=prompt_digest(POINTS), panel=PANEL)
    similar = Similarities(model="minilm", files=("f" * 64,))
    assert digest(sorted(lines.items())) == "aeb4b29ce8a9c8c1522d3d32dc8f4f78"
    assert (lines["includes"], lines["max_words"], lines["mattr"]) == (
        "bbe083d08f8f0f8fbd36b7c4132c5322",
        "d452553c2d00f7d8eb995902e84700ac",
        "4b2b6a32113fcd343c4d34d41b54de07",
    )
    assert (bench.score_digest, similar.digest) == (
        "450bae6aa7cf958812bc936978c75bc2",
        "9a4c7e1a91194688ab9959f47a357a71",
    )
