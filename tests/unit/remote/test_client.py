"""One request to an endpoint that does wrong: what is made of it, and that nothing hangs or tells the key."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
import trustme
from pydantic import SecretStr

from nightjar.config.redact import redact_text, remember
from nightjar.config.remote_settings import RemoteSettings
from nightjar.jobs.remote_models import Dialect
from nightjar.workers.library.endpoints import RemoteEndpoint
from nightjar.workers.remote.answers import GrowingAnswer
from nightjar.workers.remote.client import EndpointClient
from nightjar.workers.remote.failures import SAID_CHARS, FailureKind, RequestFailure
from tests.fake_endpoint import KEY, FakeEndpoint, fake_endpoint

QUICK = RemoteSettings(connect_s=2, silence_s=0.5)
BODY = {"model": "fake-large", "messages": [{"role": "user", "content": "Tell me of an owl."}], "stream": True}


@asynccontextmanager
async def client_for(fake: FakeEndpoint, key: str | None = KEY) -> AsyncIterator[EndpointClient]:
    endpoint = RemoteEndpoint(**{k: v for k, v in fake.table().items() if k != "key_env"})
    client = EndpointClient(endpoint, None if key is None else SecretStr(key), QUICK)
    try:
        yield client
    finally:
        await client.close()


async def ask(fake: FakeEndpoint, key: str | None = KEY) -> GrowingAnswer:
    answer = GrowingAnswer(prompt_estimate=5)
    async with client_for(fake, key) as client:
        async for piece in client.stream_chat(BODY):
            answer.add(piece)
    return answer


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with fake_endpoint() as running:
        yield running


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_reply_comes_with_its_reasoning_apart_and_what_it_took(dialect: Dialect) -> None:
    with fake_endpoint(dialect=dialect, reasoning="It hoots.") as fake:
        answer = await ask(fake)
    assert answer.text == "Reply to: Tell me of an owl."
    assert answer.reasoning == "It hoots."
    assert not answer.use.estimated
    assert (answer.use.prompt, answer.use.reply) == (7, 8)


@pytest.mark.parametrize(
    ("fault", "kind", "charged"),
    [
        ("429", FailureKind.PASSING, False),
        ("429 retry after", FailureKind.BUSY, False),
        ("no credit", FailureKind.REFUSED, False),  # a 429, but no waiting mends it
        ("500", FailureKind.PASSING, False),
        ("503", FailureKind.PASSING, False),
        ("503 retry after", FailureKind.BUSY, False),
        ("401", FailureKind.REFUSED, False),
        ("402", FailureKind.REFUSED, False),
        ("404", FailureKind.REFUSED, False),
        ("400", FailureKind.INVALID, False),
        ("too long", FailureKind.TOO_LONG, False),
        ("redirect", FailureKind.REFUSED, False),  # never followed: the key would go along
        ("not JSON", FailureKind.PASSING, False),
        ("silence", FailureKind.PASSING, True),  # it may have worked for nothing
        ("cut", FailureKind.CUT, True),
        ("half event", FailureKind.CUT, True),
        ("silence in the middle", FailureKind.CUT, True),
        ("error in the middle", FailureKind.CUT, True),
        ("numbered error in the middle", FailureKind.CUT, True),  # its code is no string
        ("10 MB", FailureKind.INVALID, True),
        ("packed", FailureKind.INVALID, True),  # what it unpacks to has no limit
    ],
)
async def test_what_goes_wrong_has_a_name_and_ends_soon(
    fake: FakeEndpoint, fault: str, kind: FailureKind, charged: bool
) -> None:
    fake.faults.append(fault)
    began = monotonic()
    with pytest.raises(RequestFailure) as failure:
        await ask(fake)
    assert failure.value.kind is kind
    assert failure.value.charged is charged
    assert monotonic() - began < 20
    assert KEY not in redact_text(failure.value.said)
    assert len(fake.bodies) == 1, "nothing is sent again here"


@pytest.mark.parametrize("fault", ["no use", "NaN use"])
async def test_use_that_is_not_told_is_estimated_and_never_nothing(fake: FakeEndpoint, fault: str) -> None:
    fake.faults.append(fault)
    use = (await ask(fake)).use
    assert use.estimated
    assert use.prompt == 5
    assert use.reply == 7


async def test_another_model_than_asked_for_is_seen(fake: FakeEndpoint) -> None:
    fake.faults.append("other model")
    assert (await ask(fake)).model == "somebody-else"


async def test_a_wrong_key_is_refused_and_not_repeated(fake: FakeEndpoint) -> None:
    with pytest.raises(RequestFailure) as failure:
        await ask(fake, "sk-wrong-0123456789abcdef")
    assert failure.value.kind is FailureKind.REFUSED
    assert "sk-wrong" not in failure.value.said


async def test_nothing_but_what_the_protocol_needs_is_sent(fake: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment holds for another service stays here, and so does what describes this machine."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: 1")
    await ask(fake)
    sent = {name.lower(): value for name, value in fake.headers[0].items()}
    needed = "host accept accept-encoding connection content-type content-length user-agent authorization".split()
    assert sent.keys() <= set(needed)
    assert sent["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_none_is_sent() -> None:
    with fake_endpoint(key=None) as fake:
        await ask(fake, None)
    assert "authorization" not in {name.lower() for name in fake.headers[0]}


@pytest.mark.parametrize(("host", "valid"), [("localhost", True), ("another.example", False)])
async def test_a_certificate_of_another_host_gets_no_key(
    host: str, valid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with fake_endpoint(context) as fake:
        if valid:
            assert (await ask(fake)).text
            return
        with pytest.raises(RequestFailure) as failure:
            await ask(fake)
    assert failure.value.kind is FailureKind.REFUSED
    assert "certificate" in failure.value.said
    assert fake.headers == []


async def test_an_endpoint_that_is_not_there_is_named(fake: FakeEndpoint) -> None:
    endpoint = RemoteEndpoint(base_url="http://127.0.0.1:9/v1", allow_private=True)
    client = EndpointClient(endpoint, None, QUICK)
    with pytest.raises(RequestFailure) as failure:
        await client.list_models()
    await client.close()
    assert failure.value.kind is FailureKind.PASSING
    assert not failure.value.charged


async def test_models_and_embeddings(fake: FakeEndpoint) -> None:
    async with client_for(fake) as client:
        assert await client.list_models() == ["fake-large"]
        vectors, use = await client.embed("fake-large", ["owl", "bee"])
    assert vectors == [[3.0, 0.0, 1.0], [3.0, 2.0, 1.0]]
    assert use is not None
    assert use.prompt == 2


async def test_a_website_is_no_endpoint() -> None:
    """An address with its /v1 left out is often a page, which answers 200."""
    with fake_endpoint(is_website=True) as fake:
        async with client_for(fake) as client:
            with pytest.raises(RequestFailure, match="no list of models"):
                await client.list_models()


async def test_a_key_is_hidden_before_words_are_cut(fake: FakeEndpoint) -> None:
    """Half a key at the end of a long message is not recognised any more."""
    remember(SecretStr(KEY))
    long = "x" * (SAID_CHARS - len("HTTP 500: ") - 12)
    fake.says = f"{long} {KEY}"
    fake.faults.append("error in the middle")
    with pytest.raises(RequestFailure) as failure:
        await ask(fake)
    assert "x" * 100 in failure.value.said
    assert KEY[:8] not in failure.value.said
