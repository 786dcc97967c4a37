"""`alias:NAME` and `router:NAME` as a request's model: who is asked, and who is asked next where that fails.

There is another try only while nothing was sent to the client; the whole conversation goes along each time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from nightjar.config.errors import CancelledReplyError, LiveError, UsageError
from nightjar.jobs.backlog import live_workers
from nightjar.jobs.live_request import read_conversation
from nightjar.jobs.models import ModelSource
from nightjar.jobs.published import published
from nightjar.jobs.routing.policies import RoutingPolicy, active_policy
from nightjar.pipeline.routing.nearest import opening_prompt
from nightjar.pipeline.routing.route import CHARS_PER_TOKEN, CandidateHealth, RequestFeatures, Routed, route
from nightjar.web.openai.asking import asker, told_without, with_memory
from nightjar.web.openai.cached import submit_asks
from nightjar.web.openai.events import answered
from nightjar.web.openai.schema import ChatRequest
from nightjar.web.openai.translate import ChatShape, chat_asks, chat_parameters, live_messages
from nightjar.web.site import site_of
from nightjar.web.totals import RouteLabel

TAG = "nightjar-tag"
"""Header of a request: what it is about, as the policy's tags name it; several are separated by commas."""
LOCAL_ONLY = "nightjar-local-only"
"""Header of a request: with `true` no model at an endpoint is asked."""


@dataclass(frozen=True, kw_only=True)
class RoutedRequest:
    """A request's policy, and whom it goes to."""

    policy: RoutingPolicy
    routed: Routed

    def headers(self, model: str, failures: Mapping[str, str]) -> dict[str, str]:
        """Who answered and why."""
        reason = self.routed.reason + "".join(f"; {name} gave no reply" for name in failures)
        said = {
            "nightjar-model": model,
            "nightjar-policy": f"{self.policy.address}@{self.policy.version}",
            "nightjar-reason": reason,
        }
        return {name: text.encode("ascii", "replace").decode() for name, text in said.items()}


async def route_request(request: Request, asked: ChatRequest, address: str) -> RoutedRequest:
    """Raises UnknownNameError, UsageError where the policy is not active or nobody may answer, and as
    `read_conversation` does.
    """
    database = site_of(request).database
    policy = await active_policy(address)
    known = await published(policy.candidates, database)
    local_only = request.headers.get(LOCAL_ONLY, "").strip().lower() == "true"
    allowed = {name for name, model in known.items() if not (local_only and model.facts.source is ModelSource.REMOTE)}
    nearest = None
    if policy.nearest is not None:
        _, said = read_conversation(live_messages(asked.messages))
        nearest = await site_of(request).nearest.choose(policy, opening_prompt(said, said[-1].text))
    features = RequestFeatures(
        tags=tuple(tag.strip() for tag in request.headers.get(TAG, "").split(",") if tag.strip()),
        tokens=sum(len(str(message.get("content") or "")) for message in asked.messages) // CHARS_PER_TOKEN,
        schema="json_schema" in chat_parameters(asked),
        nearest=nearest,
    )
    contexts = {name: size for name, model in known.items() if (size := model.facts.most_context) is not None}
    health = CandidateHealth(served=frozenset(await live_workers(database)), allowed=allowed, contexts=contexts)
    routed = route(policy, features, health)
    if not routed.models:
        why = "each of its models is at an endpoint" if local_only else "none of its models is known"
        raise UsageError(f"Nobody may answer for {policy.address}: {why}.")
    return RoutedRequest(policy=policy, routed=routed)


async def answer_routed(request: Request, asked: ChatRequest, address: str, without: tuple[str, ...]) -> Response:
    """The reply of the first that gives one. Raises what the last of them raised."""
    wanted = await route_request(request, asked, address)
    failures: dict[str, str] = {}
    for model in wanted.routed.models:
        is_last = model == wanted.routed.models[-1]
        label = "fallback" if failures else wanted.routed.kind
        request.state.route = RouteLabel(policy=wanted.policy.address, reason=label)
        try:
            asks = await with_memory(request, chat_asks(asked, model, asker(request)))
            replies, used = await submit_asks(asks, request)
            shape = ChatShape(
                id=f"chatcmpl-{replies[0].job.id}",
                created=int(time.time()),
                model=model,
                top_logprobs=asked.top_logprobs if asked.logprobs else None,
            )
            headers = {**used, **told_without(without), **wanted.headers(model, failures)}
            return await answered(asked, replies, shape, request, headers, waits=not is_last)
        except CancelledReplyError:
            raise
        except LiveError as error:
            site_of(request).meters.fell_back(model)
            if is_last:
                raise
            failures[model] = str(error)
    raise AssertionError("the last one answers or raises")
