"""A sample of Inspect's log: a sequence and a repeat, with its messages, model events and scores. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from nightjar.jobs.identity import digest
from nightjar.jobs.sequences import Mode
from nightjar.jobs.sequences import Sequence as PromptSequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.exports.conversation import ExportedMessage, message, opening_of
from nightjar.pipeline.scores import Score, ScoreState
from nightjar.pipeline.scoring.turn_scorer import metric_of
from nightjar.pipeline.transcripts import JobRow, TurnRow

STOP_REASONS = {"stop": "stop", "length": "max_tokens", "context": "model_length"}
CONFIG = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
"""Nightjar's parameter -> Inspect's name for it."""


def sample_of(job: JobRow, sequence: PromptSequence) -> dict[str, Any]:
    turns = job.turns
    first = [message("user", sequence.prompt_text(0) if not turns else turns[0].prompt)]
    start = opening_of(sequence)
    messages = _messages(start, job)
    sample: dict[str, Any] = {
        "id": job.sequence,
        "epoch": job.repeat + 1,
        "input": [{**entry, "source": "input"} for entry in start + first],
        "target": [turn.reference for turn in sequence.turns if turn.reference is not None] or "",
        "messages": messages,
        "output": _output(turns[-1], messages[-1], job.contestant)
        if turns
        else {"model": job.contestant, "choices": []},
        "events": _events(job, sequence, messages),
        "scores": _scores(turns),
        "metadata": _about(job, sequence),
        "model_usage": {job.contestant: usage_of(turns)},
        "turn_count": len(turns),
        "uuid": job.id[:22],
        "total_time": sum(turn.total_s for turn in turns),
        "working_time": sum(turn.total_s - turn.queue_s for turn in turns),
    }
    if turns:
        sample["completed_at"] = timestamp(turns[-1].committed_at)
    if job.status is not JobStatus.DONE:
        sample["error"] = error_of(job.missing_reason)
    return sample


def _messages(start: Sequence[ExportedMessage], job: JobRow) -> list[dict[str, Any]]:
    """The whole conversation; each message has an id, because events repeat the messages."""
    messages: list[dict[str, Any]] = [{**entry, "source": "input"} for entry in start]
    for turn in job.turns:
        messages += [{**message("user", turn.prompt), "source": "input"}, _reply(turn, job.contestant)]
    return [{"id": digest(job.id, number)[:22], **entry} for number, entry in enumerate(messages)]


def _events(job: JobRow, sequence: PromptSequence, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One model call for each turn: its input, its parameters, and how long it took."""
    events = []
    opening = len(messages) - 2 * len(job.turns)
    for number, turn in enumerate(job.turns):
        at = opening + 2 * number + 1
        given = messages[:opening] if sequence.mode is Mode.INDEPENDENT else messages[: at - 1]
        events.append(
            {
                "event": "model",
                "uuid": digest(job.id, "event", number)[:22],
                "timestamp": timestamp(turn.committed_at - timedelta(seconds=turn.total_s)),
                "completed": timestamp(turn.committed_at),
                "working_start": sum(before.total_s - before.queue_s for before in job.turns[:number]),
                "working_time": turn.total_s - turn.queue_s,
                "model": job.contestant,
                "input": [*given, messages[at - 1]],
                "tools": [],
                "tool_choice": "none",
                "config": {**config_of(turn.parameters), "seed": turn.seed},
                "output": _output(turn, messages[at], job.contestant),
            }
        )
    return events


def config_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that Inspect has, under its names."""
    stops = {"stop_seqs": list(parameters["stop"])} if parameters.get("stop") else {}
    return {theirs: parameters[ours] for ours, theirs in CONFIG.items() if ours in parameters} | stops


def _reply(turn: TurnRow, model: str) -> dict[str, Any]:
    thought = [{"type": "reasoning", "reasoning": turn.reasoning}] if turn.reasoning else []
    content = [*thought, {"type": "text", "text": turn.reply}] if thought else turn.reply
    failure = {"metadata": {"failure": turn.failure}} if turn.failure else {}
    return {"role": "assistant", "content": content, "source": "generate", "model": model, **failure}


def _output(turn: TurnRow, reply: Mapping[str, Any], model: str) -> dict[str, Any]:
    return {
        "model": model,
        "choices": [{"message": reply, "stop_reason": STOP_REASONS.get(turn.finish_reason, "unknown")}],
        "completion": turn.reply,
        "usage": usage_of([turn]),
        "time": turn.total_s,
    }


def usage_of(turns: Iterable[TurnRow]) -> dict[str, int]:
    total = dict.fromkeys(("input_tokens", "input_tokens_cache_read", "output_tokens", "reasoning_tokens"), 0)
    for turn in turns:
        total["input_tokens"] += turn.prompt_tokens - turn.reused_tokens
        total["input_tokens_cache_read"] += turn.reused_tokens
        total["output_tokens"] += turn.reply_tokens
        total["reasoning_tokens"] += turn.reasoning_tokens
    spent = total["input_tokens"] + total["input_tokens_cache_read"] + total["output_tokens"]
    return {**total, "total_tokens": spent}


def _scores(turns: Sequence[TurnRow]) -> dict[str, dict[str, Any]]:
    """Metric -> Inspect's Score: the mean over the turns that have a value, NaN if none has."""
    by_metric: dict[str, list[tuple[TurnRow, str, Score]]] = {}
    for turn in turns:
        for name, score in turn.scores.items():
            by_metric.setdefault(metric_of(name), []).append((turn, name, score))
    return {name: _score(given) for name, given in by_metric.items()}


def _score(given: Sequence[tuple[TurnRow, str, Score]]) -> dict[str, Any]:
    values = [score.value for _, _, score in given if score.value is not None]
    reasons = [f"turn {turn.index + 1}: {score.reason}" for turn, _, score in given if score.reason]
    answers = [score.answer for _, _, score in given if score.answer is not None]
    failed = any(score.state is ScoreState.FAILED for _, _, score in given)
    return {
        "value": fmean(values) if values else float("nan"),
        "answer": "; ".join(answers) or None,
        "explanation": "\n".join(reasons) or None,
        **({} if values else {"reason": "scoring_failed" if failed else "unscored"}),
        "metadata": {
            "turns": [
                {"turn": turn.index, "name": name, "value": score.value, "state": score.state.value}
                for turn, name, score in given
            ]
        },
    }


def _about(job: JobRow, sequence: PromptSequence) -> Mapping[str, Any]:
    return {
        "job": job.id,
        "status": job.status.value,
        "mode": Mode(sequence.mode).value,
        "tags": list(job.tags),
        "prompt_digest": job.sequence_digest,
        "seeds": [turn.seed for turn in job.turns],
        "tries": job.tries,
    }


def error_of(text: str) -> dict[str, str]:
    return {"message": text, "traceback": "", "traceback_ansi": ""}


def timestamp(moment: datetime) -> str:
    return moment.isoformat()
