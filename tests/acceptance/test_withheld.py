"""A withheld suite, asked of the bundled model: its questions are in no report, export, page, answer, log or database
field but the one that workers read."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from jsonschema import Draft202012Validator

from nightjar.config import embedded
from nightjar.config.embedded import ServiceUrls
from nightjar.config.settings import Settings
from nightjar.jobs.database import connect
from nightjar.jobs.documents import Job, Run
from nightjar.jobs.mongo import Database
from nightjar.jobs.withheld import WHY_WITHHELD, WITHHELD
from nightjar.pipeline.exports.write import FORMATS
from tests.integration.web.conftest import visiting
from tests.shell import PROJECT, Shell

REPORT = Draft202012Validator(json.loads((PROJECT / "docs/report.schema.json").read_text("utf-8")))
SECRET = "zqfoxglove"
"""In every text of the suite."""
SUITE = f"""\
nightjar: 1
name: exam
mode: completion
primary_metric: acc
withheld: true
system: "The {SECRET} exam."
pools:
  before:
    - {{prompt: "Was it {SECRET} before?", answer: "{SECRET} it was."}}
examples: {{pool: before, count: 1}}
sequences:
  - {{id: word, turns: [{{prompt: "A {SECRET} is", continuation: "{SECRET} itself"}}]}}
  - id: whom
    turns:
      - {{contexts: ["Ann {SECRET} since Ann", "Ann {SECRET} since it"], continuation: "was {SECRET}.", answer: 1}}
"""
QUESTION = """\
  - id: question-{at}
    tags: [stem]
    turns:
      - {{prompt: "What is {secret} {at}?", choices: ["a {secret}", "no {secret}", "{secret} {at}"], answer: {right}}}
"""
ENDLESS = ("/events", "/runs/{name}/jobs/{job}/text")
"""Streams that go on: names and ids of what moved, and what is generated, which given texts are not."""


@pytest.fixture(scope="module")
def exam(acceptance_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Two runs of the suite, "before" and "after", in a database of their own; every line is logged."""
    folder = tmp_path_factory.mktemp("exam")
    environment = {
        "NIGHTJAR_HOME": str(acceptance_home),
        "NIGHTJAR_MONGO_DATABASE": f"withheld{folder.name}",
        "NIGHTJAR_LOG_LEVEL": "debug",
    }
    shell = Shell(folder=folder, environment=environment)
    questions = "".join(QUESTION.format(at=at, secret=SECRET, right=at % 3) for at in range(22))
    (folder / "exam.yaml").write_text(SUITE + questions)
    for name in ("before", "after"):
        done = shell.run("eval", "--suite", "./exam.yaml", "--model", "nightjar-demo", "--name", name, "--out", "out")
        assert done.returncode == 0, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
    return shell


@asynccontextmanager
async def database_of(shell: Shell) -> AsyncIterator[tuple[Database, Settings]]:
    settings = Settings(home=Path(shell.environment["NIGHTJAR_HOME"]))
    urls = embedded.service_urls(settings)
    async with await connect(urls.mongo, shell.environment["NIGHTJAR_MONGO_DATABASE"]) as database:
        yield database, settings.model_copy(update={"mongo_url": urls.mongo, "redis_url": urls.redis})


@pytest.mark.parametrize("form", FORMATS)
def test_no_report_and_no_export_has_a_question(form: str, exam: Shell) -> None:
    """Each says instead why there is none, where it shows prompts; what cannot be made of such a run is refused."""
    done = exam.run("report", "before", "--format", form, "--out", f"reports-{form}")
    written = [path for path in (exam.folder / f"reports-{form}").rglob("*") if path.is_file()]

    assert SECRET not in done.stdout + done.stderr
    assert written or done.returncode == 2, done.stdout + done.stderr
    for path in written:
        assert SECRET not in _unpacked(path), path.name
    if form == "json":
        assert [error.message for error in REPORT.iter_errors(json.loads(written[0].read_text("utf-8")))] == []
    if form in ("html", "json", "inspect", "lm-eval"):
        assert any("published nowhere" in path.read_text("utf-8") for path in written), written


def _unpacked(path: Path) -> str:
    """A file's text, of a table that packs it as well."""
    packed = path.read_bytes()
    if path.suffix != ".parquet":
        return packed.decode("utf-8", "replace")
    import pyarrow.parquet

    return str(pyarrow.parquet.read_table(path).to_pylist()) + packed.decode("utf-8", "replace")


SHOWN = [
    # commands that show something of the suite or its runs
    ["suite", "show", "exam"],
    ["suite", "show", "exam", "--sequence", "question-1"],
    ["suite", "show", "exam", "--json"],
    ["suite", "list", "--json"],
    ["show", "before"],
    ["show", "before", "--json"],
    ["show", "before", "--prompt", "whom", "--rendered"],
    ["run", "show", "before"],
    ["run", "show", "before", "--json"],
    ["status", "--json"],
    ["compare", "before", "after"],
    ["compare", "before", "after", "--json"],
    ["compare", "before", "after", "--pair-by", "id", "--out", "compared"],
    ["trend", "exam", "--out", "trends"],
    ["baseline", "set", "before"],
    ["judge", "before", "--judge", "nightjar-demo"],
    ["fidelity", "nightjar-demo", "nightjar-demo", "--run", "before"],
    ["run", "notify", "before"],
    ["search", "what"],
    ["suite", "validate", "exam.yaml"],
    ["suite", "import", "exam.yaml"],
    ["enqueue", "--suite", "exam", "--model", "nightjar-demo", "--name", "next", "--limit", "3"],
]


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_no_command_prints_a_question(words: list[str], exam: Shell) -> None:
    done = exam.run(*words)

    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    for path in (path for folder in ("compared", "trends", "out") for path in (exam.folder / folder).rglob("*.*")):
        assert SECRET.encode() not in path.read_bytes(), path.name


def test_a_transcript_says_that_its_question_is_withheld_and_which_choice_was_likeliest(exam: Shell) -> None:
    text = exam.ok("show", "before", "--prompt", "question-1")

    assert WITHHELD[:40] in text
    assert re.search(r"-\d+\.\d\d over \d+ tokens: [ABC] \(", text), text
    assert WHY_WITHHELD in exam.ok("suite", "show", "exam")


REFUSED = [
    ["suite", "export", "exam"],
    ["suite", "export", "exam", "--out", "exported.yaml"],
    ["suite", "join", "both", "exam", "exam"],
    ["suite", "same", "exam", "story-starters"],
    ["run", "export", "before", "--out", "run.json"],
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_nothing_is_made_of_withheld_questions(words: list[str], exam: Shell) -> None:
    told = exam.refused(*words)

    assert "The questions of suite 'exam' are withheld" in told
    assert SECRET not in told
    assert not (exam.folder / "exported.yaml").exists()
    assert not (exam.folder / "run.json").exists()


async def test_the_database_has_questions_where_workers_read_them_and_nowhere_else(exam: Shell) -> None:
    """So nothing that reads anything else can show one: not the search, not a judge, not a later page."""
    async with database_of(exam) as (database, settings):
        found: dict[str, set[str]] = {}
        for name in await database.raw.list_collection_names():
            async for document in database.raw[name].find():
                for field, value in document.items():
                    if SECRET in str(value):
                        found.setdefault(name, set()).add(field)
        assert settings.redis_url is not None
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
            kept = [client.dump(key) for key in client.scan_iter()]

    assert found == {"sequences": {"kept_back"}}
    assert not any(SECRET.encode() in value for value in kept if isinstance(value, bytes))


async def test_no_page_and_no_answer_of_the_service_has_a_question(exam: Shell) -> None:
    """Every route that is read, with the names of the runs, the suite and its jobs in its path."""
    async with database_of(exam) as (database, settings):
        assert settings.mongo_url is not None
        assert settings.redis_url is not None
        services = ServiceUrls(mongo=settings.mongo_url, redis=settings.redis_url)
        async with visiting(settings, database, services) as visits, await visits.owner() as client:
            job = await Job.find_one({"sequence": "question-1"})
            run = await Run.find_one({"name": "before"})
            assert job is not None
            assert run is not None
            paths = [path for route in visits.app.routes for path in _filled(route, job)]
            assert len(paths) > 40
            shown = {path: await _text(client, path) for path in paths}

    assert [path for path, text in shown.items() if SECRET in text] == []
    for path in ("/suites/exam", "/runs/before/transcripts", "/runs/before/report/document"):
        assert "published nowhere" in shown[path], shown[path][:500]


def _filled(route: Any, job: Job) -> Iterator[str]:
    """The route's path with names that are there, and with what its form may ask."""
    ends = route.path not in ENDLESS and not route.path.endswith("/tokenizer_info")  # waits for a worker
    if "GET" not in getattr(route, "methods", ()) or not ends or route.path.startswith("/static"):
        return
    names = {"model": "nightjar-demo", "job": job.id, "suite": "exam", "sequence": "question-1"}
    names["name"] = next(
        (
            named
            for part, named in (("suite", "exam"), ("trend", "exam"), ("model", "nightjar-demo"))
            if part in route.path
        ),
        "before",
    )
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: quote(names.get(match[1], "none")), route.path)
    yield path
    asked = {
        "/search": "?q=" + SECRET[:4],
        "/duplicates": "?run=before",
        "/compare": "?base=before&other=after",
        "/new": "?suite=exam&model=nightjar-demo",
        "/runs": "?q=bef",
    }
    yield from [path + asked[route.path]] if route.path in asked else []
    if route.path.endswith("/transcripts"):
        yield f"{path}?sequence=question-1"


async def _text(client: httpx.AsyncClient, path: str) -> str:
    """What is answered, once it was worked out."""
    for _ in range(60):
        try:
            answer = await asyncio.wait_for(client.get(path), 30)
        except TimeoutError:
            pytest.fail(f"{path} is endless")
        if answer.status_code != 503 and "being computed" not in answer.text:
            break
        await asyncio.sleep(0.2)
    assert answer.status_code < 500 or answer.status_code == 503, f"{path}: {answer.text[:300]}"
    return str(answer.headers) + answer.text


def test_no_file_beside_the_database_has_a_question(exam: Shell) -> None:
    """Logs, consoles, crashes, whatever a worker wrote."""
    home = Path(exam.environment["NIGHTJAR_HOME"])
    written = [path for path in home.rglob("*") if path.is_file() and path.suffix not in (".wt", ".gguf")]
    assert written
    for path in written:
        if "journal" not in path.parts and not path.name.startswith("WiredTiger"):
            assert SECRET.encode() not in path.read_bytes(), path
