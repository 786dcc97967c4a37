"""A real model against itself requantised: fidelity falls from Q8_0 to Q4_K_M to Q2_K, measured together and apart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightjar.config.load_settings import LoadSettings
from nightjar.jobs.fidelity import Deviations
from nightjar.pipeline.report.data.fidelity_numbers import FidelityNumbers, fidelity_numbers
from nightjar.scripts.fidelity import ReadMaterial, TextSource, read_material
from nightjar.workers.engine.device import Device, this_device
from nightjar.workers.fidelity import comparison
from nightjar.workers.fidelity.comparison import LoadComparison
from nightjar.workers.fidelity.loads import FidelityLoad
from nightjar.workers.fidelity.passages import WindowLayout, places_of
from nightjar.workers.library.find import ModelEntry
from nightjar.workers.library.inspect import read_facts
from tests.requantised import requantise
from tests.smollm2 import smollm2

pytestmark = pytest.mark.timeout(900)  # half a minute where nothing else runs
KINDS = ("Q8_0", "Q4_K_M", "Q2_K")
TEXT = """The lighthouse at Arden was built in 1807, when the river still carried ships as far as the mill. Its keeper
wrote down the weather every evening, and in winter he read aloud to the fishermen who could not go out. Nobody knows
who took his books when the lamp was put out for the last time, but a teacher found two of them in the school's cellar
a hundred years later, wrapped in oilcloth, and so we know that it snowed on the second of May in 1816."""


def a_load(path: Path, name: str, **settings: object) -> FidelityLoad:
    load = LoadSettings.model_validate({"threads": 1, **settings})
    entry = ModelEntry(name=name, path=path, load=load, parameters={}, template=None, reasoning=None)
    return FidelityLoad(label=name, entry=entry, facts=read_facts(path, name))


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[FidelityLoad]]:
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.mktemp("quantised")) as folder:
        files = {kind: requantise(smollm2(), kind, Path(folder) / f"{kind}.gguf") for kind in KINDS}
        yield [a_load(smollm2(), "reference"), *(a_load(path, kind) for kind, path in files.items())]


@pytest.fixture(scope="module")
def material(loads: list[FidelityLoad]) -> ReadMaterial:
    source = TextSource(name="text", texts=(TEXT,), window=20, layout=WindowLayout.NIGHTJAR, limit=None)
    return read_material(loads, source)


def compared(
    material: ReadMaterial, loads: list[FidelityLoad], *, apart: bool = False, device: Device | None = None
) -> tuple[dict[str, FidelityNumbers], dict[str, Deviations], tuple[str, ...]]:
    work = LoadComparison(
        passages=material.passages,
        device=device or this_device("none"),
        apart=apart,
        seed=1,
        folder=Path(tempfile.gettempdir()),
    )
    found = work.compare(loads[0], loads[1:])
    measured = {side.label: deviations for side, deviations in found.candidates}
    places = places_of(material.passages)
    summed = {label: fidelity_numbers(each, places, material.unit) for label, each in measured.items()}
    return summed, measured, () if found.not_together is None else (found.not_together,)


@pytest.fixture(scope="module")
def exact(
    material: ReadMaterial, loads: list[FidelityLoad]
) -> tuple[dict[str, FidelityNumbers], dict[str, Deviations]]:
    again = FidelityLoad(label="again", entry=loads[0].entry, facts=loads[0].facts)
    numbers, measured, notices = compared(material, [*loads, again])
    assert notices == ()
    return numbers, measured


def test_fidelity_falls_in_the_order_of_the_quantisations(
    exact: tuple[dict[str, FidelityNumbers], dict[str, Deviations]],
) -> None:
    """By divergence with intervals that do not meet, by likeliest tokens and by perplexity; itself is at 0."""
    numbers, _ = exact
    again = numbers.pop("again")
    assert (again.kld.value, again.same_top.value, again.kld_999.value) == (0, 1, 0)
    intervals = [numbers[kind].kld.interval for kind in KINDS]
    assert all(interval is not None for interval in intervals)
    ends = [(interval.low, interval.high) for interval in intervals if interval is not None]
    assert ends[0][1] < ends[1][0]
    assert ends[1][1] < ends[2][0]
    tops = [numbers[kind].same_top.value for kind in KINDS]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] > tops[2]
    assert 0.001 < numbers["Q8_0"].kld.value < 0.03
    assert 0.2 < numbers["Q2_K"].kld.value < 2
    assert numbers["Q2_K"].perplexity_ratio.value > 1.1
    assert abs(numbers["Q8_0"].perplexity_ratio.value - 1) < 0.05


def test_apart_the_estimates_are_within_their_error(
    material: ReadMaterial,
    loads: list[FidelityLoad],
    exact: tuple[dict[str, FidelityNumbers], dict[str, Deviations]],
) -> None:
    numbers, measured = exact
    estimated, rows, _ = compared(material, loads, apart=True)
    for kind in KINDS:
        one, two = estimated[kind], numbers[kind]
        assert one.kld_error is not None
        assert not one.exact
        assert abs(one.kld.value - two.kld.value) < 4 * one.kld_error + 1e-5
        assert one.kld_error < 0.05 * two.kld.value
        assert one.kld_median.value == pytest.approx(two.kld_median.value, rel=0.1)
        assert (rows[kind].same_top == measured[kind].same_top).all()
        assert one.perplexity == pytest.approx(two.perplexity, rel=1e-6)


def test_what_does_not_fit_together_is_measured_apart_and_says_so(
    material: ReadMaterial, loads: list[FidelityLoad], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "fit_together", lambda *_: False)
    numbers, _, [notice] = compared(material, loads[:2])
    assert not numbers["Q8_0"].exact
    assert notice.startswith("Q8_0 and reference do not fit")
    assert "estimates" in notice


def test_a_small_device_holds_one_but_not_two(loads: list[FidelityLoad]) -> None:
    """By the files' own sizes: 98 MB and 145 MB of weights, with caches and the rows that are held."""
    from nightjar.workers.fidelity.loads import fit_together

    def fits(free: int) -> bool:
        return fit_together(loads[0], loads[1], 512, Device(name="small", is_cpu=True, free_bytes=free))

    assert fits(2 * 2**30)
    assert not fits(400 * 2**20)


def test_cache_types_and_flash_attention_are_loads_of_one_file(
    material: ReadMaterial, loads: list[FidelityLoad]
) -> None:
    """Their distances are far below a quantisation's, and not 0."""
    file = loads[0].entry.path
    others = [
        a_load(file, "no flash", flash_attention=False),
        a_load(file, "q4 cache", cache_type_k="q4_0", cache_type_v="q4_0"),
    ]
    numbers, _, _ = compared(material, [loads[0], *others])
    assert 0 < numbers["no flash"].kld.value < 0.01
    assert numbers["no flash"].kld.value < numbers["q4 cache"].kld.value
