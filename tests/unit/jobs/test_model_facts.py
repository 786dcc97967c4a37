"""Model facts in their two forms: nested as they are stored, flat as scripts read them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nightjar.jobs.models import FileFacts, ModelFacts, ModelKind, ModelSource, flat_facts, nest_file_facts

FILE: dict[str, Any] = {
    "file_name": "m.gguf",
    "file_bytes": 9,
    "architecture": "llama",
    "parameters": 7,
    "quantisation": "Q8_0",
    "vocabulary": 5,
    "context_train": 512,
    "layers": 2,
    "licence": "MIT",
    "adapters": [{"file_name": "a.gguf", "digest": "b" * 64, "scale": 0.5}],
}
OTHER: dict[str, Any] = {
    "name": "m",
    "digest": "d" * 64,
    "kind": "chat",
    "template_digest": "t" * 64,
    "sampling_defaults": {"top_k": 3},
    "registry_parameters": {"top_p": 0.5},
}


@pytest.mark.parametrize(
    ("stored", "nested"),
    [
        (OTHER | FILE, {**OTHER, "source": "file", "file": FILE}),  # as every version before facts had a source
        (OTHER | {"file": FILE, "source": "file"}, {**OTHER, "source": "file", "file": FILE}),  # nested already
        (OTHER | {"file": FILE}, {**OTHER, "file": FILE}),  # nested, its source by default
        (OTHER | {"file": None, "source": "remote"}, {**OTHER, "source": "remote", "file": None}),
        (OTHER | dict.fromkeys(FILE), {**OTHER, "source": "remote", "file": None}),  # a remote model's, flat
    ],
)
def test_either_form_becomes_the_nested_one(stored: dict[str, Any], nested: dict[str, Any]) -> None:
    before = dict(stored)
    assert nest_file_facts(stored) == nested
    assert nest_file_facts(nest_file_facts(stored)) == nested
    assert stored == before
    ModelFacts.model_validate(nested)


def test_facts_that_lack_what_came_later_are_read() -> None:
    """Licence and adapters were added to a form that had been stored without them."""
    old = {key: value for key, value in (OTHER | FILE).items() if key not in ("licence", "adapters")}
    assert ModelFacts.model_validate(nest_file_facts(old)).file_facts.adapters == ()


def test_the_flat_form_keeps_every_key() -> None:
    """Of a file and of a remote model; and it comes back the same."""
    local = ModelFacts.model_validate(nest_file_facts(OTHER | FILE))
    remote = ModelFacts.model_validate(OTHER | {"source": "remote"})
    assert flat_facts(local) == OTHER | FILE
    assert flat_facts(remote) == OTHER | dict.fromkeys(FILE)
    for facts in (local, remote):
        assert ModelFacts.model_validate(nest_file_facts(flat_facts(facts))) == facts


@pytest.mark.parametrize("source", ModelSource)
def test_a_file_has_file_facts_and_a_remote_model_has_none(source: ModelSource) -> None:
    wrong = None if source is ModelSource.FILE else FileFacts.model_validate(FILE)
    with pytest.raises(ValidationError, match="only then"):
        ModelFacts(name="m", source=source, digest="d" * 64, kind=ModelKind.CHAT, file=wrong)
