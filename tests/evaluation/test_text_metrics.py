"""Text metrics against the implementations that the field trusts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU

from brain3d.evaluation.bleu import corpus_family, sentence_family
from brain3d.evaluation.cider import cider_family, words
from brain3d.evaluation.measures import MISSING, Answers, Cases, Family
from brain3d.evaluation.rouge import longest_common, overlap_family, positions, subsequence_family

REFERENCES = [
    "A lesion is seen in the left frontal lobe, with high signal. There is mild edema around the lesion.",
    "No focal lesion is seen. The ventricles are not compressed.",
    "Multiple lesions in both hemispheres; marked oedema, 3.5 cm, with necrotic cores!",
    "The lateral ventricle is compressed (severely).",
]
CANDIDATES = [
    "A lesion is seen in the right frontal lobe with high signal. Severe edema surrounds the lesion.",
    "The brain is normal.",
    "lesion edema necrosis compression",
    "The lateral ventricle is compressed (severely).",
]
WORD = st.sampled_from(
    ["the", "lesion", "lesions", "edema", "left", "Left", "ventricles", "compressed", "(3.5", "no,", "é"]
)
TEXT = st.lists(WORD, min_size=1, max_size=14).map(" ".join)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5)


def laid_out(pairs: list[tuple[str, str]]) -> tuple[list[str], Cases, Answers]:
    texts = [text for pair in pairs for text in pair]
    count = len(pairs)
    nothing = np.full(count, MISSING)
    cases = Cases(np.arange(count) * 2, nothing, nothing)
    return texts, cases, Answers(np.arange(count) * 2 + 1, nothing)


def per_case(family: Family, index: int, cases: Cases, answers: Answers) -> list[float]:
    rows = family.rows(cases, answers)[index]
    assert (rows[:, 1] == 1).all()
    return rows[:, 0].tolist()


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@settings(deadline=None)
@given(pairs=PAIRS)
def test_sentence_bleu_is_nltks(order: int, pairs: list[tuple[str, str]]) -> None:
    texts, cases, answers = laid_out(pairs)
    weights = (1 / order,) * order
    smooth = SmoothingFunction().method1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = [
            sentence_bleu([a.lower().split()], b.lower().split(), weights=weights, smoothing_function=smooth)
            for a, b in pairs
        ]
    assert per_case(sentence_family(texts), order - 1, cases, answers) == pytest.approx(wanted, abs=1e-12)


@settings(deadline=None)
@given(pairs=PAIRS)
def test_corpus_bleu_is_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    texts, cases, answers = laid_out(pairs)
    family = corpus_family(texts)
    found = float(family.measures[0].value(family.rows(cases, answers)[0].sum(axis=0)))
    wanted = BLEU().corpus_score([b for _, b in pairs], [[a for a, _ in pairs]]).score / 100
    assert found == pytest.approx(wanted, abs=1e-9)


@settings(deadline=None)
@given(pairs=PAIRS)
def test_rouge_is_rouge_scores(pairs: list[tuple[str, str]]) -> None:
    texts, cases, answers = laid_out(pairs)
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    wanted = [scorer.score(a, b) for a, b in pairs]
    overlap, subsequence = overlap_family(texts), subsequence_family(texts)
    for family, index, name in ((overlap, 0, "rouge1"), (overlap, 1, "rouge2"), (subsequence, 0, "rougeL")):
        found = per_case(family, index, cases, answers)
        assert found == pytest.approx([item[name].fmeasure for item in wanted], abs=1e-12)


def test_on_reports_all_agree_with_their_libraries() -> None:
    pairs = list(zip(REFERENCES, CANDIDATES, strict=True))
    for check in (test_corpus_bleu_is_sacrebleus, test_rouge_is_rouge_scores):
        check.hypothesis.inner_test(pairs)  # type: ignore[attr-defined]
    for order in (1, 2, 3, 4):
        test_sentence_bleu_is_nltks.hypothesis.inner_test(order, pairs)  # type: ignore[attr-defined]


@settings(deadline=None)
@given(first=st.lists(st.integers(0, 4), max_size=30), second=st.lists(st.integers(0, 4), max_size=30))
def test_longest_common_subsequence_is_that_of_the_table(first: list[int], second: list[int]) -> None:
    row = [0] * (len(second) + 1)
    for a in first:
        last = row
        row = [0]
        for j, b in enumerate(second):
            row.append(last[j] + 1 if a == b else max(last[j + 1], row[j]))
    assert longest_common(positions(first), len(first), second) == row[-1]


def cider_of(pairs: list[tuple[str, str]]) -> list[list[float]]:
    texts, cases, answers = laid_out(pairs)
    family = cider_family([words(text) for text in texts], cases.reference)
    return [per_case(family, index, cases, answers) for index in (0, 1)]


def test_cider_d_has_the_values_of_pycocoevalcap() -> None:
    """pycocoevalcap 1.2 (`cider/cider.py`, which computes CIDEr-D) gave these figures for these texts."""
    pairs = [
        (
            "a lesion is seen in the left frontal lobe with high signal",
            "a lesion is seen in the right frontal lobe with high signal",
        ),
        ("there is mild edema around the lesion", "there is severe edema around the lesion lesion lesion"),
        ("no focal lesion is seen and the ventricles are normal", "the brain is normal"),
        (
            "a lesion is seen in the right temporal lobe with marked edema",
            "a lesion is seen in the right temporal lobe with marked edema",
        ),
    ]
    assert cider_of(pairs)[1] == pytest.approx([6.0971804418, 4.1406805554, 0.4361633521, 10.0], abs=1e-9)


def test_cider_of_the_reference_itself_is_ten_and_of_other_words_zero() -> None:
    same = cider_of([(text, text) for text in REFERENCES])
    assert same[0] == pytest.approx([10.0] * 4)
    assert same[1] == pytest.approx([10.0] * 4)
    assert cider_of([(text, "quite another story here") for text in REFERENCES])[0] == [0.0] * 4


def test_cider_forgives_repetition_that_cider_d_does_not() -> None:
    plain, clipped = cider_of(
        [*zip(REFERENCES, REFERENCES, strict=True), (REFERENCES[0], REFERENCES[0] + " lesion" * 9)]
    )
    assert clipped[-1] < plain[-1] - 1


def test_a_case_without_an_answer_scores_zero_and_counts() -> None:
    texts, cases, answers = laid_out([(REFERENCES[0], CANDIDATES[0])])
    failed = Answers(np.array([MISSING]), answers.mirrored)
    families = (
        sentence_family(texts),
        overlap_family(texts),
        subsequence_family(texts),
        cider_family([words(text) for text in texts], cases.reference),
    )
    for family in families:
        assert all(rows.tolist() == [[0.0, 1.0]] for rows in family.rows(cases, failed))
    corpus = corpus_family(texts)
    assert float(corpus.measures[0].value(corpus.rows(cases, failed)[0].sum(axis=0))) == 0.0
