"""Numbers of fidelity as people read them, for the table in the terminal and on the page. Pure."""

from __future__ import annotations

from collections.abc import Callable

from nightjar.config.counting import plural
from nightjar.pipeline.report.data import numbers as fmt
from nightjar.pipeline.report.data.fidelity import FidelityResult, Material
from nightjar.pipeline.report.data.fidelity_numbers import Divergence, Estimate, FidelityNumbers, Stretch

SIGNS = ("+", "\u2212")
"""What a signed number begins with: a dash after one is read as another."""
TO_SIGNED = "\u00a0to\u00a0"
"""Between two of them, on one line."""


def nats(value: float) -> str:
    """A divergence: three significant digits, whatever its size; below a millionth of a nat it is rounding."""
    if value < 1e-6:
        return "0" if value == 0 else "<0.000001"
    return f"{value:#.3g}".rstrip(".") if value >= 1e-4 else f"{value:.1e}"


def share(value: float) -> str:
    """A share with a tenth of a per cent: 99.5 % of the likeliest tokens are not 100 %."""
    return f"{100 * value:.1f}\u202f%"


def four_places(value: float) -> str:
    """A ratio of perplexities."""
    return f"{value:.4f}"


def points(value: float) -> str:
    """A difference of probabilities in percentage points, with its sign."""
    text = f"{100 * value:+.2f}".replace("-", "\u2212")
    return f"{text if text[1:] != '0.00' else '0.00'}\u202fpp"


def ends(estimate: Estimate, show: Callable[[float], str]) -> str:
    """The interval's two ends, with their unit once; an empty text without one, and where both look the same."""
    interval = estimate.interval
    if interval is None or show(interval.low) == show(interval.high):
        return ""
    low, high = show(interval.low), show(interval.high)
    bare, unit = low.partition("\u202f")[::2]
    low = bare if unit and high.endswith(unit) else low
    return f"{low}{TO_SIGNED if low[0] in SIGNS else fmt.TO}{high}"


def approximate(numbers: FidelityNumbers, text: str) -> str:
    """Marked where it is an approximation."""
    return text if numbers.exact or text.startswith("<") else f"\u2248 {text}"


def over(numbers: FidelityNumbers) -> str:
    """ "1,536 tokens of 6 texts" """
    unit = plural(numbers.texts, numbers.unit)
    return f"{fmt.count_of(numbers.tokens, 'token')} of {fmt.whole(numbers.texts)} {unit}"


def first_difference(divergence: Divergence) -> str:
    """After how many tokens half of the stretches have another likeliest token."""
    if divergence.median is None:
        return f"in under half of {fmt.whole(divergence.spans)}"
    return f"after {fmt.count_of(divergence.median, 'token')}"


def stretch_words(stretch: Stretch) -> str:
    """ "64 to 255" """
    return f"{stretch.low:,} on" if stretch.high is None else f"{stretch.low:,} to {stretch.high - 1:,}"


def material_words(material: Material) -> str:
    """What was read, in a sentence."""
    if material.kind == "run":
        return f"The replies of {material.replies_of} in run {material.name}, each after its own conversation."
    begun = "each begun with the beginning-of-text token" if material.bos else "without a beginning-of-text token"
    scored = "every token after the first" if material.score_from == 1 else "the second half of each"
    return f"{material.name}, in windows of {fmt.count_of(material.window or 0, 'token')}, {begun}; scored is {scored}."


def answer_words(result: FidelityResult) -> str:
    """What it comes to: the nearest candidate and the farthest."""
    measured = [(row.label, row.numbers) for row in result.candidates if row.numbers is not None]
    ordered = sorted(measured, key=lambda pair: pair[1].kld.value)
    if len(ordered) == 1:
        return f"{ordered[0][0]} against {result.reference.label}: {_said(ordered[0][1])}."
    (nearest, near), (farthest, far) = ordered[0], ordered[-1]
    return f"Nearest to {result.reference.label} is {nearest}: {_said(near)}. Farthest is {farthest}: {_said(far)}."


def _said(numbers: FidelityNumbers) -> str:
    """ "divergence 0.0066 nats, the same likeliest token in 95.1 % of the places" """
    divergence = approximate(numbers, nats(numbers.kld.value))
    return f"divergence {divergence} nats, the same likeliest token in {share(numbers.same_top.value)} of the places"


def about_words(result: FidelityResult) -> str:
    """What was read, and how much of it was scored."""
    scored = next((over(row.numbers) for row in result.candidates if row.numbers is not None), "")
    return f"{material_words(result.material)} Scored: {scored}."


def front_words(result: FidelityResult) -> str:
    """What the front is over."""
    source = (
        f"Checks, judge, tokens/s, memory and energy are those of run {result.costs_from}. "
        if result.costs_from
        else ""
    )
    measures = ", ".join(result.front_of)
    return (
        f"{source}On the front is a load that no other is as good as in all of {measures}, and better than in one: "
        "only those are worth choosing between."
    )
