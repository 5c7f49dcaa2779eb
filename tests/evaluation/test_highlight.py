"""The words of two reports, coloured by what the other one has: exactly those that the findings were read from."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.evaluation.highlight import coloured, differences
from brain3d.reports import parse_findings, read_report


def marked(own: str, other: str) -> dict[str, set[str]]:
    """What is coloured in one report beside another, by verdict."""
    shown = coloured(own, read_report(own), parse_findings(other))
    found: dict[str, set[str]] = {"agree": set(), "contradict": set(), "missing": set()}
    for verdict, words in re.findall(r'<mark class="(\w+)"[^>]*>([^<]*)</mark>', shown):
        found[verdict].add(unescape(words))
    assert unescape(re.sub(r"<[^>]*>", "", shown)) == own
    return found


def test_words_are_coloured_by_what_the_other_report_has() -> None:
    own = "A lesion in the left frontal lobe and insula with mild edema. Necrosis is seen."
    other = "A right frontal lesion. There is no edema."
    assert marked(own, other) == {
        "agree": {"lesion", "frontal"},
        "contradict": {"left", "mild edema"},
        "missing": {"insula", "Necrosis"},
    }
    assert marked(own, own) == {
        "agree": {"lesion", "left", "frontal", "insula", "mild edema", "Necrosis"},
        "contradict": set(),
        "missing": set(),
    }
    assert differences(read_report(own), read_report(other))[0] == "side right instead of left"
    assert differences(read_report(own), read_report(own)) == []


def test_only_what_was_read_is_coloured() -> None:
    """The edema's place, the ventricle's side and the verb "left" are no findings of the lesion's."""
    own = (
        "A lesion in the left insula has left the right thalamus intact. Edema extends to the right occipital lobe. "
        "The right lateral ventricle is free."
    )
    words = set.union(*marked(own, "A lesion in the right thalamus and the right occipital lobe.").values())
    assert words == {"lesion", "left", "insula", "Edema"}


def test_a_normal_report_contradicts_a_lesion_and_an_empty_one_lacks_it() -> None:
    assert marked("A lesion.", "There is no lesion.")["contradict"] == {"lesion"}
    assert marked("A lesion.", "The scan was read.")["missing"] == {"lesion"}
    assert marked("There is no lesion.", "A lesion.")["contradict"] == {"There is no lesion"}
    assert marked("There is no lesion.", "No lesion is seen.")["agree"] == {"There is no lesion"}


def test_a_sign_without_its_degree_lacks_it() -> None:
    own, other = "A lesion with severe edema.", "A lesion with edema."
    assert marked(own, other)["missing"] == {"severe edema"}
    assert marked(other, own)["agree"] == {"lesion", "edema"}
    assert differences(read_report(own), read_report(other)) == ["edema without a degree instead of severe"]


def test_where_one_report_has_no_lesion_nothing_else_is_compared() -> None:
    ill, well, vague = (read_report(text) for text in ("A left insular lesion, no edema.", "No lesion.", "A scan."))
    assert differences(ill, well) == ["the lesion is missing"]
    assert differences(well, ill) == ["a lesion that the reference does not have"]
    assert differences(well, vague) == ["that there is no lesion is not stated"]
    assert differences(well, well) == []


def test_a_denied_sign_that_the_other_report_leaves_out_is_named() -> None:
    wanted, said = read_report("A left insular lesion without necrosis."), read_report("A left insular lesion.")
    assert differences(wanted, said) == ["necrosis not stated instead of none"]


def test_the_same_regions_on_exchanged_sides_are_named() -> None:
    one, other = "in the left frontal lobe and the right insula.", "in the right frontal lobe and the left insula."
    found = differences(read_report(f"Lesions {one}"), read_report(f"Lesions {other}"))
    assert found == ["the same side and regions over all, but not the same region on the same side"]


def test_a_signal_of_another_kind_is_named() -> None:
    wanted, said = read_report("A hyperintense left insular lesion."), read_report("A hypointense left insular lesion.")
    assert differences(wanted, said) == ["signal low instead of high"]


def test_a_word_of_two_findings_says_both_in_the_colour_of_the_worse() -> None:
    """A hyperintensity is a lesion and its signal; the other report has the one and not the other."""
    own = "A hyperintensity in the left insula."
    shown = coloured(own, read_report(own), parse_findings("A hypointense lesion in the left insula."))
    assert '<mark class="contradict" title="signal: high; a lesion">hyperintensity</mark>' in shown


@settings(deadline=None)
@given(st.text(max_size=80), st.sampled_from(["A left frontal lesion with edema & <b>.", "No lesion.", ""]))
def test_colouring_keeps_the_text(before: str, rest: str) -> None:
    marked(before + rest, "A right frontal lesion.")
