"""Reading findings out of text: hand-written sentences, each with what a careful reader takes from it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.reports import Findings, mirror_findings, mirror_text, parse_findings

# text, side, regions, signal
PLACES = [
    ("A lesion in the left frontal lobe, beneath the right insula.", "left", "frontal", "unknown"),
    ("The right parietal lobe has a lesion close to the left thalamus.", "right", "parietal", "unknown"),
    ("A mass next to the right insula in the left frontal lobe.", "left", "frontal", "unknown"),
    ("A lesion in the left frontal lobe, anterior to the right lateral ventricle.", "left", "frontal", "unknown"),
    ("A lesion of the frontal lobe, adjacent to the left insula.", "left", "frontal", "unknown"),
    ("A lesion in the left insula. It is adjacent to the right frontal lobe.", "left", "insula", "unknown"),
    ("The lesion is in the left insula. The mass lies above the right thalamus.", "left", "insula", "unknown"),
    ("A frontal lesion. It lies close to the left insula.", "left", "frontal", "unknown"),
    ("A lesion in the left insula. It extends to the right frontal lobe.", "bilateral", "frontal,insula", "unknown"),
    ("The lesion lies between the left and right frontal lobes.", "bilateral", "frontal", "unknown"),
    ("A lesion of the left frontal and the adjacent right frontal lobe.", "bilateral", "frontal", "unknown"),
    ("A lesion is seen in the left frontal lobe.", "left", "frontal", "unknown"),
    ("The lesion area lies in the right parietal lobe with high signal.", "right", "parietal", "high"),
    ("LEFT TEMPORAL LESION.", "left", "temporal", "unknown"),
    ("There is a left-sided occipital mass.", "left", "occipital", "unknown"),
    (
        "A tumour occupies the frontal and parietal lobes of the right hemisphere.",
        "right",
        "frontal,parietal",
        "unknown",
    ),
    (
        "Tumor on the left side of the brain, involving the insula and the putamen.",
        "left",
        "insula,deep grey matter",
        "unknown",
    ),
    ("A right fronto-parietal glioma shows heterogeneous signal.", "right", "frontal,parietal", "mixed"),
    ("A temporoparietal mass on the left.", "left", "parietal,temporal", "unknown"),
    ("There is a bifrontal lesion.", "bilateral", "frontal", "unknown"),
    ("Multiple lesions are scattered through both hemispheres.", "bilateral", "", "unknown"),
    ("Bilateral thalamic lesions are seen.", "bilateral", "deep grey matter", "unknown"),
    (
        "Lesions are present in the left frontal and the right temporal lobes.",
        "bilateral",
        "frontal,temporal",
        "unknown",
    ),
    ("A lesion of the splenium lies in the midline.", "midline", "corpus callosum", "unknown"),
    ("The left frontal lesion crosses the midline.", "left", "frontal", "unknown"),
    ("A mass with both high and low signal lies in the left cerebellum.", "left", "cerebellum", "mixed"),
    ("A hyperintense lesion in the right half of the pons.", "right", "brainstem", "high"),
    ("The lesion in the left caudate is dark.", "left", "deep grey matter", "low"),
    ("An isointense lesion in the right occipital lobe.", "right", "occipital", "iso"),
    (
        "The lesion is in the left frontal lobe. Its signal is close to that of normal brain.",
        "left",
        "frontal",
        "iso",
    ),
    ("High signal is seen in the right periventricular white matter.", "right", "periventricular", "high"),
    ("The lesion is adjacent to the left lateral ventricle.", "left", "periventricular", "unknown"),
    (
        "A lesion abuts the frontal horn of the left lateral ventricle in the caudate.",
        "left",
        "deep grey matter",
        "unknown",
    ),
    ("A high-grade glioma is seen in the right temporal lobe.", "right", "temporal", "unknown"),
    ("A lesion is seen in the temporal lobe.", "unknown", "temporal", "unknown"),
    ("A lesion is seen. It involves the left insula.", "left", "insula", "unknown"),
    (
        "A lesion is seen in the right frontal lobe. It also involves the corpus callosum.",
        "right",
        "frontal,corpus callosum",
        "unknown",
    ),
    ("The lesion in the right hypothalamus region.", "right", "", "unknown"),
    # sides that are not the lesion's
    ("Surgery has left a scar. A lesion is seen in the right frontal lobe.", "right", "frontal", "unknown"),
    ("The lesion of the right frontal lobe was left untreated.", "right", "frontal", "unknown"),
    ("A lesion has left a cavity in the right temporal lobe.", "right", "temporal", "unknown"),
    ("The left parietal lesion lies right behind the sulcus.", "left", "parietal", "unknown"),
    ("A right-handed patient with a left insular tumor.", "left", "insula", "unknown"),
    ("History of right arm weakness. A mass lies in the left frontal lobe.", "left", "frontal", "unknown"),
    ("A left frontal mass, with the midline shifted to the right.", "left", "frontal", "unknown"),
    ("A left frontal mass causes rightward shift.", "left", "frontal", "unknown"),
    (
        "A lesion is seen in the left frontal lobe. The right hemisphere is normal.",
        "left",
        "frontal",
        "unknown",
    ),
    (
        "A lesion is seen in the left frontal lobe and the right hemisphere is unremarkable.",
        "left",
        "frontal",
        "unknown",
    ),
    ("A left frontal lesion is seen, sparing the insula.", "left", "frontal", "unknown"),
    (
        "The lesion is in the left temporal lobe, not involving the parietal lobe.",
        "left",
        "temporal",
        "unknown",
    ),
    ("No lesion is seen on the right, but there is a left frontal lesion.", "left", "frontal", "unknown"),
    (
        "A lesion is seen in the right frontal lobe. No lesion is seen in the left hemisphere.",
        "right",
        "frontal",
        "unknown",
    ),
    ("There is no change in the left frontal lesion.", "left", "frontal", "unknown"),
    ("The lesion in the left frontal lobe does not cross the midline.", "left", "frontal", "unknown"),
    ("The lesion is not in the left but in the right frontal lobe.", "right", "frontal", "unknown"),
    ("Compared with the right side, a lesion is seen in the left insula.", "left", "insula", "unknown"),
    ("The right insula holds a lesion, whereas the left insula is normal.", "right", "insula", "unknown"),
    # edema, necrosis and compression name places too
    ("The lesion causes compression of the left lateral ventricle.", "unknown", "", "unknown"),
    ("The lesion is in the left insula, and edema extends to the right one.", "left", "insula", "unknown"),
    (
        "A left frontal lesion with edema extending into the right parietal lobe.",
        "left",
        "frontal",
        "unknown",
    ),
    (
        "A lesion in the left frontal lobe. Edema extends to the right temporal lobe.",
        "left",
        "frontal",
        "unknown",
    ),
    (
        "A lesion in the left frontal lobe. Necrosis lies mainly in the right insula.",
        "left",
        "frontal",
        "unknown",
    ),
    (
        "A lesion in the right frontal lobe. The left lateral ventricle is compressed.",
        "right",
        "frontal",
        "unknown",
    ),
    (
        "A mass in the right parietal lobe compresses the left lateral ventricle.",
        "right",
        "parietal",
        "unknown",
    ),
    ("A right temporal mass with marked swelling of the left frontal lobe.", "right", "temporal", "unknown"),
    (
        "The lesion is right frontal. Swelling surrounds the left insular lesion.",
        "right",
        "frontal",
        "unknown",
    ),
    (
        "A left frontal lesion. The signal of the edema in the right parietal lobe is high.",
        "left",
        "frontal",
        "unknown",
    ),
    ("A necrotic mass lies in the right occipital lobe.", "right", "occipital", "unknown"),
    ("A lesion with marked edema is seen in the left frontal lobe.", "left", "frontal", "unknown"),
    ("The left frontal and parietal lesions show necrosis.", "left", "frontal,parietal", "unknown"),
    (
        "Enhancement is seen in the left insula. A mass lies in the right insula.",
        "right",
        "insula",
        "unknown",
    ),
    ("The lesion is in the left frontal lobe, not the right.", "left", "frontal", "unknown"),
    ("The lesion is in the right frontal lobe, not left-sided.", "right", "frontal", "unknown"),
    ("A left frontal lesion has left the right side intact.", "left", "frontal", "unknown"),
    ("A right insular lesion leaves the left hemisphere unaffected.", "right", "insula", "unknown"),
    (
        "A lesion with edema in the right parietal lobe is seen in the left frontal lobe.",
        "left",
        "frontal",
        "unknown",
    ),
    (
        "A lesion with marked edema and high signal is seen in the left insula with necrosis in the right one.",
        "left",
        "insula",
        "high",
    ),
    ("A lesion with edema that is in the right insula lies in the left frontal lobe.", "left", "frontal", "unknown"),
    ("A lesion with edema is seen in the left frontal lobe, and it is small.", "left", "frontal", "unknown"),
    ("A lesion with edema in the left frontal lobe is necrotic.", "left", "frontal", "unknown"),
    # words that may name a lesion or a sign
    ("A hyperintensity in the left insula represents a tumour with edema.", "left", "insula", "high"),
    ("A focus of high signal with edema is seen in the right insula.", "right", "insula", "high"),
    ("A hyperintensity in the left insula with a core of necrosis.", "left", "insula", "high"),
    # a side withheld
    (
        "The side of the lesion could not be determined. A lesion is seen in the frontal lobe.",
        "unknown",
        "frontal",
        "unknown",
    ),
    ("A lesion of undetermined side is seen in the frontal lobe.", "unknown", "frontal", "unknown"),
    ("A left temporal lesion is seen. The side is uncertain.", "unknown", "temporal", "unknown"),
    (
        "A temporal lesion is seen; it is unclear whether it lies on the left or the right.",
        "unknown",
        "temporal",
        "unknown",
    ),
]

# text, edema, necrosis, compression
SIGNS = [
    ("There is moderate edema.", "moderate", "unknown", "unknown"),
    ("Edema is extensive, affecting most of the lobe.", "severe", "unknown", "unknown"),
    ("Slight oedema surrounds the lesion.", "mild", "unknown", "unknown"),
    ("No edema, necrosis or ventricular compression is seen.", "none", "none", "none"),
    ("There is no edema but marked necrosis.", "none", "severe", "unknown"),
    ("Edema and necrosis are absent.", "none", "none", "unknown"),
    ("Edema and necrosis are mild.", "mild", "mild", "unknown"),
    ("Without edema or necrosis.", "none", "none", "unknown"),
    ("Edema is seen. The edema is severe.", "severe", "unknown", "unknown"),
    ("Edema is observed around the lesion, indicating significant swelling.", "severe", "unknown", "unknown"),
    ("Mild to moderate edema is seen.", "moderate", "unknown", "unknown"),
    ("Edema is not obvious.", "none", "unknown", "unknown"),
    ("Neither edema nor necrosis is seen around the right insular lesion.", "none", "none", "unknown"),
    ("Mild edema, no necrosis, ventricles severely compressed.", "mild", "none", "severe"),
    ("No significant edema.", "none", "unknown", "unknown"),
    ("The edema is not severe.", "present", "unknown", "unknown"),
    ("Edema: none. Necrosis: moderate.", "none", "moderate", "unknown"),
    ("The edema around the lesion is mild.", "mild", "unknown", "unknown"),
    ("The edema does not extend beyond the lobe.", "present", "unknown", "unknown"),
    ("The surrounding tissue is markedly swollen.", "severe", "unknown", "unknown"),
    (
        "Necrosis is shown by low signal next to the markedly high signal areas.",
        "unknown",
        "present",
        "unknown",
    ),
    ("The core is not necrotic.", "unknown", "none", "unknown"),
    ("Necrosis cannot be excluded.", "unknown", "unknown", "unknown"),
    ("A large lesion with necrosis.", "unknown", "present", "unknown"),
    ("The core is severely necrotic, with edema.", "present", "severe", "unknown"),
    ("The left lateral ventricle is slightly compressed.", "unknown", "unknown", "mild"),
    ("There is pronounced effacement of the right lateral ventricle.", "unknown", "unknown", "severe"),
    ("Mass effect on the ventricles is moderate.", "unknown", "unknown", "moderate"),
    ("There is no mass effect.", "unknown", "unknown", "none"),
    ("The ventricles are of normal size.", "unknown", "unknown", "none"),
    ("Ventricular compression is not clearly shown.", "unknown", "unknown", "unknown"),
    ("The ventricles are not compressed, and there is mild edema.", "mild", "unknown", "none"),
    ("There is compression of the brainstem.", "unknown", "unknown", "unknown"),
    ("The lesion causes moderate ventricular compression.", "unknown", "unknown", "moderate"),
]

# text, edema, necrosis
SIGNS_ELSEWHERE = [
    ("A focus of necrosis is seen in the right temporal lobe.", "unknown", "present"),
    ("An abnormal area of necrosis is seen in the right temporal lobe.", "unknown", "present"),
    ("An abnormal signal area of necrosis is seen in the right temporal lobe.", "unknown", "present"),
    ("A hyperintensity in the right parietal lobe represents edema.", "present", "unknown"),
    ("A hyperintensity representing mild edema is seen in the right parietal lobe.", "mild", "unknown"),
    ("Foci of hypointensity consistent with central necrosis are seen in the right insula.", "unknown", "present"),
    ("An abnormal signal in the right occipital lobe, due to vasogenic edema.", "present", "unknown"),
    ("A second signal abnormality in the right insula is due to mass effect.", "unknown", "unknown"),
    ("Another focus of necrotic tissue is seen in the right insula.", "unknown", "present"),
    ("No focus of necrosis is seen in the right insula.", "unknown", "none"),
]

NORMAL = [
    "No focal lesion is seen.",
    "There is no evidence of a mass, edema or necrosis.",
    "The brain is normal.",
    "Normal MRI of the brain.",
    "Unremarkable scan. No abnormal signal.",
    "The brain appears unremarkable without focal abnormality.",
    "No lesion is seen in the left or the right hemisphere.",
    "A lesion is not seen. The ventricles are symmetric.",
    "No focal abnormality. The signal is normal on both sides and the ventricles are normal.",
]

NEITHER = [
    "",
    "   \n\n ",
    "Moderate edema is seen in the left frontal lobe.",
    "Ventricular compression is observed on the left.",
    "There is no edema.",
    "Neither edema nor necrosis is seen around the left frontal lesion.",
    "No necrosis is seen within the right insular lesion.",
    "The brain is not normal.",
    "The brain is normal but there is marked edema.",
    "The right lung shows a mass in the left lower lobe.",
    "Der Patient wurde am Montag entlassen.",
    "脑部未见异常。",
    "left right left right",
    "History of left hand weakness.",
    "\x00\ufffd" * 20,
]


@pytest.mark.parametrize(("text", "side", "regions", "signal"), PLACES)
def test_side_regions_and_signal_come_from_the_statement_of_the_lesion(
    text: str, side: str, regions: str, signal: str
) -> None:
    findings = parse_findings(text)
    assert not findings.normal
    (lesion,) = findings.lesions
    wanted = tuple(name for name in regions.split(",") if name)
    assert (lesion.side, lesion.regions, lesion.signal) == (side, wanted, signal)


@pytest.mark.parametrize(("text", "edema", "necrosis", "compression"), SIGNS)
def test_degrees(text: str, edema: str, necrosis: str, compression: str) -> None:
    findings = parse_findings("A lesion is seen in the left frontal lobe. " + text)
    (lesion,) = findings.lesions
    assert (lesion.side, lesion.regions) == ("left", ("frontal",))
    assert (lesion.edema, lesion.necrosis, lesion.ventricular_compression) == (edema, necrosis, compression)


@pytest.mark.parametrize(("text", "edema", "necrosis"), SIGNS_ELSEWHERE)
def test_a_sign_elsewhere_is_no_second_lesion(text: str, edema: str, necrosis: str) -> None:
    (lesion,) = parse_findings("A lesion is seen in the left frontal lobe. " + text).lesions
    assert (lesion.side, lesion.regions) == ("left", ("frontal",))
    assert (lesion.edema, lesion.necrosis) == (edema, necrosis)
    assert parse_findings(text) == Findings(normal=False)


@pytest.mark.parametrize("text", NORMAL)
def test_a_stated_absence_of_lesions_is_normal(text: str) -> None:
    assert parse_findings(text) == Findings(normal=True)


@pytest.mark.parametrize("text", NEITHER)
def test_text_that_states_neither_gives_neither(text: str) -> None:
    assert parse_findings(text) == Findings(normal=False)


def test_a_second_lesion_is_an_entry_of_its_own_with_its_own_signs() -> None:
    text = (
        "A lesion is seen in the left frontal lobe. It is surrounded by severe edema. "
        "A second lesion lies in the right cerebellum. Edema around it is mild. "
        "No ventricular compression is seen."
    )
    first, second = parse_findings(text).lesions
    assert (first.side, first.regions, first.edema) == ("left", ("frontal",), "severe")
    assert (second.side, second.regions, second.edema) == ("right", ("cerebellum",), "mild")
    assert first.ventricular_compression == second.ventricular_compression == "none"


def test_two_lesions_in_one_sentence() -> None:
    first, second = parse_findings("There is a left frontal lesion and a right cerebellar lesion.").lesions
    assert (first.side, first.regions) == ("left", ("frontal",))
    assert (second.side, second.regions) == ("right", ("cerebellum",))


@pytest.mark.parametrize("text", [*(case[0] for case in (*PLACES, *SIGNS, *SIGNS_ELSEWHERE)), *NORMAL, *NEITHER])
def test_mirrored_words_give_mirrored_findings(text: str) -> None:
    assert parse_findings(mirror_text(text)) == mirror_findings(parse_findings(text))


WORDS = re.findall(
    r"\S+",
    "left right Left RIGHT leftward left-sided bilateral both midline hemisphere hemispheres side lesion "
    "mass a no not the is are seen in of on and or , . but without frontal parietal insular thalamus "
    "ventricle edema necrosis mild severe compression normal brain signal high low has untreated hand "
    "shift to another core with presses preserved surrounding it there cross by area",
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_string_of_report_words_parses_and_mirrors(text: str) -> None:
    assert parse_findings(mirror_text(text)) == mirror_findings(parse_findings(text))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_parses(text: str) -> None:
    parse_findings(text)


def test_a_long_text_is_read_in_reasonable_time() -> None:
    assert parse_findings("the left and right, and the mild edema with no " * 400) == Findings(normal=False)
    assert parse_findings("focus of the right edemas representing " * 400).normal is False
