"""Scoring pairs: the scores' JSON, the trivial baselines, skill, comparison, page, on a small cohort of texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.evaluation.comparing import compare_scores, read_scores
from brain3d.evaluation.measures import Measure, ratio
from brain3d.evaluation.page import score_page
from brain3d.evaluation.pairs import Pair, read_pairs
from brain3d.evaluation.scoring import Scores, read_and_score, score_pairs, scores_json, scores_schema
from brain3d.evaluation.trivial import MOST_CONSTANTS, NAMED_CONSTANTS, candidate_texts, derangement, skill
from brain3d.reports import mirror_text, parse_findings
from brain3d.scans import InputError

NORMAL = "No focal lesion is seen."
DEGREES = ("no", "mild", "moderate", "severe")
RESAMPLES = 200


def reference(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return NORMAL
    side, lobe = rng.choice(("left", "right")), rng.choice(("frontal", "parietal", "temporal", "occipital"))
    edema, necrosis = rng.choice(DEGREES), rng.choice(DEGREES)
    return f"A lesion is seen in the {side} {lobe} lobe. There is {edema} edema. There is {necrosis} necrosis."


def cohort(count: int = 40, change: Callable[[int, str], str | None] = lambda _, text: text) -> list[Pair]:
    rng = random.Random(5)
    texts = [reference(rng) for _ in range(count)]
    return [Pair(f"case-{i}", i + 1, text, change(i, text)) for i, text in enumerate(texts)]


def scored(pairs: list[Pair], **options: Any) -> Scores:
    return score_pairs(pairs, resamples=RESAMPLES, **options)


@pytest.fixture(scope="module")
def perfect() -> Scores:
    return scored(cohort())


@pytest.fixture(scope="module")
def mirrored() -> Scores:
    return scored(cohort(change=lambda _, text: mirror_text(text)))


def test_the_scores_are_in_the_form_of_the_schema(perfect: Scores) -> None:
    content = json.loads(scores_json(perfect.content))
    jsonschema.validate(content, scores_schema())
    assert content == json.loads(json.dumps(perfect.content))
    content["metrics"]["findings/side"]["n"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, scores_schema())


def test_what_every_metric_has(perfect: Scores) -> None:
    metrics = perfect.content["metrics"]
    published = {f"published/{name}" for name in ("laterality_f1", "anatomy_f1", "pathology_f1", "healthy_specificity")}
    assert published <= set(metrics)
    for item in metrics.values():
        assert {"value", "ci95", "n", "trivial", "skill"} <= set(item)
        assert set(item["trivial"]) == {"constant", "shuffled", "nearest"}
        assert 0 < item["n"] <= 40


def test_published_metrics_are_named_where_no_case_has_a_say() -> None:
    ill = [pair for pair in cohort() if pair.reference != NORMAL]
    scores = scored(ill)
    item = scores.content["metrics"]["published/healthy_specificity"]
    assert (item["value"], item["n"], item["skill"], item["marks"]) == (None, 0, None, [])
    jsonschema.validate(json.loads(scores_json(scores.content)), scores_schema())
    assert "findings/specificity" in {entry["name"] for entry in scores.content["absent"]}
    assert score_page(ill, scores).endswith("</html>\n")


def test_the_reference_itself_is_perfect(perfect: Scores) -> None:
    for name, item in perfect.content["metrics"].items():
        short = 0.01 if name.startswith("text/meteor") else 1e-9  # its penalty is never quite nothing
        assert item["value"] == pytest.approx(item["best_possible"], abs=short), name
        assert item["skill"] is None or item["skill"] == pytest.approx(1.0, abs=max(short, 1e-6)), name


def test_mirrored_reports_have_the_wrong_side_and_all_else(mirrored: Scores) -> None:
    values = {name: item["value"] for name, item in mirrored.content["metrics"].items()}
    assert values["findings/side"] == 0.0
    assert values["findings/side_wrong"] == 1.0
    assert values["findings/regions_f1"] == values["findings/edema_kappa"] == values["published/anatomy_f1"] == 1.0
    assert values["text/bleu_1"] > 0.8
    assert mirrored.content["metrics"]["findings/side"]["marks"] == ["no skill"]


def test_the_same_seed_gives_the_same_scores_and_another_one_other_intervals(perfect: Scores) -> None:
    noisy = cohort(change=lambda i, text: text if i % 3 else mirror_text(text))
    first, again, other = (scored(noisy, seed=seed).content for seed in (1, 1, 2))
    assert first == again
    assert first["metrics"]["findings/side"]["value"] == other["metrics"]["findings/side"]["value"]
    assert first["metrics"]["text/rouge_l"]["ci95"] != other["metrics"]["text/rouge_l"]["ci95"]


def test_the_constant_of_the_pathology_words_shows_what_the_metric_is_worth() -> None:
    pairs = [
        Pair(str(i), i, f"A lesion is seen in the {side} frontal lobe with edema, necrosis and compression.", "nothing")
        for i, side in enumerate(["left", "right"] * 10)
    ]
    train = [Pair(f"t{pair.id}", pair.line, pair.reference, None) for pair in pairs]
    item = scored(pairs, training=train).content["metrics"]["published/pathology_f1"]
    assert item["trivial"]["constant"] == 1.0
    assert item["constant_report"] == NAMED_CONSTANTS[0]
    assert item["marks"] == ["no skill", "saturated"]
    assert item["skill"] is None


def test_without_training_references_no_case_gets_its_own_report_back() -> None:
    """Every report is of its own words: the constant can share none with a case but by being its own report."""
    words = [
        "alpha bravo charlie delta",
        "echo foxtrot golf hotel",
        "india juliett kilo lima",
        "mike november oscar papa",
    ]
    pairs = [Pair(text[:3], i, text, text) for i, text in enumerate(words)]
    metrics = scored(pairs).content["metrics"]
    assert metrics["text/rouge_1"]["trivial"]["constant"] == 0.0
    train = [Pair(name, 1, words[0], None) for name in ("s", "t")]
    assert scored(pairs, training=train).content["metrics"]["text/rouge_1"]["trivial"]["constant"] == 0.25


def test_failed_cases_are_wrong_and_not_absent() -> None:
    pairs = cohort(change=lambda i, text: None if i % 2 else text)
    content = scored(pairs).content
    for name in ("findings/side", "published/laterality_f1", "text/bleu_4", "findings/sensitivity"):
        item = content["metrics"][name]
        whole = scored(cohort()).content["metrics"][name] if name == "findings/side" else None
        assert 0.3 < item["value"] < 0.7
        assert whole is None or whole["n"] == item["n"]


def test_nearest_needs_one_for_every_case() -> None:
    pairs = cohort(20)
    near = [Pair(p.id, p.line, p.reference, p.candidate, nearest=p.reference) for p in pairs]
    assert scored(near).content["metrics"]["text/rouge_l"]["trivial"]["nearest"] == pytest.approx(1.0)
    assert scored([*near[:-1], pairs[-1]]).content["metrics"]["text/rouge_l"]["trivial"]["nearest"] is None


def test_constants_are_at_most_200_with_the_named_ones() -> None:
    texts = [f"A lesion in the left frontal lobe, number {i}." for i in range(500)]
    found = candidate_texts(texts, [parse_findings(text) for text in texts], seed=0)
    assert len(found) == len(set(found)) == MOST_CONSTANTS
    assert set(NAMED_CONSTANTS) <= set(found)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(0, 5))
def test_a_derangement_leaves_nothing_in_place(count: int, seed: int) -> None:
    order = derangement(count, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(count))
    assert (order != np.arange(count)).all()


def test_skill() -> None:
    more = Measure("m", "m", ratio)
    found = skill(more, 0.8, {"constant": 0.6, "shuffled": 0.5, "nearest": float("nan")})
    assert found is not None
    assert (found.best, found.value, found.saturated) == ("constant", pytest.approx(0.5), False)
    less = Measure("m", "m", ratio, 0.0, higher=False)
    found = skill(less, 0.1, {"constant": 0.2, "shuffled": 0.5})
    assert found is not None
    assert (found.best, found.value) == ("constant", pytest.approx(0.5))
    unbounded = skill(Measure("m", "m", ratio, None), 3.0, {"constant": 1.0})
    assert unbounded is not None
    assert (unbounded.value, unbounded.saturated) == (None, False)
    saturated = skill(more, 0.97, {"constant": 0.99})
    assert saturated is not None
    assert saturated.saturated
    assert saturated.value == pytest.approx(-2.0)
    assert skill(more, 0.5, {}) is None


def saved(scores: Scores, path: Path) -> dict[str, Any]:
    path.write_bytes(scores_json(scores.content))
    return read_scores(path)


def test_comparing_two_runs(perfect: Scores, mirrored: Scores, tmp_path: Path) -> None:
    found = compare_scores(saved(mirrored, tmp_path / "a.json"), saved(perfect, tmp_path / "b.json"), resamples=2000)
    side = found["metrics"]["findings/side"]
    assert (side["difference"], side["ci95"], side["better"]) == (1.0, [1.0, 1.0], "B")
    assert found["metrics"]["findings/side_wrong"]["better"] == "B"
    same = found["metrics"]["findings/regions_f1"]
    assert (same["difference"], same["p"], same["better"]) == (0.0, 1.0, None)
    assert found["cases"] == 40


def test_only_cases_with_the_same_reference_are_compared(perfect: Scores, tmp_path: Path) -> None:
    other = cohort()
    other = [Pair("new", 1, "x y", "x"), Pair(other[1].id, 2, "Another reference.", "x"), *other[2:]]
    found = compare_scores(saved(perfect, tmp_path / "a.json"), saved(scored(other), tmp_path / "b.json"), resamples=50)
    assert [found[key] for key in ("cases", "only_a", "only_b", "other_reference")] == [38, 1, 1, 1]
    with pytest.raises(InputError, match="no case"):
        compare_scores(saved(perfect, tmp_path / "a.json"), saved(scored(other[:2]), tmp_path / "c.json"))


ROWS = '"rows": {"ids": ["x"], "references": ["y"], "metrics": {"a": [[1, 1]]}}'
NO_SCORES = [
    *("", "[]", "{}", "[" * 100_000),
    '{"schema_version": "1.0", "rows": {}}',
    '{"schema_version": "9"}',
    f'{{"schema_version": "1.0", "metrics": {{"a": {{}}}}, {ROWS}}}',
    f'{{"schema_version": "1.0", "metrics": {{}}, {ROWS}}}',
]


@pytest.mark.parametrize("content", NO_SCORES, ids=range(len(NO_SCORES)))
def test_what_is_no_scores_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_scores(path)


class Page(HTMLParser):
    """Tags, what they load, and whether they are closed in order."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_one_file_with_everything_escaped(tmp_path: Path) -> None:
    nasty = '<script>alert("x")</script> left <img src=http://evil/x> & lesion'
    lines = [
        {"id": '"><script>1</script>', "reference": "A lesion in the right frontal lobe. " + nasty, "candidate": nasty},
        {"id": "b", "reference": "A lesion in the right frontal lobe.", "candidate": None},
        {"id": "c", "reference": NORMAL, "candidate": NORMAL},
        {"id": "c", "reference": NORMAL, "candidate": NORMAL},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n")
    pairs, scores = read_and_score(path, resamples=RESAMPLES)
    page = Page()
    html = score_page(pairs, scores)
    page.feed(html)
    page.close()
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert page.sources == []
    assert "<script>" not in html
    text = " ".join(page.words)
    for wanted in ('alert("x")', "duplicate_id", "invalid_json", "failed", "Worst cases", "METEOR", "constant"):
        assert wanted in text


@pytest.mark.parametrize("text", ["A lesion.", "", "Nothing that is read.", NORMAL])
def test_references_without_a_region_or_a_lesion_are_scored(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"id": "a", "reference": text or "?", "candidate": text}))
    _, scores = read_and_score(path, resamples=RESAMPLES)
    jsonschema.validate(json.loads(scores_json(scores.content)), scores_schema())


def test_the_page_says_what_is_wrong_where_the_findings_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"id": "a", "reference": "A lesion.", "candidate": "A lesion.", "healthy": True}))
    html = score_page(*read_and_score(path, resamples=RESAMPLES))
    assert "the candidate contradicts itself, or whether the case is marked as ill or healthy" in html


def test_pairs_of_a_file_are_scored_with_its_training_references(tmp_path: Path) -> None:
    pairs, train = tmp_path / "p.jsonl", tmp_path / "t.jsonl"
    for path, name in ((pairs, "p"), (train, "t")):
        rng = random.Random(name)
        texts = [reference(rng) for _ in range(12)]
        path.write_text(
            "\n".join(json.dumps({"id": f"{name}{i}", "reference": t, "candidate": t}) for i, t in enumerate(texts))
        )
    found, scores = read_and_score(pairs, train, resamples=RESAMPLES)
    assert len(found) == len(read_pairs(pairs)[0]) == 12
    assert "12 training references" in scores.content["settings"]["constant"]
