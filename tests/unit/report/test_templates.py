"""Templates read fields of the typed page they are given, and call nothing but macros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, meta

from nightjar.pipeline.report.page.environment import TEMPLATES
from nightjar.pipeline.report.page.page import FidelityPage, Page, TranscriptsPage, TrendPage
from tests.template_reader import Reader

PAGES: Mapping[str, Any] = {
    "report.html": Page,
    "transcripts.html": TranscriptsPage,
    "trend.html": TrendPage,
    "fidelity.html": FidelityPage,
}


@pytest.fixture
def reader() -> Reader:
    return Reader(Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True))


@pytest.mark.parametrize("name", PAGES)
def test_every_name_is_a_field(name: str, reader: Reader) -> None:
    """Through macros, loops and includes; and the page is all that a template is given."""
    template = reader.load(name)
    assert meta.find_undeclared_variables(template) <= {"page"}
    reader.body(template.body, {"page": PAGES[name]})
    assert reader.faults == []
    assert reader.fields_read > 20


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("{{ page.nome }}", "nome is not a field"),
        ("{% for model in page.models %}{{ model.colour }}{% endfor %}", "colour is not a field"),
        ("{{ page.name.upper() }}", "something that is no macro is called"),  # a method of a string
        ("{{ page.name.upper }}", "upper is not a field"),
        ("{{ page.ranking.metric.title }}", "title is not a field"),
        ("{{ show(page.name) }}", "something that is no macro is called"),
        ("{{ report }}", "report is not the page's"),
        ("{% macro row(model) %}{{ model.rank }}{% endmacro %}{{ row(page.models[0]) }}", "rank is not a field"),
    ],
)
def test_what_is_no_field_is_found(source: str, fault: str, reader: Reader) -> None:
    """The check above can fail."""
    reader.read(source, {"page": Page})
    assert any(fault in found for found in reader.faults)
