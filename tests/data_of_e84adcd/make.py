"""Makes the fixture beside it with the commands of a checkout of commit e84adcd; see README.md.

    cd CHECKOUT && PYTHONPATH=$PWD python .../make.py HOME [EMBEDDING.gguf]

Writes `database.json.gz` and `first.run.json.gz` into HOME, with this machine's paths and names replaced.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

HERE, HOME = Path.cwd(), Path(sys.argv[1])
DEMO = HERE / "config/models/nightjar-demo.gguf"
MODELS = {"amber": DEMO, "birch": DEMO} | ({"minilm": Path(sys.argv[2])} if sys.argv[2:] else {})
SUITE = """
nightjar: 1
name: pocket
description: A few short conversations, kept as data of an old version.
parameters: {temperature: 0.7, max_tokens: 24}
rubric:
  name: pocket
  instructions: Judge what is written.
  layout: per_criterion
  criteria:
    - {name: clarity, description: Can it be understood?, scale: {1: No., 2: In parts., 3: Throughout.}}
    - {name: calm, description: Is it calm?, scale: {1: No., 2: In parts., 3: Throughout.}}
sequences:
  - id: fox
    tags: [story]
    turns:
      - {prompt: Write the beginning of a story about Mira the fox., expect: [includes: Mira], reference: A fox.}
      - {prompt: How does the story end?, expect: [includes: Mira, max_words: 20], reference: It ends well.}
  - id: bear
    tags: [story]
    turns:
      - {prompt: Tell me a story about Otto the bear., expect: [includes: Otto], reference: A bear.}
      - {prompt: What did Otto learn?, expect: [includes: Otto], reference: To bake.}
  - id: endless
    turns:
      - {prompt: My name is Ravi. What is my name?, expect: [includes: Ravi], reference: Ravi.}
      - {prompt: "LONG", expect: [max_words: 20], reference: None.}
""".replace("LONG", "storm " * 6000)


def main() -> None:
    HOME.mkdir(parents=True)
    os.environ["NIGHTJAR_HOME"] = str(HOME)
    os.environ["NIGHTJAR_REPORTS_DIR"] = str(HOME / "reports")
    registry = HOME / "models.toml"
    registry.write_text("".join(f'[{name}]\npath = "{path}"\n' for name, path in MODELS.items()))
    os.environ["NIGHTJAR_MODELS_FILE"] = str(registry)
    (HOME / "pocket.yaml").write_text(SUITE)
    nightjar("suite", "import", HOME / "pocket.yaml")
    dispatcher = start("dispatcher")
    workers = [start("worker", "--model", name, "--gpu", "none") for name in MODELS]
    both = ("--suite", "pocket", "--model", "amber", "--model", "birch")

    judging = ("--judge", "amber", "--self-judging")
    more = ("--embed-model", "minilm") if "minilm" in MODELS else ()
    gates = ("--fail-below", "checks:0.01", "--max-missing", "50%", "--on-finish", "true")
    nightjar("enqueue", *both, "--repeats", "2", "--name", "first", *judging, *more, *gates, "--measure", "mattr")
    nightjar("run", "wait", "first", "--timeout", "240", fails=True)
    nightjar("baseline", "set", "first")
    nightjar("run", "export", "first", "--out", HOME / "first.run.json")

    soon = time.gmtime(time.time() + 60)
    cron = f"{soon.tm_min},{(soon.tm_min + 1) % 60} * * * *"
    tick = ("--cron", cron, "--suite", "pocket", "--model", "amber", "--limit", "2", "--on-finish", "true")
    nightjar("schedule", "add", "hourly", *tick, "--keep-nights", "1", "--stalled-after", "1h")
    nightjar("schedule", "add", "nightly", "--cron", "0 2 * * *", "--timezone", "Europe/Berlin", *tick[2:])

    nightjar("enqueue", *both, "--only", "story", "--name", "pairs")
    nightjar("run", "wait", "pairs", "--timeout", "240")
    pairwise = HERE / "config/rubrics/pairwise.yaml"
    nightjar("judge", "run", "pairs", "--rubric", pairwise, *judging, "--wait")
    nightjar("judge", "check", "pairs", *judging, "--wait", fails=True)

    nightjar("enqueue", *both, "--only", "story", "--name", "judging")
    nightjar("run", "wait", "judging", "--timeout", "240")
    until(lambda rows: len([run for run in rows["runs"] if run.get("series") and run["status"] == "DONE"]) > 1)
    nightjar("cleanup", "--keep-nights", "1")
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()
    nightjar("judge", "run", "judging", *judging)
    until(lambda rows: next(run for run in rows["runs"] if run["name"] == "judging")["planned"])

    long = ("--set", "max_tokens=400", "--repeats", "4")
    nightjar("enqueue", "--suite", "pocket", "--model", "birch", "--name", "unfinished", "--only", "story", *long)
    worker = start("worker", "--model", "birch", "--gpu", "none", "--slots", "1")
    os.kill(running_worker(), signal.SIGSEGV)
    until(lambda rows: rows.get("crashes"))
    stopped = running_worker(turns=1)
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(1)
    rows = read()
    os.kill(stopped, signal.SIGKILL)
    for process in (worker, dispatcher):
        process.terminate()
        process.wait()
    write(rows)
    nightjar("services", "down")


def nightjar(*arguments: Any, fails: bool = False) -> str:
    """A command that must succeed, or may end with exit code 1."""
    done = subprocess.run([sys.executable, "-m", "scripts", *map(str, arguments)], capture_output=True, text=True)
    print(time.strftime("%X"), *arguments, done.returncode, done.stdout[-600:], done.stderr[-600:], flush=True)
    assert done.returncode == 0 or (fails and done.returncode == 1)
    return done.stdout


def start(*arguments: str) -> subprocess.Popen[bytes]:
    log = (HOME / f"{'-'.join(arguments).replace('/', '-')}.log").open("w")
    return subprocess.Popen([sys.executable, "-m", "scripts", *arguments], stderr=log, stdout=log)


def read() -> dict[str, list[dict[str, Any]]]:
    """Every document of every collection."""
    from pymongo import MongoClient

    from nightjar.config.embedded import mongo_url
    from nightjar.config.settings import load_settings

    url = mongo_url(load_settings()).get_secret_value()
    client: Any
    with MongoClient(url, tz_aware=True) as client:
        database = client["nightjar"]
        return {name: list(database[name].find()) for name in sorted(database.list_collection_names())}


def until(enough: Any) -> None:
    for _ in range(1200):
        if enough(read()):
            return
        time.sleep(0.2)
    raise SystemExit("this did not happen")


def running_worker(turns: int = 0) -> int:
    """The process of the worker that holds a job with so many turns."""
    for _ in range(6000):
        rows = read()
        for job in rows["jobs"]:
            if job["status"] == "RUNNING" and job["turns_committed"] >= turns:
                return int(job["owner"].split(":")[1])
        time.sleep(0.02)
    raise SystemExit("nothing runs")


def write(rows: dict[str, list[dict[str, Any]]]) -> None:
    from bson import json_util

    written = {
        "database.json.gz": json_util.dumps(rows, json_options=json_util.CANONICAL_JSON_OPTIONS, separators=(",", ":")),
        "first.run.json.gz": json.dumps(json.loads((HOME / "first.run.json").read_text())),
    }
    host = socket.gethostname()
    swaps = {
        str(HOME): "/srv/nightjar",
        str(HERE): "/opt/nightjar",
        f'"{host}:': '"old-host:',
        f'"{host}"': '"old-host"',
    }
    for row in rows["aggregates"]:
        packed = zlib.decompress(row["data"]).decode().replace(f'"{host}:', '"old-host:')
        row["data"] = zlib.compress(packed.encode(), level=9)
    for name, text in written.items():
        for ours, theirs in swaps.items():
            text = text.replace(ours, theirs)
        (HOME / name).write_bytes(gzip.compress(text.encode(), mtime=0))


main()
