"""Splits: by subject, the same whatever the order, machine or process, and as steady as they say."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.cohort.healthy import TEMPLATES, healthy_report
from brain3d.cohort.splits import (
    RATIOS,
    check_ratios,
    hashed_splits,
    joined_stratum,
    person_of,
    published_splits,
    published_stratum,
    side_stratum,
    stratified_splits,
)
from brain3d.reports import parse_findings
from brain3d.scans import InputError

NAMES = st.text("abcdefgh0123456789", min_size=1, max_size=6)
STRATA = st.dictionaries(NAMES, st.sampled_from(["left", "right", "both", "healthy"]), min_size=1, max_size=80)


@given(STRATA, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_subjects_makes_no_difference(
    strata: dict[str, str], seed: int, shuffler: random.Random
) -> None:
    items = list(strata.items())
    shuffler.shuffle(items)
    assert stratified_splits(dict(items), RATIOS, seed) == stratified_splits(strata, RATIOS, seed)
    names = [name for name, _ in items]
    assert hashed_splits(names, RATIOS, seed) == hashed_splits(list(strata), RATIOS, seed)


@given(STRATA, st.integers(0, 5))
def test_every_subject_is_in_one_split_at_the_ratios_of_its_stratum(strata: dict[str, str], seed: int) -> None:
    splits = stratified_splits(strata, RATIOS, seed)
    assert set(splits) == set(strata)
    for name, size in Counter(strata.values()).items():
        counts = Counter(splits[subject] for subject, stratum in strata.items() if stratum == name)
        if size >= 3:
            assert min(counts[split] for split in ("train", "validation", "test")) >= 1
            assert abs(counts["train"] - 0.7 * size) <= 1.2
            assert abs(counts["test"] - 0.2 * size) <= 1.2
    if len(strata) >= 3 and len(set(strata.values())) == 1:
        assert set(splits.values()) == {"train", "validation", "test"}


@given(STRATA, st.integers(0, 5), NAMES)
def test_one_more_subject_moves_few_or_none(strata: dict[str, str], seed: int, name: str) -> None:
    new = f"new{name}"
    before, after = (hashed_splits(names, RATIOS, seed) for names in ([*strata], [*strata, new]))
    assert all(before[subject] == after[subject] for subject in strata)
    more = {**{f"{stratum}{index}": stratum for stratum in set(strata.values()) for index in range(3)}, **strata}
    first = stratified_splits(more, RATIOS, seed)
    second = stratified_splits({**more, new: "left"}, RATIOS, seed)
    moved = [(more[subject], first[subject], second[subject]) for subject in more if first[subject] != second[subject]]
    assert {stratum for stratum, _, _ in moved} <= {"left"}
    if sum(stratum == "left" for stratum in more.values()) >= 3:
        assert len(moved) <= 2
        assert len(set(moved)) == len(moved)


def test_hashed_splits_are_near_their_ratios() -> None:
    counts = Counter(hashed_splits([f"s{index}" for index in range(2000)], RATIOS, 0).values())
    assert counts["train"] == pytest.approx(1400, abs=80)
    assert counts["test"] == pytest.approx(400, abs=70)


def test_the_same_in_another_process() -> None:
    strata = {f"s{index}": ("left", "right")[index % 2] for index in range(40)}
    code = (
        "from brain3d.cohort.splits import *\nfrom brain3d.cohort.healthy import healthy_report\n"
        f"print(stratified_splits({strata!r}, RATIOS, 3), published_splits({strata!r}, 42), healthy_report('a', 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = (stratified_splits(strata, RATIOS, 3), published_splits(strata, 42), healthy_report("a", 1))
    assert done.stdout.strip() == " ".join(map(str, here))


def test_the_published_procedure_is_random_seed_and_shuffle() -> None:
    paths = {"left": [f"l{index}" for index in range(13)], "none": [f"n{index}" for index in range(4)]}
    strata = {path: name for name, found in paths.items() for path in found}
    random.seed(42)
    wanted = {}
    for found in paths.values():
        shuffled = list(found)
        random.shuffle(shuffled)
        n_train, n_validation = max(1, int(0.7 * len(found))), max(1, int(0.1 * len(found)))
        for index, path in enumerate(shuffled):
            wanted[path] = "train" if index < n_train else "validation" if index < n_train + n_validation else "test"
    assert published_splits(strata, 42) == wanted
    assert Counter(wanted.values()) == {"train": 11, "validation": 2, "test": 4}


@pytest.mark.parametrize(
    ("text", "stratum"),
    [
        ("Bilateral lesions, the left larger.", "bilateral"),
        ("A lesion of the left lobe, edema on the right.", "bilateral"),
        ("The LEFT lobe.", "left"),
        ("The right lobe.", "right"),
        ("A brightly lit cleft.", "unknown"),
        ("Both hemispheres are involved.", "bilateral"),
    ],
)
def test_published_strata(text: str, stratum: str) -> None:
    assert published_stratum(text, healthy=False) == stratum
    assert published_stratum(text, healthy=True) == "none"


def test_strata_by_the_side_that_the_parser_reads() -> None:
    assert side_stratum("A lesion in the left frontal lobe. Edema reaches the right side.", False) == "left"
    assert side_stratum("Lesions in both frontal lobes.", None) == "both"
    assert side_stratum("No lesion is seen.", None) == "healthy"
    assert side_stratum("No lesion is seen.", False) == "unknown"
    assert joined_stratum(["left", "healthy", "unknown"]) == "left"
    assert joined_stratum(["left", "right"]) == "both"
    assert joined_stratum(["healthy", "healthy"]) == "healthy"


@given(st.text("abc019", min_size=1, max_size=8), st.text("xyz12", min_size=1, max_size=4))
def test_one_person_by_any_name(label: str, session: str) -> None:
    assert person_of(f"sub-{label}") == person_of(label.upper()) == person_of(f"sub-{label}_ses-{session}")


def test_a_subject_that_is_called_after_a_session_stays_itself() -> None:
    assert person_of("BraTS20_Training_001") != person_of("BraTS20_Training_002")
    assert person_of("sub-01") != person_of("sub-1")


@pytest.mark.parametrize("ratios", [(0, 50, 50), (101, -2, 1), (0.5, 0.5), (float("nan"), 1, 1)])
def test_ratios_that_are_none(ratios: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="ratios: give three numbers"):
        check_ratios(ratios)


@pytest.mark.parametrize(
    ("ratios", "total"), [((70, 10, 10), "90"), ((0.7, 0.2, 0.2), "1.1"), ((7, 1, 2), "10"), ((70, 0.1, 0.2), "70.3")]
)
def test_ratios_that_do_not_add_up_are_refused(ratios: tuple[float, ...], total: str) -> None:
    with pytest.raises(InputError, match=f"they add up to {total}; give percentages"):
        check_ratios(ratios)


@pytest.mark.parametrize(
    "ratios", [(70, 10, 20), (0.7, 0.1, 0.2), (33.3, 33.3, 33.3), (0.333, 0.333, 0.333), (1, 0, 0)]
)
def test_shares_and_percentages_add_up_to_one(ratios: tuple[float, ...]) -> None:
    found = check_ratios(ratios)
    assert sum(found) == pytest.approx(1, abs=1e-12)
    assert found == pytest.approx([ratio / sum(ratios) for ratio in ratios])


@settings(max_examples=30)
@given(STRATA)
def test_a_split_that_is_not_wanted_stays_empty(strata: dict[str, str]) -> None:
    splits = stratified_splits(strata, check_ratios((80, 0, 20)), 0)
    assert "validation" not in splits.values()


def test_templates_are_read_as_healthy_and_all_are_used() -> None:
    for template in TEMPLATES:
        assert parse_findings(template).normal, template
    drawn = Counter(healthy_report(f"sub-{index}", 0) for index in range(300))
    assert set(drawn) == set(TEMPLATES)
    assert healthy_report("sub-1", 0) == healthy_report("sub-1", 0)
