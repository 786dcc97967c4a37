"""What is said of a run's end: the JSON of a web call, a sentence, a mail's text, a command's environment. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from nightjar.config.counting import are, how_many
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import EndScore, Event, GateVerdict
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.ascii_numbers import plain_numbers
from nightjar.pipeline.durations import shown_span

SCHEMA_VERSION = "1.0"
DISCORD_MOST = 2000
"""Characters of a message; Discord refuses longer ones, and those without `content`."""
_DISCORD = re.compile(r"/api(/v\d+)?/webhooks/\d+/[\w-]+/?")


def payload_of(
    run: Run,
    event: Event,
    *,
    delivery: str,
    jobs: Mapping[str, int],
    files: Sequence[str],
    link: str | None,
    now: datetime,
    why: str | None = None,
) -> dict[str, Any]:
    """The body of a web call; docs/nights.md lists its keys. `why`: what a stalled run waits for."""
    finished_at, verdict = run.outcome.finished_at, run.outcome.verdict
    answer = plain_numbers(run.outcome.answer) if run.outcome.answer else None
    found = (answer, numbers(run.outcome.scores)) if event is not Event.STALLED else ()
    text = "\n".join(part for part in (sentence(run, event, jobs, why=why), *found, link) if part)
    return {
        "schema_version": SCHEMA_VERSION,
        "delivery": delivery,
        "event": event.value,
        "text": text,
        "run": {
            "id": run.id,
            "name": run.name,
            "suite": f"{run.suite_name}@{run.suite_version}",
            "models": [model.name for model in run.models],
            "schedule": run.schedule,
            "status": run.status.value,
            "status_reason": run.status_reason,
            "created_at": run.created_at.isoformat(),
            "finished_at": finished_at.isoformat() if finished_at else None,
        },
        "jobs": dict(jobs),
        "answer": answer,
        "scores": [score.model_dump() for score in run.outcome.scores],
        "verdict": verdict.told() if verdict is not None else None,
        "report": {"link": link, "files": list(files)},
        "at": now.isoformat(),
    }


def sentence(run: Run, event: Event, jobs: Mapping[str, int], *, why: str | None = None) -> str:
    """What happened to a run, in one or two sentences."""
    done, total = jobs.get(JobStatus.DONE, 0), sum(jobs.values())
    lost = f", {jobs[JobStatus.DEAD]} failed" if jobs.get(JobStatus.DEAD) else ""
    progress = f"{done} of {how_many(total, 'job')} {are(total)} done{lost}"
    match event:
        case Event.STALLED:
            span = shown_span(run.ending.stalled_after_s or 0)
            return f"Run {run.name} has made no progress for {span}: {why or 'the reason is unknown'}. {progress}."
        case Event.DEADLINE:
            head = f"Run {run.name} was stopped at its {run.status_reason or 'deadline'}; {progress}."
        case Event.STOPPED:
            head = f"Run {run.name} was stopped: {run.status_reason or 'no reason recorded'}; {progress}."
        case Event.DONE | Event.TRIPPED:
            head = f"Run {run.name} is done: {progress}."
    return " ".join([head, *_gates(run.outcome.verdict)])


def numbers(scores: Sequence[EndScore]) -> str:
    """Every model's mean with its interval, on one line; "" for a single model, whose numbers the answer has."""
    if len(scores) < 2:
        return ""
    shown = (f"{score.model} {_mean(score)}" for score in scores)
    return f"{scores[0].metric}: {'; '.join(shown)}"


def _mean(score: EndScore) -> str:
    if score.mean is None:
        return "has no value"
    ends = f"95 % interval {score.low:.3g} to {score.high:.3g}, " if None not in (score.low, score.high) else ""
    missing = f", {score.missing} turns missing" if score.missing else ""
    return f"{score.mean:.3g} ({ends}n {score.n}{missing})"


def subject(payload: Mapping[str, Any]) -> str:
    """A mail's subject."""
    words = {"tripped": "gate failed", "done": "done", "deadline": "stopped at its deadline"}
    return f"Nightjar: {payload['run']['name']}: {words.get(payload['event'], payload['event'])}"


def mail_text(payload: Mapping[str, Any]) -> str:
    """A mail's text: what happened, the report's answer and numbers, and where the report is."""
    report = payload["report"]
    files = [] if report["link"] else report["files"]
    return "\n\n".join([*payload["text"].split("\n"), *(["\n".join(files)] if files else [])]) + "\n"


def command_environment(payload: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a command; `config.keys.TOLD` lets it call `nightjar` with these set."""
    run, verdict, report = payload["run"], payload["verdict"], payload["report"]
    return {
        "NIGHTJAR_DELIVERY": payload["delivery"],
        "NIGHTJAR_EVENT": payload["event"],
        "NIGHTJAR_RUN": run["name"],
        "NIGHTJAR_RUN_ID": run["id"],
        "NIGHTJAR_SUITE": run["suite"],
        "NIGHTJAR_SCHEDULE": run["schedule"] or "",
        "NIGHTJAR_VERDICT": verdict["outcome"] if verdict else "",
        "NIGHTJAR_REPORT": next(iter(report["files"]), ""),
        "NIGHTJAR_LINK": report["link"] or "",
    }


def discord_body(payload: Mapping[str, Any]) -> bytes:
    """What Discord takes: a `content` of so many characters at most; a name in it is no mention of anybody."""
    text = payload["text"]
    if len(text) > DISCORD_MOST:
        link = payload["report"]["link"]
        end = f" ...\n{link}" if link else " ..."
        text = text[: DISCORD_MOST - len(end)] + end
    return json.dumps({"content": text, "allowed_mentions": {"parse": []}}, separators=(",", ":")).encode()


def is_discord(path: str) -> bool:
    """Whether a web address is a channel of Discord's, by its path; its form for Slack's messages takes ours."""
    return _DISCORD.fullmatch(path) is not None


def body(payload: Mapping[str, Any]) -> bytes:
    """The payload as JSON, in ASCII: what is sent, and what is signed."""
    return json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode()


def web_headers(delivery: str, content: bytes, sent: datetime, secret: str | None) -> dict[str, str]:
    """An id that is the same in every try, and the signature of the Standard Webhooks specification."""
    seconds = str(int(sent.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "nightjar",
        "Idempotency-Key": delivery,
        "webhook-id": delivery,
        "webhook-timestamp": seconds,
    }
    if secret is not None:
        headers["webhook-signature"] = signature(secret, delivery, seconds, content)
    return headers


def signature(secret: str, delivery: str, seconds: str, content: bytes) -> str:
    """HMAC-SHA-256 of id, time and body; a secret that begins with whsec_ is base64, as that specification has it."""
    standard = secret.startswith("whsec_")
    key = base64.b64decode(secret.removeprefix("whsec_")) if standard else secret.encode()
    code = hmac.new(key, f"{delivery}.{seconds}.".encode() + content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(code).decode()


def _gates(verdict: GateVerdict | None) -> list[str]:
    if verdict is None:
        return []
    return verdict.reasons() or ["All gates passed."]
