"""Choosing a file of a repository, and choosing the model that a worker serves."""

from __future__ import annotations

from typing import Any

import pytest

from nightjar.config.errors import ModelFitError, UnknownNameError, UsageError
from nightjar.jobs.models import ModelKind
from nightjar.workers.library.quants import QuantFile, RemoteFile, choices, choose_quant
from nightjar.workers.process.choose_model import Backlog, Capability, Present, choose_model, has_capability

GB = 10**9


def files(**sizes: float) -> list[RemoteFile]:
    """Files by name (underscores before the ending are kept), sizes in GB."""
    return [RemoteFile(name=f"{name}.gguf", bytes=int(size * GB), sha256=None) for name, size in sizes.items()]


STORY = files(story_Q8_0=8.5, story_Q4_K_M=4.9, story_Q2_K=3.2, story_F16=16, story_IQ3_XXS=3.3)


@pytest.mark.parametrize(
    ("name", "quantisation"),
    [
        ("Story-7B.Q4_K_M.gguf", "Q4_K_M"),
        ("story-7b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("story-iq3_xxs.gguf", "IQ3_XXS"),
        ("Q8_0/story-00001-of-00002.gguf", "Q8_0"),
        ("story-f16.gguf", "F16"),
        ("story-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("story-UD-Q4_K_XL.gguf", "Q4_K_XL"),
        ("story.gguf", None),
        ("IQ4PACK.gguf", None),
    ],
)
def test_quantisations_of_names(name: str, quantisation: str | None) -> None:
    """As publishers write them."""
    assert QuantFile(files=(RemoteFile(name=name, bytes=1, sha256=None),)).quantisation == quantisation


def test_only_models_are_offered() -> None:
    """Projectors, importance matrices, other formats and split models with a part missing are none."""
    names = [
        "b-00001-of-00002.gguf",
        "b-00002-of-00002.gguf",
        "c-00001-of-00003.gguf",
        "mmproj-f16.gguf",
        "story-imatrix.gguf",
        "README.md",
        "a.gguf",
    ]
    found = choices(RemoteFile(name=name, bytes=5, sha256=None) for name in names)
    assert [(choice.name, len(choice.files), choice.bytes) for choice in found] == [
        ("a.gguf", 1, 5),
        ("b-00001-of-00002.gguf", 2, 10),
    ]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"room_bytes": 12 * GB}, "story_Q8_0.gguf"),  # the largest quantised one
        ({"room_bytes": 6 * GB}, "story_Q4_K_M.gguf"),
        ({"room_bytes": 100 * GB}, "story_Q8_0.gguf"),  # full precision is not worth its memory
        ({"room_bytes": 4 * GB, "quantisation": "auto"}, "story_IQ3_XXS.gguf"),
        ({"quantisation": "q4_k_m", "room_bytes": 1}, "story_Q4_K_M.gguf"),  # asked for by name: no questions
        ({"pattern": "*Q2_K*.gguf"}, "story_Q2_K.gguf"),
        ({"pattern": "STORY_F16.GGUF"}, "story_F16.gguf"),
    ],
)
def test_choosing_a_file(options: dict[str, Any], name: str) -> None:
    """By room, by quantisation, by pattern."""
    assert choose_quant("a/b", STORY, **options).name == name


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"quantisation": "Q4_K_L"}, UnknownNameError, "Did you mean 'Q4_K_M'"),
        ({"pattern": "*Q5*"}, UnknownNameError, "There is no file '*Q5*' in a/b"),
        ({"pattern": "*Q*"}, UsageError, "fits 4 models of a/b"),
        ({"room_bytes": GB}, ModelFitError, "the smallest, story_Q2_K.gguf, has 3.2 GB, and 0.8 GB of 1.0 GB"),
    ],
)
def test_choices_that_cannot_be_made(options: dict[str, Any], error: type[Exception], says: str) -> None:
    """With the nearest names, or with the numbers."""
    with pytest.raises(error) as caught:
        choose_quant("a/b", STORY, **options)
    assert says in str(caught.value)
    with pytest.raises(UnknownNameError, match="ends in -GGUF"):
        choose_quant("a/b", [RemoteFile(name="model.safetensors", bytes=1, sha256=None)])


def backlog(model: str, waiting: int, **changes: Any) -> Backlog:
    return Backlog(**{"model": model, "waiting": waiting, "kind": ModelKind.CHAT, "memory_bytes": 4 * GB, **changes})


def staying(loaded_s: float = 1000, idle_s: float = 0, model: str = "a", *, yields: bool = False) -> Present:
    return Present(model=model, loaded_s=loaded_s, idle_s=idle_s, yields=yields)


@pytest.mark.parametrize(
    ("backlogs", "present", "model"),
    [
        # a fresh worker takes the largest backlog
        ([backlog("a", 5), backlog("b", 9)], None, "b"),
        # per worker: three serve b already
        ([backlog("a", 5), backlog("b", 9, workers=3)], None, "a"),
        # a tie goes to the first name
        ([backlog("b", 5), backlog("a", 5)], None, "a"),
        # too large, unknown here, failed, or of the wrong kind is passed over
        ([backlog("a", 9, memory_bytes=9 * GB), backlog("b", 1)], None, "b"),
        ([backlog("a", 9, memory_bytes=None), backlog("b", 1)], None, "b"),
        ([backlog("a", 9, failure="it cannot be loaded"), backlog("b", 1)], None, "b"),
        ([backlog("a", 9, kind=ModelKind.EMBEDDING), backlog("b", 1)], None, "b"),
        # a larger backlog alone is no reason to leave work behind
        ([backlog("a", 5), backlog("b", 19)], staying(), "a"),
        # four times as much is
        ([backlog("a", 5), backlog("b", 20)], staying(), "b"),
        # but not right after loading
        ([backlog("a", 5), backlog("b", 500)], staying(loaded_s=60), "a"),
        # a finished model is left after a while, at once it is not
        ([backlog("a", 0), backlog("b", 1)], staying(idle_s=30), "b"),
        ([backlog("a", 0), backlog("b", 1)], staying(idle_s=3), "a"),
        # the present model is not among the runs any more
        ([backlog("b", 1)], staying(idle_s=30), "b"),
        # nothing else to do: it stays loaded
        ([backlog("a", 0)], staying(idle_s=9999), "a"),
        ([], staying(idle_s=9999), "a"),
        ([], None, None),
        # a model that a live request asks for goes before any backlog, a pinned one before that
        ([backlog("a", 500), backlog("b", 0, live=True, asking=True)], None, "b"),
        ([backlog("a", 0, pinned=True), backlog("b", 0, live=True, asking=True)], None, "a"),
        # an idle place switches at once, one at work does not
        ([backlog("a", 0), backlog("b", 0, live=True, asking=True)], staying(idle_s=1, loaded_s=1), "b"),
        ([backlog("a", 5), backlog("b", 0, live=True, asking=True)], staying(), "a"),
        ([backlog("a", 0), backlog("b", 0, live=True, asking=True)], staying(idle_s=0), "a"),
        # within its idle time it is kept for its next request, unless another model is asked for now
        ([backlog("a", 0, live=True), backlog("b", 500)], staying(idle_s=60), "a"),
        ([backlog("a", 0, live=True), backlog("b", 0, live=True, asking=True)], staying(idle_s=60), "b"),
        # a pinned one stays whatever is asked for, and one that another worker serves is there already
        ([backlog("a", 0, pinned=True), backlog("b", 0, live=True, asking=True)], staying(idle_s=60), "a"),
        ([backlog("a", 5), backlog("b", 0, live=True, asking=True, workers=1)], None, "a"),
        # one that yields makes room for what is asked for now, and for nothing else
        ([backlog("a", 5), backlog("b", 0, live=True, asking=True)], staying(yields=True), "b"),
        ([backlog("a", 5), backlog("b", 0, live=True)], staying(yields=True), "a"),
        ([backlog("a", 5), backlog("b", 0, pinned=True)], staying(yields=True), "a"),
        ([backlog("a", 5), backlog("b", 0, live=True, asking=True, workers=1)], staying(yields=True), "a"),
        ([backlog("a", 5), backlog("b", 0, asking=True, memory_bytes=9 * GB)], staying(yields=True), "a"),
        # not where its own is pinned, or is what a request is waiting for
        ([backlog("a", 5, pinned=True), backlog("b", 0, asking=True)], staying(yields=True), "a"),
        ([backlog("a", 5, asking=True), backlog("b", 0, asking=True)], staying(yields=True), "a"),
        # what does not fit is not loaded for anybody
        ([backlog("a", 1), backlog("b", 0, pinned=True, memory_bytes=9 * GB)], None, "a"),
    ],
)
def test_the_model_a_worker_takes(backlogs: list[Backlog], present: Present | None, model: str | None) -> None:
    """The largest backlog that fits, with hysteresis; always with a reason."""
    chosen = choose_model(backlogs, room_bytes=8 * GB, capability="chat", present=present)
    assert chosen.model == model
    assert chosen.reason


def test_why_no_model_is_taken() -> None:
    """Each model's hindrance is named."""
    waiting = [
        backlog("large", 1, memory_bytes=20 * GB),
        backlog("away", 1, memory_bytes=None),
        backlog("embed", 1, kind=ModelKind.EMBEDDING),
        backlog("new", 1, kind=None),
        backlog("done", 0),
    ]
    assert choose_model(waiting, room_bytes=8 * GB, capability="chat").reason == (
        "large: it takes 20.0 GB of the 8.0 GB there are; away: it is not on this host; "
        "embed: it is no model for chat; new: nobody has published what it is"
    )


@pytest.mark.parametrize(
    ("kind", "tags", "capability", "able"),
    [
        (ModelKind.CHAT, (), "chat", True),
        (ModelKind.BASE, (), "chat", True),  # completion suites
        (ModelKind.EMBEDDING, ("judge",), "chat", False),
        (ModelKind.EMBEDDING, (), "embedding", True),
        (ModelKind.CHAT, ("embedding",), "embedding", False),
        (ModelKind.CHAT, ("judge",), "judge", True),
        (ModelKind.CHAT, (), "judge", False),
        (ModelKind.EMBEDDING, (), None, True),
        (None, (), None, False),
    ],
)
def test_capabilities(kind: ModelKind | None, tags: tuple[str, ...], capability: Capability | None, able: bool) -> None:
    """Embedding models never chat, and the other way round; judges are chosen by their tag."""
    assert has_capability(kind, tags, capability) is able
