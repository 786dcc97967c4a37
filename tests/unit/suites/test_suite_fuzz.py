"""Whatever a suite file holds, reading it gives a suite or a SuiteError of one paragraph; nothing else escapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import SuiteError
from pipeline.suites.catalogue import bundled
from pipeline.suites.read import read_suite

NATIVE = bundled()["checkable"].read_bytes()
MT_BENCH = "".join(
    json.dumps({"question_id": n, "category": "math", "turns": ["a", "b"], "reference": ["c"]}) + "\n" for n in range(3)
).encode()
STORYBENCH = json.dumps({"A": [{"name": "n", "text": "t"}, {"text": "u"}], "B": [{"text": "v"}]}).encode()
pieces = st.sampled_from(
    [b"", b":", b"-", b"\n", b"\n  ", b'"', b"'", b"{", b"}}", b"[", b"]", b"{{x}}", b"{{documents.x}}", b"&a ", b"*a",
     b"!!set ", b"null", b"~", b"1e999", b"99999999999999999999", b"\xff", b"\x00", b"\xed\xa0\x80", b"\\ud800", b"\t",
     b"? ", b"<<: ", b"--- ", b"%TAG", b"|", b">", b"\xe2\x80\xa8", b"#", b",", b"temperature: -1", b"id: id"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "good", "kind"),
    [("s.yaml", NATIVE, None), ("q.jsonl", MT_BENCH, "mt-bench"), ("p.json", STORYBENCH, "storybench")],
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), pieces | st.binary(max_size=6)), min_size=1, max_size=4
    )
)
def test_a_damaged_file_gives_a_suite_or_a_suite_error(
    tmp_path: Path, name: str, good: bytes, kind: str | None, edits: list[tuple[float, int, bytes]]
) -> None:
    damaged = good
    for place, removed, put in edits:
        at = int(place * len(damaged))
        damaged = damaged[:at] + put + damaged[at + removed :]
    file = tmp_path / name
    file.write_bytes(damaged)
    said = "fine"
    try:
        read_suite(file, kind)
    except SuiteError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
