"""METEOR against NLTK's own function, and the wiring of packages that are not installed here.

The stand-ins have the call signatures and return values of bert-score 0.3.13, radgraph 0.1.18 and green-score (its
repository, 2025), and nothing of what they compute.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import meteor_score

from brain3d.evaluation import optional
from brain3d.evaluation.cider import words
from brain3d.evaluation.measures import MISSING, Answers, Cases
from brain3d.evaluation.optional import NoSynonyms, meteor_scores, meteor_without_synonyms, optional_families
from brain3d.scans import InputError

TEXTS = ["a lesion in the left frontal lobe", "lesions of the left lobe", ""]
VOCABULARY = ("lesion", "lesions", "left", "right", "edema", "edematous", "swelling", "lobe", "lobes", "frontal")
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12)


class Synonyms(NoSynonyms):
    """A WordNet in which fluid is edema."""

    @staticmethod
    def synsets(word: str) -> Any:
        lemmas = [SimpleNamespace(name=lambda: "fluid"), SimpleNamespace(name=lambda: "edema")]
        return [SimpleNamespace(lemmas=lambda: lemmas)] if word in ("fluid", "edema") else []


@settings(deadline=None)
@given(WORDS, WORDS)
def test_meteor_without_synonyms_is_nltks_with_an_empty_wordnet(wanted: list[str], said: list[str]) -> None:
    a, b = " ".join(wanted), " ".join(said)
    expected = meteor_score([words(a)], words(b), stemmer=PorterStemmer(), wordnet=NoSynonyms())
    assert meteor_without_synonyms([a], [b]) == [expected]


def test_meteor_by_hand() -> None:
    """Three of four words in two runs: precision and recall 3/4, penalty (2/3)^3 / 2; the stems of lesion(s) match."""
    (score,) = meteor_without_synonyms(["left frontal big lesion"], ["left frontal small lesions"])
    assert score == pytest.approx(0.75 * (1 - 0.5 * (2 / 3) ** 3))
    assert meteor_without_synonyms(["left frontal lesion"], ["quite another story"]) == [0.0]


def test_meteor_with_synonyms() -> None:
    pair = ["marked fluid in the lobe"], ["marked edema in the lobe"]
    (without,), (within,) = meteor_without_synonyms(*pair), meteor_scores(*pair, Synonyms())
    assert within == pytest.approx(1 - 0.5 * (1 / 5) ** 3)
    assert without < within - 0.1


def test_meteor_without_synonyms_needs_nothing_and_is_always_there() -> None:
    made, absent = optional_families(["a"], [])
    names = [measure.name for family in made for measure in family.measures]
    assert names[0] == "text/meteor_no_synonyms"
    assert ("text/meteor" in names) != ("text/meteor" in {item.name for item in absent})


class BERTScorer:
    """As bert_score's: lists of candidates and references to three tensors."""

    made = 0

    def __init__(
        self, model_type: str | None = None, num_layers: int | None = None, *, lang: str | None = None
    ) -> None:
        assert model_type or lang
        BERTScorer.made += 1

    def score(self, cands: list[str], refs: list[str], verbose: bool = False, batch_size: int = 64) -> Any:
        assert len(cands) == len(refs)
        lengths = np.array([len(text) for text in cands], float), np.array([len(text) for text in refs], float)
        return lengths[0], lengths[1], lengths[0] / lengths[1]


class F1RadGraph:
    """As radgraph's: mean, one reward for each pair, and two lists of annotations."""

    def __init__(self, reward_level: str, model_type: str | None = None) -> None:
        assert reward_level in ("simple", "partial", "complete")

    def __call__(self, refs: list[str], hyps: list[str]) -> Any:
        assert len(refs) == len(hyps)
        rewards = [len(b) / len(a) for a, b in zip(refs, hyps, strict=True)]
        return float(np.mean(rewards)), rewards, [], []


class GREEN:
    """As green_score's: mean, deviation, one score or None for each pair, a summary, a table; it writes a file."""

    folders: ClassVar[list[str]] = []

    def __init__(self, model_name: str, output_dir: str = ".") -> None:
        self.output_dir = output_dir
        GREEN.folders.append(output_dir)

    def __call__(self, refs: list[str], hyps: list[str]) -> Any:
        Path(self.output_dir, "results.csv").write_text(" ".join(refs))
        scores = [len(b) / len(a) if "lesions" in b else None for a, b in zip(refs, hyps, strict=True)]
        return 0.0, 0.0, scores, "summary", None


FAKES = {"bertscore": ("bert_score", BERTScorer), "radgraph": ("radgraph", F1RadGraph), "green": ("green_score", GREEN)}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    loaded = (optional._bertscorer, optional._radgraph_scorer, optional._green_scorer)
    for one in loaded:
        one.cache_clear()
    yield
    for one in loaded:
        one.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module_name, scorer = FAKES[name]
    module = ModuleType(module_name)
    module.__spec__ = ModuleSpec(module_name, None)
    setattr(module, scorer.__name__, scorer)
    monkeypatch.setitem(sys.modules, module_name, module)


@pytest.mark.parametrize("name", sorted(FAKES))
def test_an_extra_scores_candidates_against_references(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each stand-in gives the length of the candidate over that of the reference, so that an exchange would show."""
    install(monkeypatch, name)
    made, absent = optional_families(TEXTS, [name])
    (family,) = [family for family in made if family.measures[0].name == f"extra/{name}"]
    assert "not made for brain MRI" in family.measures[0].title
    assert f"extra/{name}" not in {item.name for item in absent}
    cases = Cases(np.array([0, 0]), np.array([0, 0]), np.full(2, MISSING))
    (rows,) = family.rows(cases, Answers(np.array([1, MISSING]), np.full(2, MISSING)))
    assert rows.tolist() == [[len(TEXTS[1]) / len(TEXTS[0]), 1.0], [0.0, 1.0]]


def test_a_model_is_loaded_once_and_a_pair_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "bertscore")
    before = BERTScorer.made
    family = optional_families(TEXTS, ["bertscore"])[0][-1]
    cases = Cases(np.array([0]), np.array([0]), np.full(1, MISSING))
    for answer in (0, 1, 0):
        family.rows(cases, Answers(np.array([answer]), np.full(1, MISSING)))
    assert BERTScorer.made == before + 1


def test_green_leaves_no_file_here_and_an_unreadable_verdict_is_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, "green")
    monkeypatch.chdir(tmp_path)
    family = optional_families(TEXTS, ["green"])[0][-1]
    cases = Cases(np.array([0]), np.array([0]), np.full(1, MISSING))
    (rows,) = family.rows(cases, Answers(np.array([0]), np.full(1, MISSING)))
    assert rows.tolist() == [[0.0, 1.0]]
    assert list(tmp_path.iterdir()) == []
    assert GREEN.folders[-1] != "."


def test_what_is_not_installed_is_named_and_refused_by_name() -> None:
    _, absent = optional_families(["a"], [])
    assert {item.name for item in absent} >= {"extra/bertscore", "extra/radgraph", "extra/green"}
    assert all("not made for brain MRI" in item.title for item in absent if item.name.startswith("extra/"))
    with pytest.raises(InputError, match="--extra green: needs the package green-score"):
        optional_families(["a"], ["green"])
    with pytest.raises(InputError, match="not a metric"):
        optional_families(["a"], ["rouge"])
