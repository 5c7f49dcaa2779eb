"""The lexicon: its file, words added to it, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain3d.reports import REGIONS, Lexicon, default_lexicon, load_lexicon, parse_findings, read_report
from brain3d.reports.patterns import phrase
from brain3d.scans import InputError


def written(folder: Path, text: str) -> Path:
    path = folder / "words.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_word_of_a_region_is_read_as_that_region() -> None:
    lexicon = default_lexicon()
    for region in REGIONS:
        for words in lexicon.words(f"regions.{region}"):
            told = words.replace("(s)", "").replace("(e)", "").lstrip("*").replace("*", "x")
            (lesion,) = parse_findings(f"A lesion of the left {told} is seen.").lesions
            assert (lesion.side, lesion.regions) == ("left", (region,)), words


def test_every_noun_of_a_lesion_states_one() -> None:
    lexicon = default_lexicon()
    for noun in (*lexicon.words("lesions.nouns"), *lexicon.words("lesions.weak_nouns")):
        told = noun.replace("(s)", "").replace("*", "white")
        (lesion,) = parse_findings(f"The {told} in the left insula.").lesions
        assert (lesion.side, lesion.regions) == ("left", ("insula",)), noun


def test_every_degree_is_read() -> None:
    lexicon = default_lexicon()
    for degree in ("mild", "moderate", "severe"):
        for word in lexicon.words(f"degrees.{degree}"):
            (lesion,) = parse_findings(f"A lesion in the left insula. There is {word} edema.").lesions
            assert lesion.edema == degree, word


@pytest.mark.parametrize(
    ("words", "fits", "fits_not"),
    [
        ("tumour(s)", ["tumour", "tumours"], ["tumourous"]),
        ("thalam*", ["thalamus", "thalamic"], ["hypothalamus"]),
        ("basal ganglia", ["basal ganglia", "basal-ganglia"], ["basalganglia"]),
        ("abnormal * signal", ["abnormal high signal"], ["abnormal signal"]),
        ("broca's area", ["broca's area"], ["brocas area"]),
    ],
)
def test_how_words_are_written(words: str, fits: list[str], fits_not: list[str]) -> None:
    import re

    assert all(re.fullmatch(phrase(words), text) for text in fits)
    assert not any(re.fullmatch(phrase(words), text) for text in fits_not)


def test_words_of_ones_own_are_added(tmp_path: Path) -> None:
    text = "A dysplasia of the left foot area, with deutlich edema."
    assert not parse_findings(text).lesions
    lexicon = load_lexicon(
        written(
            tmp_path,
            "version: clinic\nregions:\n  frontal: [foot area]\nlesions:\n  nouns: [dysplasia]\n"
            "degrees:\n  severe: [deutlich]\nstems:\n  rolando: frontal\n",
        )
    )
    (lesion,) = parse_findings(text, lexicon).lesions
    assert (lesion.side, lesion.regions, lesion.edema) == ("left", ("frontal",), "severe")
    assert parse_findings("A left rolandoparietal dysplasia.", lexicon).lesions[0].regions == ("frontal", "parietal")
    assert lexicon.version == f"{default_lexicon().version}+clinic"
    assert not parse_findings(text).lesions


def test_more_words_leave_the_reading_of_others_as_it_was(tmp_path: Path) -> None:
    lexicon = load_lexicon(written(tmp_path, "hedges: [conceivable]\n"))
    text = "A lesion in the left frontal lobe, with edema."
    assert read_report(text, lexicon) == read_report(text)
    assert read_report("A conceivable lesion in the left insula.", lexicon).lesions[0].certainty == "possible"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("regions: {frontal: [no]}", "put it in quotes"),
        ("regions: {frontale: [foot]}", "near it are: regions.frontal"),
        ("regions: {frontal: foot}", "give a list of words"),
        ("lesions: [cyst]", "no list is called"),
        ("hedges: ['a (b']", "lower-case words"),
        ("hedges: [Conceivable]", "lower-case words"),
        ("hedges: ['*']", "lower-case words"),
        ("hedges: ['.*']", "lower-case words"),
        ("stems: {fronto: forehead}", "is no region"),
        ("stems: {'.': frontal}", "first part of a word"),
        ("- a\n- b\n", "give lists of words"),
        ("a: [", "not a YAML file"),
        ("\x00", "not a YAML file"),
        ("!!python/object:os.system x", "not a YAML file"),
    ],
)
def test_a_file_that_is_no_lexicon_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=told) as refusal:
        load_lexicon(path)
    assert str(refusal.value).startswith(f"--lexicon {path}: ")
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_lexicon(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_lexicon(tmp_path)


def test_a_lexicon_is_plain_data() -> None:
    assert isinstance(default_lexicon(), Lexicon)
    assert default_lexicon() == default_lexicon()
    assert hash(default_lexicon()) == hash(default_lexicon())
