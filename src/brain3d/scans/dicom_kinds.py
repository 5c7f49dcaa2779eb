"""What a DICOM file or series is, in closed words: the category of what is no MR image, and an MR protocol's kind.

The words of the study itself, which may hold a name, are matched here and never given back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FLAIR = "FLAIR"
UNKNOWN = "unknown protocol"
DERIVED = "derived images"
PHASE = "phase images, not magnitude"
# An echo shorter than this gives no T2 contrast; the inversion times are those that null the fluid, from 0.2 T to 7 T.
SHORT_ECHO_MS = 40.0
LONG_ECHO_MS = 60.0
FLUID_INVERSION_MS = (1400.0, 3200.0)
FAT_INVERSION_MS = 400.0
MOST_NAME = 256

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_MR_CLASSES = tuple(_STORAGE + part for part in ("4", "4.1", "4.4"))
_OBJECTS = (
    ("7", "secondary capture (a picture of a screen)"),
    ("4.2", "spectroscopy"),
    ("4.3", "colour images"),
    ("11", "presentation state"),
    ("88", "structured report"),
    ("104", "document"),
    ("66", "segmentation or raw data"),
    ("30", "parametric map"),
    ("9", "waveform"),
)
_MODALITIES = {
    **{"SR": "structured report", "KO": "structured report", "PR": "presentation state", "DOC": "document"},
    **{"SEG": "segmentation or raw data", "REG": "registration", "OT": "images of no named modality, not MR"},
    **{code: f"{code} images, not MR" for code in ("CT", "PT", "NM", "US", "CR", "DX", "XA", "RF", "MG", "ES")},
}
# In the third or fourth place of an image type, or as the part that an enhanced image shows.
_PHASES = frozenset(("P", "PHASE", "PHASE MAP"))
_KINDS = (
    ("double inversion recovery", r"\bdir\b|double inversion"),
    ("T1 FLAIR", r"\bt1\w*( \w+)* ?flair|flair ?(\w+ )*t1\b"),
    (FLAIR, r"flair|tirm|dark ?fl|\bda ?fl\b"),
    ("STIR", r"stir"),
    ("diffusion", r"dwi|\bdti\b|\badc\b|diff|trace|tensor"),
    ("perfusion", r"perf|\bdsc|\bdce|\basl\b|pcasl|\bcbf\b|\bcbv\b|\bmtt\b"),
    ("susceptibility", r"\bswi|swan|suscept|venbold|t2 ?star|hemo|\bmip\b|\bminip\b"),
    ("angiography", r"\btof|angio|\bmra\b|\bmrv\b"),
    ("functional", r"\bbold|fmri|resting"),
    ("T1", r"t1|mprage|mp2rage|bravo|spgr|\btfl|vibe"),
    ("T2", r"t2"),
    ("proton density", r"\bpd\b|proton"),
)
_LOCALISER = re.compile(r"locali[sz]er|\bloc\b|scout|survey|\b3 ?plane|plan ?scan|smartbrain|topogram")


def category_of(sop_class: str, modality: str, image_type: str, part: str, colours: tuple[int, str]) -> str:
    """What a file is that is no greyscale MR image of the head, or "".

    `colours` are the samples in a pixel and the photometric interpretation; the values of `image_type` are
    separated by backslashes; `part` says which part of complex values an enhanced image shows.
    """
    kept = sop_class.removeprefix(_STORAGE) if sop_class.startswith(_STORAGE) else ""
    for prefix, words in _OBJECTS:
        if kept == prefix or kept.startswith(f"{prefix}."):
            return words
    if modality != "MR" and (modality or sop_class not in _MR_CLASSES):
        return _MODALITIES.get(modality, "images of another kind, not MR")
    if colours[0] != 1 or colours[1] not in ("MONOCHROME1", "MONOCHROME2", ""):
        return "colour images"
    return _category_of_type([word.strip().upper() for word in image_type.split("\\")], part)


def _category_of_type(words: Sequence[str], part: str) -> str:
    if "LOCALIZER" in words:
        return "localiser"
    if "SCREEN SAVE" in words:
        return "screen save"
    if "MOSAIC" in words:
        return "mosaic (several slices in one picture)"
    if not _PHASES.isdisjoint((*words[2:4], part)):
        return PHASE
    return DERIVED if words[0] == "DERIVED" else ""


def is_localiser(names: Sequence[str]) -> bool:
    """Whether one of a series' own names is a localiser's."""
    return any(_LOCALISER.search(_words(name)) for name in names)


def kind_of(names: Sequence[str], echo_ms: float, inversion_ms: float, inversion: bool) -> tuple[str, str]:
    """The kind of an MR protocol, and what it was recognised by.

    The first of `names` that names a kind counts, since later ones may name the whole examination; the times
    (0 where unknown) correct it. `inversion` is whether the sequence is said to be an inversion recovery.
    """
    named = next((kind for kind in map(_named_kind, names) if kind), "")
    nulls_fluid = FLUID_INVERSION_MS[0] <= inversion_ms <= FLUID_INVERSION_MS[1]
    times = f"inversion time {inversion_ms:.0f} ms, echo time {echo_ms:.0f} ms"
    if named == FLAIR and 0 < echo_ms < SHORT_ECHO_MS:
        return "T1 FLAIR", "its name and its short echo time"
    if named in (FLAIR, "T1 FLAIR") and 0 < inversion_ms < FAT_INVERSION_MS:
        return "STIR", "its short inversion time"
    if named == FLAIR:
        more = f", {times}" if nulls_fluid else ", an inversion recovery" if inversion else ""
        return FLAIR, f"its name{more}"
    if named in ("", "T2", "T1 FLAIR") and nulls_fluid and echo_ms >= LONG_ECHO_MS:
        return FLAIR, times
    return (named, "its name") if named else (UNKNOWN, "nothing that its header says")


def _words(name: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", name[:MOST_NAME].lower()).split())


def _named_kind(name: str) -> str:
    words = _words(name)
    has_t2 = "t2" in words
    for kind, pattern in _KINDS:
        if re.search(pattern, words) and not (kind == "T1 FLAIR" and has_t2):
            return kind
    return ""
