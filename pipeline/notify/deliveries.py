"""Each hook of a run's end is called once, whoever dies: written, claimed, called, recorded.

    WAITING   written by whoever saw the end, under an id that the end gives: once, however many saw it
    CLAIMED   one dispatcher prepares the call (connects, logs in); nothing is sent. If it dies: WAITING again
    CALLING   recorded just before the first byte. If it dies now, the call may have arrived or not: UNSURE, shown
              and left alone, or, where night.unsure is "resend", WAITING again under the same id
    DELIVERED, FAILED   recorded with what the other side said

So a call is made exactly once wherever a dispatcher dies, but inside the call itself; there it is made at most once,
or with "resend" at least once. No protocol can do better with a receiver that does not take part; one that does drops
a second call by its id.
"""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict
from pymongo import ReturnDocument

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.database import Database, Row, insert_absent
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Event, Hook
from nightjar.jobs.identity import digest
from nightjar.jobs.nights import Delivery, DeliveryState
from nightjar.jobs.patience import PATIENCE_S, patiently
from nightjar.jobs.retry import backoff
from nightjar.pipeline.notify.call import Answer, Call, NotDelivered, Unsure
from nightjar.pipeline.notify.message import payload_of
from nightjar.pipeline.notify.prepare import limit_s, prepare

MAX_TRIES = 6
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 300.0
AT_ONCE = 8
_log = structlog.get_logger()


def delivery_id(run: str, end: str, hook: Hook) -> str:
    """`end` tells one end of a run from the next: a run that is retried ends again, and that is told again."""
    return digest("delivery", run, end, hook.kind, hook.target)


async def write_deliveries(
    run: Run,
    event: Event,
    end: str,
    database: Database,
    *,
    jobs: dict[str, int],
    link: str | None,
    why: str | None = None,
) -> int:
    """Writes what is to be told, where it is not written yet; returns how many were new."""
    now = await database.now()
    rows = []
    for hook in run.ending.on_finish:
        identity = delivery_id(run.id, end, hook)
        payload = payload_of(run, event, delivery=identity, jobs=jobs, files=run.files, link=link, now=now, why=why)
        found = Delivery(
            id=identity,
            run=run.id,
            run_name=run.name,
            event=event,
            hook=hook,
            payload=payload,
            due_at=now,
            created_at=now,
        )
        rows.append(get_dict(found, to_db=True))
    added = await insert_absent(database.raw["deliveries"], rows)
    if added:
        _log.info("end_to_be_told", run=run.id, name=run.name, end=event, hooks=added)
    return added


async def deliver_due(settings: NightSettings, owner: str, database: Database) -> int:
    """Makes the calls that are due, several at once; returns how many were tried."""
    await take_back(settings, database)
    tried = 0
    while batch := [
        found for _ in range(AT_ONCE) if (found := await claim_delivery(settings, owner, database)) is not None
    ]:
        # One that fails, since MongoDB went away, leaves the others to their end.
        ended = await asyncio.gather(*(attempt(found, settings, database) for found in batch), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        tried += len(batch)
    return tried


async def take_back(settings: NightSettings, database: Database) -> None:
    """What dispatchers that are gone left: claimed ones wait again, calls are unsure."""
    lapsed = {"$expr": {"$lt": ["$lease_until", "$$NOW"]}}
    free = {"owner": None, "lease_until": None}
    deliveries = database.raw["deliveries"]
    waiting = {"state": DeliveryState.WAITING, **free}
    await deliveries.update_many({"state": DeliveryState.CLAIMED, **lapsed}, {"$set": waiting})
    told = "the dispatcher ended inside the call: it may have arrived or not"
    if settings.unsure == "resend":
        after = {**waiting, "outcome": told}
    else:
        after = {"state": DeliveryState.UNSURE, **free, "outcome": told}
    found = await deliveries.update_many({"state": DeliveryState.CALLING, **lapsed}, {"$set": after})
    if found.modified_count:
        _log.warning("deliveries_unsure", calls=found.modified_count, policy=settings.unsure)


async def claim_delivery(settings: NightSettings, owner: str, database: Database) -> Delivery | None:
    """Takes one that is due; None where none is."""
    query = {"state": DeliveryState.WAITING, "$expr": {"$lte": ["$due_at", "$$NOW"]}}
    change = {
        "state": DeliveryState.CLAIMED,
        "owner": {"$literal": owner},
        "tries": {"$add": ["$tries", 1]},
        "lease_until": _later(4 * settings.call_timeout_s),
    }
    row = await database.raw["deliveries"].find_one_and_update(
        query, [{"$set": change}], sort=[("due_at", 1)], return_document=ReturnDocument.AFTER
    )
    return Delivery.model_validate(row) if row is not None else None


async def attempt(found: Delivery, settings: NightSettings, database: Database) -> None:
    """One try of a claimed delivery, from the connection to the recorded outcome."""
    try:
        async with asyncio.timeout(3 * settings.call_timeout_s):
            prepared = await prepare(found.hook, found.payload, settings)
    except TimeoutError:
        await _record(found, _after_refusal(found, NotDelivered(f"{found.hook} did not answer", again=True)), database)
        return
    except NotDelivered as refused:
        await _record(found, _after_refusal(found, refused), database)
        return
    try:
        most_s = limit_s(found.hook, settings)
        if not await _begin(found, most_s, database):
            return  # it was taken back meanwhile: somebody else calls
        change = await _outcome(found, prepared, most_s, settings)
        await asyncio.shield(_record(found, change, database))
    finally:
        await prepared.close()


async def _begin(found: Delivery, most_s: float, database: Database) -> bool:
    """CLAIMED -> CALLING, if it is still ours: the last thing before the first byte."""
    query = {"_id": found.id, "state": DeliveryState.CLAIMED, "owner": found.owner, "tries": found.tries}
    until = _later(most_s + PATIENCE_S)
    change = {"state": DeliveryState.CALLING, "called_at": "$$NOW", "lease_until": until}
    return (await database.raw["deliveries"].update_one(query, [{"$set": change}])).matched_count == 1


async def _outcome(found: Delivery, prepared: Call, most_s: float, settings: NightSettings) -> Row:
    try:
        async with asyncio.timeout(most_s):
            answer = await prepared.send()
    except NotDelivered as refused:
        return _after_refusal(found, refused)
    except (TimeoutError, Unsure) as error:
        reason = str(error) or f"sent, but not answered within {most_s:g} s"
        if settings.unsure == "resend":
            return _after_refusal(found, NotDelivered(reason, again=True))
        return {"state": DeliveryState.UNSURE, "outcome": reason}
    return _after_answer(answer)


def _after_answer(answer: Answer) -> Row:
    state = DeliveryState.DELIVERED if answer.ok else DeliveryState.FAILED
    return {"state": state, "outcome": answer.said, "output": answer.output}


def _after_refusal(found: Delivery, refused: NotDelivered) -> Row:
    """Another try after a while, or the end of trying."""
    if not refused.again or found.tries >= MAX_TRIES:
        return {"state": DeliveryState.FAILED, "outcome": str(refused)}
    wait_s = backoff(found.tries, FIRST_DELAY_S, LONGEST_DELAY_S, random.random())  # noqa: S311
    return {"state": DeliveryState.WAITING, "outcome": str(refused), "due_at": _later(wait_s)}


async def _record(found: Delivery, change: Row, database: Database) -> None:
    ended = change["state"] in (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.UNSURE)
    values: Row = {key: value if key == "due_at" else {"$literal": value} for key, value in change.items()}
    values |= {"owner": None, "lease_until": None, "finished_at": "$$NOW" if ended else None}
    query = {"_id": found.id, "owner": found.owner, "tries": found.tries}
    await patiently(partial(database.raw["deliveries"].update_one, query, [{"$set": values}]))
    level = _log.info if change["state"] is DeliveryState.DELIVERED else _log.warning
    fields: dict[str, Any] = {"run": found.run, "name": found.run_name, "end": found.event, "hook": str(found.hook)}
    level("end_told", **fields, state=change["state"], outcome=change["outcome"], tries=found.tries)


async def send_again(identity: str, database: Database) -> bool:
    """Somebody wants a failed or unsure one called again, under the same id; False where it is neither."""
    query = {"_id": identity, "state": {"$in": [DeliveryState.FAILED, DeliveryState.UNSURE]}}
    change = {"state": DeliveryState.WAITING, "tries": 0, "due_at": "$$NOW", "finished_at": None}
    return (await database.raw["deliveries"].update_one(query, [{"$set": change}])).matched_count == 1


def _later(seconds: float) -> dict[str, list[Any]]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}


def end_of(finished_at: datetime) -> str:
    """Tells the ends of a run apart."""
    return f"end {finished_at.isoformat()}"


STALLED_END = "stalled"
