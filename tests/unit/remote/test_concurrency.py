"""How many requests are under way at an endpoint: half as many where it is too much, slowly more where not (AIMD)."""

from __future__ import annotations

import asyncio

import pytest

from nightjar.workers.remote.concurrency import AdaptiveConcurrency


@pytest.mark.parametrize(
    ("most", "happened", "limit"),
    [
        (8, "", 8),  # at first all places
        (8, "!", 4),
        (8, "!!", 2),
        (8, "!!!!!!", 1),  # never none
        (8, "!....", 4),  # 4 + 1/4 + ... is a little less than 5 after four answers
        (8, "!.....", 5),
        (8, "!" + "." * 11, 6),  # five more answers for the next one
        (8, "!" + "." * 100, 8),  # never more than there are places
        (8, "!.....!", 2),
        (1, "!", 1),
        (1, "..", 1),
    ],
)
def test_the_limit_is_halved_and_grows_by_one(most: int, happened: str, limit: int) -> None:
    """"!": the endpoint could not take it, ".": it answered."""
    concurrency = AdaptiveConcurrency(most)
    for each in happened:
        (concurrency.too_much if each == "!" else concurrency.well)()
    assert concurrency.limit == limit


async def test_requests_beyond_the_limit_wait_until_another_ends() -> None:
    concurrency, under_way, most = AdaptiveConcurrency(8), 0, 0
    concurrency.too_much()
    concurrency.too_much()

    async def request(fails: bool) -> None:
        nonlocal under_way, most
        async with concurrency.place():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            if fails:
                raise ValueError

    done = await asyncio.gather(*(request(fails=n % 3 == 0) for n in range(12)), return_exceptions=True)
    assert sum(isinstance(each, ValueError) for each in done) == 4, "none hangs, and a failure leaves its place"
    assert most == 2
