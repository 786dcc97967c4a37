"""Each hook of a run's end is called once, whichever dispatcher dies: written, claimed, called, recorded.

    WAITING   written by whoever saw the end, under an id that the end gives: once, however many saw it
    CLAIMED   one dispatcher prepares the call (connects, logs in); nothing is sent. If it dies: WAITING again
    CALLING   recorded just before the first byte. If it dies now, the call may have arrived or not: UNSURE, shown
              and left alone, or, where night.unsure is "resend", WAITING again under the same id
    DELIVERED, FAILED   recorded with what the other side said

So a call is made exactly once wherever a dispatcher dies, except inside the call itself: there it is made at most
once, or at least once with "resend". No protocol can do better with a receiver that does not take part; one that does
recognises a second call by its id and drops it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from beanie.odm.utils.dump import get_dict
from pydantic import ValidationError

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.closers import Closer
from nightjar.jobs.documents import Run
from nightjar.jobs.ending import Event, Hook, HookKind
from nightjar.jobs.identity import digest
from nightjar.jobs.lanes import LaneWork, work_in_lanes
from nightjar.jobs.mongo import Database, ReturnDocument, Row, insert_absent
from nightjar.jobs.nights.documents import Delivery, DeliveryState
from nightjar.jobs.patience import PATIENCE_S, patiently
from nightjar.jobs.retry import backoff
from nightjar.jobs.unreadable import flaw_of
from nightjar.pipeline.notify.call import Answer, Call, NotDelivered, Unsure
from nightjar.pipeline.notify.message import payload_of
from nightjar.pipeline.notify.prepare import limit_s, prepare

MAX_TRIES = 6
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 300.0
LANES = 8
"""Commands under way at the same time, and as many calls of web addresses and mail servers."""
OF_ONE_RUN = 2
"""Of those: a run with many slow hooks leaves room for others."""
_log = structlog.get_logger()


def delivery_id(run: str, end: str, hook: Hook) -> str:
    """`end` tells one end of a run from the next: a run that is retried ends again, and its hooks are called again."""
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
    """Writes a delivery for each hook of the run, where it is not there yet; returns how many were new."""
    now = await database.now()
    rows = []
    for hook in run.ending.on_finish:
        identity = delivery_id(run.id, end, hook)
        payload = payload_of(
            run, event, delivery=identity, jobs=jobs, files=run.outcome.files, link=link, now=now, why=why
        )
        delivery = Delivery(
            id=identity,
            run=run.id,
            run_name=run.name,
            event=event,
            hook=hook,
            payload=payload,
            closers=run.closers,
            due_at=now,
            created_at=now,
        )
        rows.append(get_dict(delivery, to_db=True))
    added = await insert_absent(database.raw["deliveries"], rows)
    if added:
        _log.info("end_to_be_told", run=run.id, name=run.name, end=event, hooks=added)
    return added


async def deliver_due(settings: NightSettings, owner: str, database: Database) -> int:
    """Makes all calls that are due and runs all commands; returns how many were tried."""
    return await make_calls(settings, owner, database) + await run_commands(settings, owner, database)


async def make_calls(
    settings: NightSettings,
    owner: str,
    database: Database,
    stop: asyncio.Event | None = None,
    *,
    closer: Closer | None = None,
) -> int:
    """Calls the web addresses and mail servers that are due, several at once; returns how many were tried.

    `closer`: whose calls those must be; None makes all.

    Goes on looking for those that become due while others are under way: a slow one holds up none of another run.
    """
    kinds = [kind for kind in HookKind if kind is not HookKind.COMMAND]
    return await work_in_lanes(LANES, _DueCalls(kinds, settings, owner, database, closer).take, stop=stop)


async def run_commands(
    settings: NightSettings,
    owner: str,
    database: Database,
    stop: asyncio.Event | None = None,
    *,
    closer: Closer | None = None,
) -> int:
    """The same for commands, which may run for minutes."""
    kinds = [HookKind.COMMAND]
    return await work_in_lanes(LANES, _DueCalls(kinds, settings, owner, database, closer).take, stop=stop)


class _DueCalls:
    """Gives the lanes the calls that are due, and no run more of the lanes than its share."""

    def __init__(
        self,
        kinds: Sequence[HookKind],
        settings: NightSettings,
        owner: str,
        database: Database,
        closer: Closer | None = None,
    ) -> None:
        self._kinds = kinds
        self._closer = closer
        self._settings = settings
        self._owner = owner
        self._database = database
        self._of_runs: Counter[str] = Counter()

    async def take(self, _: Collection[str], free: int) -> dict[str, LaneWork]:
        """Claims up to `free` calls. One that was made before is claimed only where it is due again."""
        await take_back(self._settings, self._database)
        taken: dict[str, LaneWork] = {}
        while len(taken) < free:
            busy = [run for run, calls in self._of_runs.items() if calls >= OF_ONE_RUN]
            query: Row = {"hook.kind": {"$in": list(self._kinds)}, "run": {"$nin": busy}}
            query |= {} if self._closer is None else self._closer.query("due_at")
            delivery = await claim_delivery(self._settings, self._owner, self._database, query)
            if delivery is None:
                break
            self._of_runs[delivery.run] += 1
            taken[f"{delivery.id} {delivery.tries}"] = partial(self._attempt, delivery)
        return taken

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await attempt(delivery, self._settings, self._database)
        finally:
            self._of_runs[delivery.run] -= 1


async def take_back(settings: NightSettings, database: Database) -> None:
    """Deliveries that dead dispatchers left behind: claimed ones wait again, calls become unsure."""
    lapsed = {"$expr": {"$lt": ["$lease_until", "$$NOW"]}}
    free = {"owner": None, "lease_until": None}
    deliveries = database.raw["deliveries"]
    waiting = {"state": DeliveryState.WAITING, **free}
    await deliveries.update_many({"state": DeliveryState.CLAIMED, **lapsed}, {"$set": waiting})
    reason = "the dispatcher ended inside the call: it may have arrived or not"
    if settings.unsure == "resend":
        after = {**waiting, "outcome": reason}
    else:
        after = {"state": DeliveryState.UNSURE, **free, "outcome": reason}
    unsure = await deliveries.update_many({"state": DeliveryState.CALLING, **lapsed}, {"$set": after})
    if unsure.modified_count:
        _log.warning("deliveries_unsure", calls=unsure.modified_count, policy=settings.unsure)


async def claim_delivery(settings: NightSettings, owner: str, database: Database, among: Row) -> Delivery | None:
    """Takes one delivery that is due, of those that the query `among` finds; None where none is."""
    query = {"state": DeliveryState.WAITING, "$expr": {"$lte": ["$due_at", "$$NOW"]}, **among}
    change = {
        "state": DeliveryState.CLAIMED,
        "owner": {"$literal": owner},
        "tries": {"$add": ["$tries", 1]},
        "lease_until": _later(4 * settings.call_timeout_s),
    }
    row = await database.raw["deliveries"].find_one_and_update(
        query, [{"$set": change}], sort=[("due_at", 1)], return_document=ReturnDocument.AFTER
    )
    if row is None:
        return None
    try:
        delivery: Delivery = Delivery.model_validate(row)
    except ValidationError as error:
        await _give_up(row, error, database)
        return await claim_delivery(settings, owner, database, among)
    return delivery


async def _give_up(row: Row, error: ValidationError, database: Database) -> None:
    """A delivery that cannot be read fails, and holds up no other."""
    ended = {"state": DeliveryState.FAILED, "outcome": flaw_of(error), "owner": None, "lease_until": None}
    await database.raw["deliveries"].update_one({"_id": row["_id"], "owner": row["owner"]}, {"$set": ended})
    _log.error("delivery_unreadable", delivery=row["_id"], run=row.get("run"), reason=flaw_of(error))


async def attempt(delivery: Delivery, settings: NightSettings, database: Database) -> None:
    """One try of a claimed delivery, from the connection to the recorded outcome."""
    try:
        async with asyncio.timeout(3 * settings.call_timeout_s):
            prepared = await prepare(delivery.hook, delivery.payload, settings)
    except TimeoutError:
        silence = NotDelivered(f"{delivery.hook} did not answer", again=True)
        await _record(delivery, _after_refusal(delivery, silence), database)
        return
    except NotDelivered as refused:
        await _record(delivery, _after_refusal(delivery, refused), database)
        return
    try:
        most_s = limit_s(delivery.hook, settings)
        if not await _begin(delivery, most_s, database):
            return  # it was taken back meanwhile: another dispatcher calls
        change = await _outcome(delivery, prepared, most_s, settings)
        await asyncio.shield(_record(delivery, change, database))
    finally:
        await prepared.close()


async def _begin(delivery: Delivery, most_s: float, database: Database) -> bool:
    """CLAIMED -> CALLING, if we still hold it: the last write before the first byte."""
    query = {"_id": delivery.id, "state": DeliveryState.CLAIMED, "owner": delivery.owner, "tries": delivery.tries}
    until = _later(most_s + PATIENCE_S)
    change = {"state": DeliveryState.CALLING, "called_at": "$$NOW", "lease_until": until}
    return (await database.raw["deliveries"].update_one(query, [{"$set": change}])).matched_count == 1


async def _outcome(delivery: Delivery, prepared: Call, most_s: float, settings: NightSettings) -> Row:
    try:
        async with asyncio.timeout(most_s):
            answer = await prepared.send()
    except NotDelivered as refused:
        return _after_refusal(delivery, refused)
    except (TimeoutError, Unsure) as error:
        reason = str(error) or f"sent, but not answered within {most_s:g} s"
        if settings.unsure == "resend":
            return _after_refusal(delivery, NotDelivered(reason, again=True))
        return {"state": DeliveryState.UNSURE, "outcome": reason}
    return _after_answer(answer)


def _after_answer(answer: Answer) -> Row:
    state = DeliveryState.DELIVERED if answer.ok else DeliveryState.FAILED
    return {"state": state, "outcome": answer.said, "output": answer.output}


def _after_refusal(delivery: Delivery, refused: NotDelivered) -> Row:
    """Another try after a pause, or FAILED."""
    if not refused.again or delivery.tries >= MAX_TRIES:
        return {"state": DeliveryState.FAILED, "outcome": str(refused)}
    wait_s = backoff(delivery.tries, FIRST_DELAY_S, LONGEST_DELAY_S, random.random())  # noqa: S311
    return {"state": DeliveryState.WAITING, "outcome": str(refused), "due_at": _later(wait_s)}


async def _record(delivery: Delivery, change: Row, database: Database) -> None:
    ended = change["state"] in (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.UNSURE)
    values: Row = {key: value if key == "due_at" else {"$literal": value} for key, value in change.items()}
    values |= {"owner": None, "lease_until": None, "finished_at": "$$NOW" if ended else None}
    query = {"_id": delivery.id, "owner": delivery.owner, "tries": delivery.tries}
    await patiently(partial(database.raw["deliveries"].update_one, query, [{"$set": values}]))
    level = _log.info if change["state"] is DeliveryState.DELIVERED else _log.warning
    fields: dict[str, Any] = {
        "run": delivery.run,
        "name": delivery.run_name,
        "end": delivery.event,
        "hook": str(delivery.hook),
    }
    level("end_told", **fields, state=change["state"], outcome=change["outcome"], tries=delivery.tries)


async def send_again(identity: str, database: Database) -> bool:
    """Has a failed or unsure delivery called again, under the same id; False where it is neither."""
    query = {"_id": identity, "state": {"$in": [DeliveryState.FAILED, DeliveryState.UNSURE]}}
    change = {"state": DeliveryState.WAITING, "tries": 0, "due_at": "$$NOW", "finished_at": None}
    return (await database.raw["deliveries"].update_one(query, [{"$set": change}])).matched_count == 1


def _later(seconds: float) -> dict[str, list[Any]]:
    return {"$add": ["$$NOW", round(seconds * 1000)]}


def end_of(finished_at: datetime) -> str:
    """Tells the ends of a run apart."""
    return f"end {finished_at.isoformat()}"


STALLED_END = "stalled"
"""The `end` of a delivery that says that a run does not move."""
