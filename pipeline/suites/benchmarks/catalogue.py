"""Which benchmarks can be pulled: the data set and its files, the examples, the metric. Pure.

No commit is named here: a pull takes the newest, or the one that it is told, and records it with the files' digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import groupby
from typing import Any

from nightjar.config.errors import SuiteError, UsageError
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.sequences import TextRule
from nightjar.pipeline.scoring.ifeval_check import require_ifeval
from nightjar.pipeline.scoring.math_check import require_math
from nightjar.pipeline.suites.averages import MACRO
from nightjar.pipeline.suites.benchmarks import choice_tasks, written_tasks
from nightjar.pipeline.suites.benchmarks.question import (
    BenchmarkQuestion,
    BenchmarkRow,
    BenchmarkRows,
    Shots,
    in_a_chat,
    sequences_of,
    written_twin,
)
from nightjar.pipeline.suites.benchmarks.wikitext import article_sequences, whole_file
from nightjar.pipeline.suites.content import SuiteContent

LLAMA_RULE = "llama-perplexity"
Ask = Callable[[BenchmarkRow, int], BenchmarkQuestion]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark. `files`: split -> patterns of its file in the repository, the first that matches counts."""

    name: str
    title: str
    repo: str
    files: Mapping[str, tuple[str, ...]]
    asked: str = "test"
    """The split whose rows are asked."""
    pool: str | None = None
    """The split that examples are taken from; None: examples are not asked for."""
    ask: Ask | None = None
    """None: the rows are texts."""
    metric: str
    shots: int = 0
    first: bool = False
    """Examples are the first ones of the question's own subject."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    twin: bool = False
    """It makes sense, too, with the answer written: options are listed, and the reply names a letter."""
    chat: bool = False
    """It is asked with the model's chat template."""
    needs: Callable[[], None] | None = None
    """Raises UsageError where what its replies are checked with is not installed."""
    subjects: bool = False
    """A question's first tag is its subject, the second a group of subjects: both are averaged over."""
    withheld: bool = False
    """Its makers give it to those whom they know, and ask that no question be published: it is fetched with the user's
    own token alone, and shown to nobody."""

    @property
    def takes_shots(self) -> bool:
        return self.pool is not None


def _data(split: str, folder: str = "", prefix: str = "data/") -> tuple[str, ...]:
    """Where a split lies in a repository of the hub's usual form."""
    inside = f"{folder}/" if folder else prefix
    return f"{inside}{split}-*.parquet", f"**/{split}-*.parquet" if not folder else f"{folder}/{split}*.parquet"


_ALL = (
    Benchmark(
        name="wikitext-2",
        title="WikiText-2 raw, perplexity of articles",
        repo="Salesforce/wikitext",
        files={"test": _data("test", "wikitext-2-raw-v1")},
        metric="word_perplexity",
    ),
    Benchmark(
        name="lambada",
        title="LAMBADA (OpenAI's version), the last word",
        repo="EleutherAI/lambada_openai",
        files={"test": ("data/lambada_test_en.jsonl", "default/test-*.parquet", "data/lambada_test.jsonl")},
        ask=choice_tasks.lambada,
        metric="greedy",
    ),
    Benchmark(
        name="mmlu",
        title="MMLU, 57 subjects",
        repo="cais/mmlu",
        files={"test": _data("test", "all"), "dev": _data("dev", "all")},
        pool="dev",
        ask=choice_tasks.mmlu,
        metric="acc",
        shots=5,
        first=True,
        twin=True,
        subjects=True,
    ),
    *(
        Benchmark(
            name=name,
            title=f"{folder}, science questions",
            repo="allenai/ai2_arc",
            files={"test": _data("test", folder), "train": _data("train", folder)},
            pool="train",
            ask=choice_tasks.arc,
            metric="acc_norm",
            twin=True,
        )
        for name, folder in (("arc-easy", "ARC-Easy"), ("arc-challenge", "ARC-Challenge"))
    ),
    Benchmark(
        name="hellaswag",
        title="HellaSwag, how a scene goes on",
        repo="Rowan/hellaswag",
        files={"validation": _data("validation"), "train": _data("train")},
        asked="validation",
        pool="train",
        ask=choice_tasks.hellaswag,
        metric="acc_norm",
    ),
    Benchmark(
        name="winogrande",
        title="WinoGrande, whom a sentence means",
        repo="allenai/winogrande",
        files={"validation": _data("validation", "winogrande_xl"), "train": _data("train", "winogrande_xl")},
        asked="validation",
        pool="train",
        ask=choice_tasks.winogrande,
        metric="acc",
    ),
    *(
        Benchmark(
            name=name,
            title=f"TruthfulQA, {words}",
            repo="truthfulqa/truthful_qa",
            files={"validation": _data("validation", "multiple_choice")},
            asked="validation",
            ask=ask,
            metric=metric,
        )
        for name, words, ask, metric in (
            ("truthfulqa-mc1", "one right answer", choice_tasks.truthfulqa_mc1, "acc"),
            ("truthfulqa-mc2", "several right answers", choice_tasks.truthfulqa_mc2, "mc2"),
        )
    ),
    Benchmark(
        name="piqa",
        title="PIQA, everyday physics",
        repo="baber/piqa",
        files={
            "validation": ("data/validation-*.parquet", "**/validation*.parquet", "**/valid*.jsonl"),
            "train": ("data/train-*.parquet", "**/train*.parquet", "**/train*.jsonl"),
        },
        asked="validation",
        pool="train",
        ask=choice_tasks.piqa,
        metric="acc_norm",
        twin=True,
    ),
    Benchmark(
        name="gsm8k",
        title="GSM8K, school mathematics, answers are written",
        repo="openai/gsm8k",
        files={"test": _data("test", "main"), "train": _data("train", "main")},
        pool="train",
        ask=written_tasks.gsm8k,
        metric="numeric",
        shots=5,
        parameters=written_tasks.GSM8K_PARAMETERS,
    ),
    Benchmark(
        name="mmlu-pro",
        title="MMLU-Pro, up to ten options, answers are written",
        repo="TIGER-Lab/MMLU-Pro",
        files={"test": _data("test"), "validation": _data("validation")},
        pool="validation",
        ask=written_tasks.mmlu_pro,
        metric="regex",
        shots=5,
        first=True,
        parameters=written_tasks.MMLU_PRO_PARAMETERS,
        subjects=True,
    ),
    Benchmark(
        name="ifeval",
        title="IFEval, instructions that rules can verify, answers are written",
        repo="google/IFEval",
        files={"train": ("ifeval_input_data.jsonl", "**/train-*.parquet")},
        asked="train",
        ask=written_tasks.ifeval_prompt,
        metric="ifeval_prompt_strict",
        parameters=written_tasks.IFEVAL_PARAMETERS,
        chat=True,
        needs=require_ifeval,
    ),
    Benchmark(
        name="math-500",
        title="MATH-500, mathematics, answers are written",
        repo="HuggingFaceH4/MATH-500",
        files={"test": ("test.jsonl", "**/test-*.parquet")},
        ask=written_tasks.math_500,
        metric="math",
        parameters=written_tasks.MATH_PARAMETERS,
        chat=True,
        needs=require_math,
    ),
    *(
        Benchmark(
            name=name,
            title=f"GPQA, {words}, questions that experts wrote",
            repo="Idavidrein/gpqa",
            files={"train": (f"{file}.csv", f"{file}/train-*.parquet")},
            asked="train",
            ask=choice_tasks.gpqa,
            metric="acc",
            withheld=True,
        )
        for name, file, words in (
            ("gpqa", "gpqa_main", "the main set"),
            ("gpqa-diamond", "gpqa_diamond", "the set called diamond"),
        )
    ),
)
BENCHMARKS: Mapping[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


@dataclass(frozen=True, kw_only=True)
class HowAsked:
    """What a pull may choose. `shots`: None for the benchmark's usual number."""

    shots: int | None = None
    rule: str | None = None
    """Of texts: LLAMA_RULE, or None for lm-eval's."""
    written: bool = False
    """The answer is written by the model, in a chat, instead of chosen by likelihood."""


def splits_needed(benchmark: Benchmark, asked: HowAsked) -> tuple[str, ...]:
    """The splits whose files are fetched. Raises UsageError for what the benchmark cannot be asked."""
    if asked.shots and not benchmark.takes_shots:
        raise UsageError(f"{benchmark.name} has no examples to take; leave --shots out.")
    if asked.written and (not benchmark.twin or asked.shots):
        can = ", ".join(one.name for one in BENCHMARKS.values() if one.twin)
        raise UsageError(f"--written, without examples, is for {can}.")
    if asked.rule is not None and benchmark.ask is not None:
        raise UsageError(f"{benchmark.name} asks questions; --as is for texts, such as wikitext-2.")
    if asked.rule not in (None, LLAMA_RULE, "lm-eval"):
        raise UsageError(f"--as is lm-eval or {LLAMA_RULE}, not {asked.rule!r}.")
    pooled = benchmark.pool is not None and _shots(benchmark, asked) > 0
    return (benchmark.asked, benchmark.pool) if pooled and benchmark.pool else (benchmark.asked,)


def file_of(benchmark: Benchmark, split: str, names: Sequence[str]) -> list[str]:
    """The files of a split among a repository's, in order. Raises SuiteError where there are none."""
    for pattern in benchmark.files[split]:
        if found := sorted(name for name in names if fnmatch(name, pattern)):
            return found
    raise SuiteError(
        f"{benchmark.repo} has no file for the split {split!r} ({' or '.join(benchmark.files[split])}). Its files may "
        "have been moved: name an older commit with --revision."
    )


def suite_of(
    benchmark: Benchmark, rows: Mapping[str, BenchmarkRows], asked: HowAsked, licence: str | None
) -> SuiteContent:
    """The suite made of the rows of each split. Raises SuiteError for rows that lack a field."""
    try:
        sequences = tuple(_sequences(benchmark, rows, asked))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        quoted = "" if benchmark.withheld and not isinstance(error, KeyError) else f": {error}"
        raise SuiteError(
            f"The rows of {benchmark.repo} do not have the form that {benchmark.name} had ({type(error).__name__}"
            f"{quoted}). Name an older commit with --revision."
        ) from None
    if len({sequence.id for sequence in sequences}) < len(sequences):
        raise SuiteError(f"Two rows of {benchmark.repo} have one name. Name an older commit with --revision.")
    metric = "choice" if asked.written else benchmark.metric
    if benchmark.subjects:
        sequences = tuple(_averaged(sequence, metric) for sequence in sequences)
    if benchmark.withheld:
        sequences = tuple(sequence.model_copy(update={"withheld": True}) for sequence in sequences)
    shots = _shots(benchmark, asked)
    examples = f", {shots} examples" if benchmark.takes_shots else ""
    llama = asked.rule == LLAMA_RULE
    kind = f"-{LLAMA_RULE}" if llama else "-written" if asked.written else ""
    usual = shots == benchmark.shots or asked.written
    return SuiteContent(
        name=benchmark.name + kind + ("" if usual else f"-{shots}-shot"),
        description=f"{benchmark.title}{examples}. Data: {benchmark.repo}, split {benchmark.asked}.",
        licence=licence,
        tags=("benchmark",),
        sequences=sequences,
        primary_metric="perplexity" if llama else metric,
    )


def _averaged(sequence: PromptSequence, metric: str) -> PromptSequence:
    """Counted in the mean of subjects, and in its group's mean, where questions count alike."""
    subject, *groups = sequence.tags
    averages = {f"{metric}.{MACRO}": subject, **{f"{metric}.{group}": group for group in groups}}
    return sequence.model_copy(update={"averages": averages})


def _shots(benchmark: Benchmark, asked: HowAsked) -> int:
    if asked.written:
        return 0
    return benchmark.shots if asked.shots is None else asked.shots


def _sequences(benchmark: Benchmark, rows: Mapping[str, BenchmarkRows], asked: HowAsked) -> Iterator[PromptSequence]:
    ask = benchmark.ask
    if ask is None:
        llama = asked.rule == LLAMA_RULE
        rule = TextRule(window=512, score_from=256)
        yield from whole_file(rows[benchmark.asked], rule) if llama else article_sequences(rows[benchmark.asked])
        return
    questions = [ask(row, number) for number, row in enumerate(rows[benchmark.asked])]
    if asked.written or benchmark.chat:
        yield from (
            written_twin(question) if asked.written else in_a_chat(question, benchmark.parameters)
            for question in questions
        )
        return
    pool = [ask(row, number) for number, row in enumerate(rows.get(benchmark.pool or "", ()))]
    count = _shots(benchmark, asked)
    if not benchmark.first:
        shots = Shots(count=count, pool=pool, one_more=benchmark.asked != "test")
        yield from sequences_of(questions, shots, benchmark.parameters)
        return
    by_subject: dict[str, list[BenchmarkQuestion]] = {}
    for question in pool:
        by_subject.setdefault(question.tags[0], []).append(question)
    for subject, together in groupby(questions, key=lambda question: question.tags[0]):
        shots = Shots(count=count, pool=by_subject.get(subject, []), first=True)
        yield from sequences_of(together, shots, benchmark.parameters)


def pulled_from(repo: str, commit: str, files: Mapping[str, str]) -> str:
    """What a suite says of where it comes from. `files`: name -> SHA-256."""
    listed = ", ".join(f"{name} (SHA-256 {digest[:16]})" for name, digest in files.items())
    return f"{repo} at {commit}: {listed}"
