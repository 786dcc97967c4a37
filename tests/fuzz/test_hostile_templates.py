"""Chat templates come with model files: none may escape its sandbox, run forever, or fill the memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.amount import examples
from tests.fuzz.child import Child

pytestmark = pytest.mark.timeout(1800)

LIMIT_S = 60.0
CANARY = "canary-7c1f"
ATOMS = (
    "messages",
    "messages[0]",
    "messages[0].content",
    "''",
    "'a'",
    "[]",
    "{}",
    "()",
    "1",
    "0",
    "-1",
    "none",
    "true",
    "9999999",
    "2**31",
    "1e308",
    "range(99999)",
    "namespace()",
    "dict",
    "cycler",
    "joiner",
    "raise_exception",
    "strftime_now",
    "bos_token",
    "self",
    "loop",
    "caller",
    "varargs",
    "config",
    "request",
    "missing",
    "x",
    "n.x",
    "self._TemplateReference__context",
    "messages.__class__",
    "''.__class__.__mro__[1].__subclasses__()",
    "cycler.__init__.__globals__.os.environ",
    "namespace.__init__.__globals__",
    "dict.__base__",
    "(x).mro",
    "lipsum.__globals__['os']",
    "joiner.__init__.__globals__",
    "strftime_now.__globals__",
    "x.__getitem__",
    "(x,)",
    "(n.x, n.x)",
    "{(x,): x}",
    "strftime_now('%c' * 99999)",
    "strftime_now('%999999d')",
    "'a'.join(x | map('string'))",
    "('ab' * 99999).strip(x)",
)
FILTERS = (
    "",
    "|list",
    "|join",
    "|join(x)",
    "|replace('', x)",
    "|center(10**9)",
    "|indent(99999)",
    "|tojson",
    "|string",
    "|length",
    "|attr('__class__')",
    "|map(attribute='__class__')|list",
    "|selectattr('__class__')|list",
    "|sort",
    "|batch(10**8)|list",
    "|slice(10**8)|list",
    "|sum(start=[])",
    "|format(x)",
    "|wordwrap(1)",
    "|urlize",
    "|xmlattr",
    "|groupby('__class__')",
    "|pprint",
    "|reverse|list",
    "|first",
    "|unique|list",
    "|dictsort",
    "|round(99)",
    "|round(-9999999)",
    "|round(9999999, 'ceil')",
    "|replace(new=x, old='')",
    "|map('string')|join(x)",
    "|tojson(separators=(x, x))",
    "|trim(x)",
    "|safe",
)
OPERATORS = ("+", "-", "*", "**", "//", "%", "~", "==", "in", "and", "is", "<")
atoms = st.builds("{}{}".format, st.sampled_from(ATOMS), st.sampled_from(FILTERS))
expressions = st.recursive(
    atoms, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner), max_leaves=5
)
statements = st.recursive(
    st.one_of(
        st.builds("{{{{ {} }}}}".format, expressions),
        st.builds("{{% set x = {} %}}".format, expressions),
        st.builds("{{% set n.x = {} %}}".format, expressions),
        st.sampled_from(
            ["{% break %}", "{% include 'x' %}", "{% import 'os' as os %}", "{% extends x %}", "{{ f(x) }}"]
        ),
    ),
    lambda inner: st.one_of(
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, expressions, inner),
        st.builds("{{% for x in {} recursive %}}{{{{ loop(x) }}}}{}{{% endfor %}}".format, expressions, inner),
        st.builds("{{% if {} %}}{}{{% else %}}y{{% endif %}}".format, expressions, inner),
        st.builds("{{% macro f(x) %}}{}{{{{ f(x) }}}}{{% endmacro %}}".format, inner),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
        st.builds("{{% set x %}}{}{{% endset %}}".format, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Child]:
    os.environ["CANARY"] = CANARY
    child = Child("tests.fuzz.renderer")
    yield child
    child.close()
    del os.environ["CANARY"]


def test_templates_stay_in_their_sandbox(renderer: Child) -> None:
    """A text of bounded size, or an error of one paragraph; nothing of the process shows in the text."""
    ends: dict[str, int] = {}

    @settings(max_examples=examples(150), deadline=None)
    @given(statements)
    def each(body: str) -> None:
        answer = renderer.ask(json.dumps("{% set n = namespace(x='a') %}" + body), LIMIT_S)
        ends[answer["end"]] = ends.get(answer["end"], 0) + 1
        assert answer["end"] in ("rendered", "refused"), (body, answer)
        assert CANARY not in answer["said"]
        assert not re.search(r"<(class|module|function|built-in|bound method) ", answer["said"]), (body, answer)
        assert len(answer["said"]) <= 8_000_100

    each()
    print(ends)
    assert min(ends.get("rendered", 0), ends.get("refused", 0)) > 0
