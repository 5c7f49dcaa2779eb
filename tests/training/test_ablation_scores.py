"""The statistics of an ablation's table, on made-up scores whose answer is known."""

import numpy as np
import pytest

from brain3d.evaluation.measures import Measure, mean_rows, ratio
from brain3d.evaluation.pairs import Pair
from brain3d.training.ablation.arms import CENTRE
from brain3d.training.ablation.figure import draw
from brain3d.training.ablation.scores import FURTHER, MAIN, Rows, gather, statistics
from brain3d.training.ablation.table import table, verdict

SEEDS, CASES = 3, 200
SIDE = "findings/side"


def rows_of(right: np.ndarray) -> np.ndarray:
    """(seeds, N) of right and wrong -> rows (seeds, N, 2)."""
    return np.stack([mean_rows(each.astype(float), np.ones(len(each), bool)) for each in right])


def answers(chance: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((SEEDS, CASES)) < chance


def scored(arms: dict[str, np.ndarray], name: str = SIDE) -> dict:
    measure = Measure(name, "side", ratio)
    trivial = {kind: rows_of(answers(0.4, 99)[:1])[0] for kind in ("constant", "shuffled")}
    rows = Rows(measure, {arm: rows_of(right) for arm, right in arms.items()}, trivial)
    return statistics([rows], resamples=2000)["metrics"][name]


def test_an_arm_is_the_mean_of_its_seeds_within_an_interval_over_phantoms() -> None:
    right = answers(0.7, 1)
    found = scored({CENTRE.name: right})["arms"][CENTRE.name]
    assert found["value"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["seeds"] == pytest.approx(right.mean(axis=1), abs=1e-6)
    low, high = found["ci95"]
    spread = 1.96 * right.mean(axis=0).std() / CASES**0.5
    assert (low, high) == pytest.approx((right.mean() - spread, right.mean() + spread), abs=0.008)


def test_an_equal_arm_is_not_shown_to_differ() -> None:
    right = answers(0.7, 1)
    difference = scored({CENTRE.name: right, "no-lora": right})["arms"]["no-lora"]["difference"]
    assert difference["value"] == 0
    assert difference["ci95"] == [0, 0]
    assert difference["p_holm"] == 1
    assert verdict(difference) == "not shown"


@pytest.mark.parametrize(("chance", "word"), [(0.85, "better"), (0.5, "worse")])
def test_an_arm_that_is_better_or_worse_from_every_seed_is_shown_to_be(chance: float, word: str) -> None:
    found = scored({CENTRE.name: answers(0.7, 1), "no-lora": answers(chance, 2)})
    difference = found["arms"]["no-lora"]["difference"]
    assert difference["ci95"][0] * difference["ci95"][1] > 0
    assert verdict(difference) == word
    assert verdict(difference, higher=False) != word


def test_one_lucky_seed_shows_nothing_however_small_its_p() -> None:
    centre, other = answers(0.7, 1), answers(0.7, 1)
    other[0] = True
    other[1, centre[1].argmax()] = False
    difference = scored({CENTRE.name: centre, "no-lora": other})["arms"]["no-lora"]["difference"]
    assert difference["p_holm"] < 0.01
    assert verdict(difference) == "not shown"


def test_differences_are_paired_by_phantom() -> None:
    """Hard phantoms are hard for both: the difference is known far better than either score."""
    hard = np.random.default_rng(4).random(CASES) < 0.5
    centre, other = np.tile(hard, (SEEDS, 1)), np.tile(hard, (SEEDS, 1))
    other[:, np.flatnonzero(~hard)[:10]] = True
    arms = scored({CENTRE.name: centre, "no-lora": other})["arms"]
    own, between = (high - low for low, high in (arms["no-lora"]["ci95"], arms["no-lora"]["difference"]["ci95"]))
    assert between < own / 2
    assert arms["no-lora"]["difference"]["value"] == pytest.approx(10 / CASES, abs=1e-6)


def test_p_is_corrected_over_all_arms_and_metrics_of_a_kind_and_chance_alone_is_not_found() -> None:
    arms = {CENTRE.name: answers(0.7, 0), **{f"arm-{i}": answers(0.7, 1 + i) for i in range(20)}}
    trivial = {kind: rows_of(answers(0.4, 99)[:1])[0] for kind in ("constant", "shuffled")}
    rows = [
        Rows(Measure(name, name, ratio), {arm: rows_of(right) for arm, right in arms.items()}, trivial)
        for name in (*MAIN, FURTHER[0])
    ]
    metrics = statistics(rows, resamples=2000)["metrics"]
    each = [[arm["difference"] for arm in metrics[name]["arms"].values() if "difference" in arm] for name in metrics]
    main, further = [d for found in each[:-1] for d in found], each[-1]
    assert len(main) == 20 * len(MAIN)
    smallest = min(main, key=lambda d: d["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, len(main) * smallest["p"]))
    least = min(further, key=lambda d: d["p"])
    assert least["p_holm"] == pytest.approx(min(1, len(further) * least["p"]))
    assert all(verdict(d) == "not shown" for d in main)


def pairs_of(texts: list[str]) -> list[Pair]:
    references = ["There is a lesion in the left frontal lobe.", "No focal lesion is seen."] * 2
    return [Pair(f"case-{i}", i, references[i], text, mirrored=text) for i, text in enumerate(texts)]


def test_reports_become_rows_beside_a_constant_that_was_chosen_on_training_reports() -> None:
    perfect = pairs_of(["There is a lesion in the left frontal lobe.", "No focal lesion is seen."] * 2)
    healthy = pairs_of(["No focal lesion is seen."] * 4)
    training = [Pair(f"t-{i}", i, pair.reference, None) for i, pair in enumerate(perfect)]
    rows = gather([(CENTRE.name, perfect), (CENTRE.name, perfect), ("no-lora", healthy)], training, seed=0)
    found = statistics([rows[name] for name in MAIN], resamples=200)["metrics"]
    assert found[SIDE]["arms"][CENTRE.name]["value"] == 1
    assert found[SIDE]["arms"]["no-lora"]["value"] == 0
    assert found[SIDE]["n"] == 2
    assert found["findings/balanced_accuracy"]["arms"]["no-lora"]["value"] == 0.5
    assert found["findings/balanced_accuracy"]["trivial"]["constant"]["value"] == 0.5
    assert found[SIDE]["trivial"]["constant"]["value"] == 1, "all ill training reports say left"


def test_table_and_figure_say_better_and_worse() -> None:
    arms = {CENTRE.name: answers(0.7, 1), "no-lora": answers(0.4, 2), "perceiver": answers(0.95, 3)}
    result = {
        "cases": CASES,
        "centre": CENTRE.name,
        "resamples": 2000,
        "main": [SIDE],
        "steps": dict.fromkeys(arms, 10),
        "runs": [{"arm": arm, "seed": seed, "cpu_seconds": 60.0} for arm in arms for seed in range(SEEDS)],
        "metrics": {SIDE: scored(arms)},
    }
    lines = {line.split(" | ")[0]: line for line in table(result).splitlines() if "p < 0.001" in line}
    assert "**worse**" in lines["| without LoRA (2B)"]
    assert "**better**" in lines["| perceiver compression"]
    colours = {colour for _, colour in draw(result).getcolors(maxcolors=2**20)}
    assert {(21, 128, 61), (185, 28, 28), (29, 78, 216)} <= colours
