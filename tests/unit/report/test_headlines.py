"""Forty result sets and the exact headline of each, read one by one: none claims a gap that was not tested."""

from __future__ import annotations

import pytest

from nightjar.jobs.sequences import Sequence
from nightjar.jobs.states import JobStatus
from nightjar.pipeline.report.data.answer import answer
from nightjar.pipeline.report.data.run_report import RunReport
from tests import factories

TURNS = 4
# What it shows; model -> turns of four that pass, sequence by sequence, "-" for a dead job; the headline.
HEADLINES: list[tuple[str, dict[str, str], str]] = [
    (
        "one model",
        {"a": "444444"},
        "a: checks 100\u202f% over 6 sequences, 95\u202f% interval 48\u2060\u2013\u2060100\u202f%.",
    ),
    (
        "one model, too few for an interval",
        {"a": "4410"},
        "a: checks 56\u202f% over 4 sequences, too few sequences for an interval.",
    ),
    (
        "one model, some missing",
        {"a": "44444444444-"},
        "No model can be ranked by checks: a (8% missing).",
    ),
    (
        "one model, a fifth missing",
        {"a": "44444444--"},
        "No model can be ranked by checks: a (20% missing).",
    ),
    (
        "two models, one sequence",
        {"a": "4", "b": "0"},
        "By checks, a (100\u202f%) and b (0\u202f%) can't be separated over 1 sequence. At least 6 "
        "sequences are needed to compare at all.",
    ),
    (
        "four sequences are never enough",
        {"a": "4444", "b": "0000"},
        "By checks, a (100\u202f%) and b (0\u202f%) can't be separated over 4 sequences. At least 6 "
        "sequences are needed to compare at all.",
    ),
    (
        "five, however clear",
        {"a": "44444", "b": "00000"},
        "By checks, a (100\u202f%) and b (0\u202f%) can't be separated over 5 sequences. At least 6 "
        "sequences are needed to compare at all.",
    ),
    (
        "six, all one way",
        {"a": "444444", "b": "000000"},
        "By checks, a (100\u202f%) beats b (0\u202f%).",
    ),
    (
        "six, five one way and a tie",
        {"a": "444444", "b": "400000"},
        "By checks, a (100\u202f%) and b (17\u202f%) can't be separated over 6 sequences. A true "
        "difference of about 58.6\u202fpoints would be detected with 80\u202f% power here, a smaller one "
        "less often.",
    ),
    (
        "all the same",
        {"a": "2222222222", "b": "2222222222"},
        "By checks, a (50\u202f%) and b (50\u202f%) can't be separated over 10 sequences.",
    ),
    (
        "all at the best",
        {"a": "44444444444444444444", "b": "44444444444444444444"},
        "By checks, a (100\u202f%) and b (100\u202f%) can't be separated over 20 sequences.",
    ),
    (
        "one failure in twenty at the ceiling",
        {"a": "44444444444444444444", "b": "44444444444444444440"},
        "By checks, a (100\u202f%) and b (95\u202f%) can't be separated over 20 sequences. A true "
        "difference of about 14.8\u202fpoints would be detected with 80\u202f% power here, a smaller one "
        "less often.",
    ),
    (
        "a clear difference",
        {"a": "44442344443344444433", "b": "20101203100100012001"},
        "By checks, a (91\u202f%) beats b (19\u202f%).",
    ),
    (
        "a small difference",
        {"a": "43332330233422122323", "b": "42331224214343433330"},
        "By checks, b (68\u202f%) and a (62\u202f%) can't be separated over 20 sequences. A true "
        "difference of about 27.1\u202fpoints would be detected with 80\u202f% power here, a smaller one "
        "less often.",
    ),
    (
        "a small difference on many",
        {
            "a": "3324343232344333432423343333243143334443433222444444443343242334133433",
            "b": "2222312322043332233112334334132422323321212222224034444334211333313031",
        },
        "By checks, a (79\u202f%) beats b (60\u202f%).",
    ),
    (
        "names in the other order",
        {"b": "44442344443344444433", "a": "20101203100100012001"},
        "By checks, b (91\u202f%) beats a (19\u202f%).",
    ),
    (
        "half up, half down",
        {"a": "40404040404040404040", "b": "04040404040404040404"},
        "By checks, a (50\u202f%) and b (50\u202f%) can't be separated over 20 sequences. A true "
        "difference of about 67.8\u202fpoints would be detected with 80\u202f% power here, a smaller one "
        "less often.",
    ),
    (
        "one sequence against the others",
        {"a": "444444444440", "b": "000000000004"},
        "By checks, a (92\u202f%) beats b (8\u202f%).",
    ),
    (
        "dust of one turn",
        {"a": "444444444444", "b": "444444444443"},
        "By checks, a (100\u202f%) and b (98\u202f%) can't be separated over 12 sequences. A true "
        "difference of about 6.4\u202fpoints would be detected with 80\u202f% power here, a smaller one "
        "less often.",
    ),
    (
        "three, one apart from both",
        {"a": "44443344444434443434", "b": "33443344323434344334", "c": "02100001011022101001"},
        "By checks, a (94\u202f%) and b (85\u202f%) beat c (16\u202f%). a and b can't be separated over "
        "20 sequences. A true difference of about 13.1\u202fpoints would be detected with 80\u202f% "
        "power here, a smaller one less often.",
    ),
    (
        "three, two behind",
        {"a": "44334424444444444444", "b": "01120330103020214123", "c": "12022121220102011222"},
        "By checks, a (95\u202f%) beats b (36\u202f%) and c (32\u202f%). b and c can't be separated over 20 sequences.",
    ),
    (
        "three in a chain",
        {"a": "34433113414444422313", "b": "12232142123333332222", "c": "21231110031301321021"},
        "By checks, a (72\u202f%) and b (57\u202f%) beat c (35\u202f%). a and b can't be separated over "
        "20 sequences. A true difference of about 26.5\u202fpoints would be detected with 80\u202f% "
        "power here, a smaller one less often.",
    ),
    (
        "three, all apart",
        {
            "a": "444444443444444444444444444444",
            "b": "213222222222323233222431133342",
            "c": "000000100000002000000100000010",
        },
        "By checks, a (99\u202f%) beats b (58\u202f%) and c (4\u202f%). b beats c.",
    ),
    (
        "three, none apart",
        {"a": "034332211224", "b": "012332323322", "c": "213222323310"},
        "By checks, a (56\u202f%), b (54\u202f%) and c (50\u202f%) can't be separated over 12 sequences. "
        "A true difference of about 47.6\u202fpoints would be detected with 80\u202f% power here, a "
        "smaller one less often.",
    ),
    (
        "three over four sequences",
        {"a": "4444", "b": "2222", "c": "0000"},
        "By checks, a (100\u202f%), b (50\u202f%) and c (0\u202f%) can't be separated over 4 sequences. "
        "At least 6 sequences are needed to compare at all.",
    ),
    (
        "four, one leads",
        {
            "a": "243444333444443434444434444344",
            "b": "124320222332421031024213113022",
            "c": "121212313014202232420422133132",
            "d": "213113241332333131422131223213",
        },
        "By checks, a (92\u202f%) beats d (55\u202f%), c (49\u202f%) and b (48\u202f%). Not separated "
        "over 30 sequences: d and c; d and b; c and b.",
    ),
    (
        "four, one trails",
        {
            "a": "443222243224433433342344424324",
            "b": "332332443424344444334423323333",
            "c": "443324443432434343333443324423",
            "d": "001011000121000211023300010010",
        },
        "By checks, c (82\u202f%), b (80\u202f%) and a (78\u202f%) beat d (18\u202f%). Not separated "
        "over 30 sequences: c and b; c and a; b and a. A true difference of about 18.0\u202fpoints would "
        "be detected with 80\u202f% power here, a smaller one less often.",
    ),
    (
        "four, two and two",
        {
            "a": "441424444444224444443444443343",
            "b": "444333433444234333434443344444",
            "c": "110212331001032100112012002110",
            "d": "010010111121320111120012000012",
        },
        "By checks, a (89\u202f%) and b (88\u202f%) beat c (27\u202f%) and d (22\u202f%). Not separated "
        "over 30 sequences: a and b; c and d. A true difference of about 15.7\u202fpoints would be "
        "detected with 80\u202f% power here, a smaller one less often.",
    ),
    (
        "four in a row",
        {
            "a": "4444444444443444444444423444443444444444",
            "b": "1222244314223423324433332332222433434323",
            "c": "1110212221124222314132122221110011122011",
            "d": "1000110121000121100111010110011210102011",
        },
        "By checks, a (97\u202f%) beats b (69\u202f%), c (38\u202f%) and d (18\u202f%). b beats c and d. c beats d.",
    ),
    (
        "four, nothing to tell",
        {"a": "223333223432", "b": "432423301411", "c": "322222133232", "d": "331312122123"},
        "By checks, a (67\u202f%), b (58\u202f%), c (56\u202f%) and d (50\u202f%) can't be separated "
        "over 12 sequences. A true difference of about 51.8\u202fpoints would be detected with 80\u202f% "
        "power here, a smaller one less often.",
    ),
    (
        "five in a chain",
        {
            "a": "44444434344443434343",
            "b": "43332342232333234332",
            "c": "34232323221413232313",
            "d": "34222222011222132312",
            "e": "01211222122302312110",
        },
        "By checks, a (92\u202f%) beats b (71\u202f%), c (61\u202f%), d (49\u202f%) and e (36\u202f%). b "
        "beats d and e. c beats e. Not separated over 20 sequences: b and c; c and d; d and e.",
    ),
    (
        "six of two kinds",
        {
            "a": "44334343434444423434",
            "b": "43344443444444443433",
            "c": "44444334443434434344",
            "d": "01210001000011202110",
            "e": "10001101011111000200",
            "f": "11122001302310100113",
        },
        "By checks, b (92\u202f%), c (92\u202f%) and a (89\u202f%) beat f (29\u202f%), d (16\u202f%) and "
        "e (14\u202f%). 6 pairs can't be separated over 20 sequences: models that share a letter in the "
        "ranking. A true difference of about 19.0\u202fpoints would be detected with 80\u202f% power "
        "here, a smaller one less often.",
    ),
    (
        "a little missing, which cannot turn it",
        {
            "a": "4434443443444444444434434444444434434444",
            "b": "-100113132021112210101011322220222212020",
        },
        "By checks, a (96\u202f%) beats b (32\u202f%).",
    ),
    (
        "a little missing, which could turn it",
        {
            "a": "4444444000000000000000000000000000000000",
            "b": "000000000000000000000000000000000000000-",
        },
        "By checks, a (18\u202f%) and b (0\u202f%) can't be separated over 39 sequences. a is ahead "
        "where nothing is missing, but 1 sequence is incomplete, and the missing replies could change "
        "the result.",
    ),
    (
        "a tenth missing",
        {"a": "42434444334344434442", "b": "--010113011000101220"},
        "By checks: a (89\u202f%). Not ranked: b (10% missing).",
    ),
    (
        "both miss a tenth",
        {"a": "--244424344434444434", "b": "--001110201202101011"},
        "No model can be ranked by checks: a (10% missing), b (10% missing).",
    ),
    (
        "one of three misses a tenth",
        {"a": "44444244434444324444", "b": "--242444334424444441", "c": "02100001101001011200"},
        "By checks, a (92\u202f%) beats c (14\u202f%). Not ranked: b (10% missing).",
    ),
    (
        "one wrote nothing",
        {"a": "4444444444", "b": "----------"},
        "By checks: a (100\u202f%). Not ranked: b (no value).",
    ),
    (
        "nobody wrote anything",
        {"a": "------", "b": "------"},
        "No model can be ranked by checks: a (no value), b (no value).",
    ),
    (
        "one sequence missing on each side",
        {
            "a": "-444444444444444444444444444444444444444",
            "b": "44444444444444444444-4444444444444444444",
        },
        "By checks, a (100\u202f%) and b (100\u202f%) can't be separated over 38 sequences.",
    ),
]


def report_of(models: dict[str, str]) -> RunReport:
    expect = [{"check": "includes", "value": "fox"}]
    turns = [{"prompt": "a", "expect": expect}] * TURNS
    count = len(next(iter(models.values())))
    about = [Sequence.model_validate({"id": f"s{at}", "turns": turns}) for at in range(count)]
    rows = [
        factories.row(sequence, [], model=model, status=JobStatus.DEAD)
        if passed == "-"
        else factories.row(sequence, ["fox"] * int(passed) + ["no"] * (TURNS - int(passed)), model=model)
        for model, pattern in models.items()
        for sequence, passed in zip(about, pattern, strict=True)
    ]
    return factories.report_of(rows, about)


@pytest.mark.parametrize(("shows", "models", "headline"), HEADLINES, ids=[shows for shows, _, _ in HEADLINES])
def test_the_headline_claims_what_was_tested(shows: str, models: dict[str, str], headline: str) -> None:
    assert answer(report_of(models)) == headline
