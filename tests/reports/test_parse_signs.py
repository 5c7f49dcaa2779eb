"""Sentences on edema, necrosis, ventricles or healthy tissue: they add no lesion and move none."""

from __future__ import annotations

import pytest

from brain3d.reports import Findings, mirror_findings, mirror_text, parse_findings

BASE = "The lesion is in the left parietal lobe with high signal. "

# text, ventricular compression
VENTRICLES = [
    ("The right lateral ventricle is squeezed.", "present"),
    ("The right lateral ventricle is pushed.", "present"),
    ("The right lateral ventricle is flattened.", "present"),
    ("The right lateral ventricle is slightly smaller.", "mild"),
    ("The right lateral ventricle is smaller than the left.", "present"),
    ("The right lateral ventricle is under pressure.", "present"),
    ("The right lateral ventricle is enlarged.", "unknown"),
    ("The right ventricle appears asymmetric.", "unknown"),
    ("The right ventricle is invisible.", "unknown"),
    ("The lesion exerts pressure on the right lateral ventricle.", "present"),
    ("The lesion presses on the right lateral ventricle.", "present"),
    ("The lesion pushes the right lateral ventricle.", "present"),
    ("The lesion invades the right lateral ventricle.", "unknown"),
    ("The lesion has an effect on the right lateral ventricle.", "unknown"),
    ("It presses on the right lateral ventricle.", "present"),
    ("Effect on the ventricles: the right lateral ventricle is smaller.", "present"),
    ("The pressure on the right lateral ventricle is mild.", "mild"),
    ("The right lateral ventricle is slightly compressed by a lesion in the right frontal lobe.", "mild"),
    ("The posterior horn of the right ventricle disappears.", "unknown"),
    ("The ventricles are asymmetric, with the right lateral ventricle larger.", "unknown"),
    ("Right lateral ventricle: enlarged.", "unknown"),
    ("On the right, the lateral ventricle is small.", "unknown"),
]

# text, edema, necrosis
TISSUE = [
    ("The white matter of the right frontal lobe shows perilesional high signal.", "unknown", "unknown"),
    ("The white matter of the right frontal lobe shows peri-lesional high signal.", "unknown", "unknown"),
    ("The surrounding high signal area extends to the right frontal lobe.", "unknown", "unknown"),
    ("High signal is seen around the lesion in the right frontal lobe.", "unknown", "unknown"),
    ("The tissue around the lesion in the right frontal lobe is swollen.", "present", "unknown"),
    ("The edematous area extends to the right frontal lobe. It reaches the right insula.", "present", "unknown"),
    ("There is a liquefied area in the right temporal lobe.", "unknown", "present"),
    ("There is cystic change in the right temporal lobe.", "unknown", "unknown"),
    ("Cystic change is seen in the right temporal lobe.", "unknown", "unknown"),
    ("A small area of the lesion in the right temporal lobe is necrotic.", "unknown", "present"),
    ("A necrotic lesion core is seen in the right temporal lobe.", "unknown", "present"),
    ("A necrotic focus is seen in the right temporal lobe.", "unknown", "present"),
    ("The right hemisphere is clear.", "unknown", "unknown"),
    ("The right hemisphere looks fine.", "unknown", "unknown"),
    ("The right hemisphere shows nothing of note.", "unknown", "unknown"),
    ("Right hemisphere: clear.", "unknown", "unknown"),
]
SENTENCES = [text for text, *_ in (*VENTRICLES, *TISSUE)]

# text, side, regions, edema, necrosis, compression
WHOLE = [
    (
        "The lesion is in the left parietal lobe, with the right side relatively preserved.",
        *("left", "parietal", "unknown", "unknown", "unknown"),
    ),
    (
        "The lesion does not cross the midline and lies in the left thalamus.",
        *("left", "deep grey matter", "unknown", "unknown", "unknown"),
    ),
    (
        "The left lateral ventricle is compressed by a lesion in the right frontal lobe.",
        *("right", "frontal", "unknown", "unknown", "present"),
    ),
    (
        "Edema is seen in the right frontal lobe. The lesion is located in the left frontal lobe.",
        *("left", "frontal", "present", "unknown", "unknown"),
    ),
    (
        "The ventricles show no obvious compression. The lesion is in the left frontal lobe.",
        *("left", "frontal", "unknown", "unknown", "none"),
    ),
    (
        "Swelling of the tissue around the lesion reaches the right insula. The lesion is in the left frontal lobe.",
        *("left", "frontal", "present", "unknown", "unknown"),
    ),
    (
        "No lesion, edema or necrosis is seen on the left. A lesion is seen in the right frontal lobe.",
        *("right", "frontal", "unknown", "unknown", "unknown"),
    ),
    (
        "Lesion: left parietal lobe. Edema: the left frontal lobe and left parietal lobe, moderate.",
        *("left", "parietal", "moderate", "unknown", "unknown"),
    ),
    (
        "Lesion: left parietal lobe. Edema: left frontal lobe, moderate necrosis.",
        *("left", "parietal", "present", "moderate", "unknown"),
    ),
    (
        "A lesion in the left parietal lobe with enlargement of the right lateral ventricle.",
        *("left", "parietal", "unknown", "unknown", "unknown"),
    ),
    (
        "A lesion is seen in the right parietal lobe exerting pressure on the left lateral ventricle.",
        *("right", "parietal", "unknown", "unknown", "present"),
    ),
    (
        "A lesion adjacent to the left lateral ventricle presses on it.",
        *("left", "periventricular", "unknown", "unknown", "present"),
    ),
    (
        "There is a lesion near the frontal horn of the left lateral ventricle, in the insula.",
        *("left", "insula", "unknown", "unknown", "unknown"),
    ),
    ("An enhancing mass is seen in the left insula.", "left", "insula", "unknown", "unknown", "unknown"),
    ("The lesion is cystic and lies in the right insula.", "right", "insula", "unknown", "unknown", "unknown"),
    ("A lesion, smaller than 1 cm, is in the left insula.", "left", "insula", "unknown", "unknown", "unknown"),
    # clauses that do go on about the lesion
    (
        "A lesion is in the left frontal lobe. Its edge reaches the insula.",
        *("left", "frontal,insula", "unknown", "unknown", "unknown"),
    ),
    (
        "A lesion is in the left frontal lobe. The affected area extends to the insula.",
        *("left", "frontal,insula", "unknown", "unknown", "unknown"),
    ),
    (
        "A lesion is in the left frontal lobe. The insula is also involved.",
        *("left", "frontal,insula", "unknown", "unknown", "unknown"),
    ),
    (
        "A lesion is in the left frontal lobe. There is also extension into the insula.",
        *("left", "frontal,insula", "unknown", "unknown", "unknown"),
    ),
]

TWO = [
    "A lesion in the right frontal lobe and another in the left parietal lobe.",
    "A lesion is seen in the right frontal lobe, and another is seen in the left parietal lobe.",
    "A lesion is in the right frontal lobe. A second lesion is in the left parietal lobe.",
]


@pytest.mark.parametrize(("text", "compression"), VENTRICLES)
def test_a_ventricle_moves_no_lesion(text: str, compression: str) -> None:
    (lesion,) = parse_findings(BASE + text).lesions
    assert (lesion.side, lesion.regions, lesion.signal) == ("left", ("parietal",), "high")
    assert (lesion.edema, lesion.necrosis, lesion.ventricular_compression) == ("unknown", "unknown", compression)


@pytest.mark.parametrize(("text", "edema", "necrosis"), TISSUE)
def test_tissue_elsewhere_moves_no_lesion(text: str, edema: str, necrosis: str) -> None:
    (lesion,) = parse_findings(BASE + text).lesions
    assert (lesion.side, lesion.regions, lesion.signal) == ("left", ("parietal",), "high")
    assert (lesion.edema, lesion.necrosis, lesion.ventricular_compression) == (edema, necrosis, "unknown")


@pytest.mark.parametrize("text", SENTENCES)
def test_neither_does_what_follows_it(text: str) -> None:
    for after in ("It is marked on the right.", "Necrosis is seen in the right insula."):
        (lesion,) = parse_findings(f"{BASE}{text} {after}").lesions
        assert (lesion.side, lesion.regions) == ("left", ("parietal",))


@pytest.mark.parametrize(("text", "side", "regions", "edema", "necrosis", "compression"), WHOLE)
def test_the_lesion_and_its_signs(
    text: str, side: str, regions: str, edema: str, necrosis: str, compression: str
) -> None:
    (lesion,) = parse_findings(text).lesions
    assert (lesion.side, lesion.regions) == (side, tuple(regions.split(",")))
    assert (lesion.edema, lesion.necrosis, lesion.ventricular_compression) == (edema, necrosis, compression)


@pytest.mark.parametrize("text", TWO)
def test_another_lesion_is_a_second_one(text: str) -> None:
    first, second = parse_findings(text).lesions
    assert (first.side, first.regions) == ("right", ("frontal",))
    assert (second.side, second.regions) == ("left", ("parietal",))


def test_another_area_of_edema_is_no_second_lesion() -> None:
    text = "There is one area of edema in the right insula and another in the right frontal lobe."
    (lesion,) = parse_findings(BASE + text).lesions
    assert (lesion.side, lesion.regions, lesion.edema) == ("left", ("parietal",), "present")


def test_signs_without_any_lesion_are_no_lesion() -> None:
    for text in ("The right lateral ventricle is squeezed.", "There is a liquefied area in the right temporal lobe."):
        assert parse_findings(text) == Findings(normal=False)


@pytest.mark.parametrize("text", [*(BASE + text for text in SENTENCES), *(case[0] for case in WHOLE), *TWO])
def test_mirrored_words_give_mirrored_findings(text: str) -> None:
    assert parse_findings(mirror_text(text)) == mirror_findings(parse_findings(text))
