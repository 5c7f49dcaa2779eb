"""Changing a report on purpose: six errors that a clinician would mind, and one change that leaves the meaning."""

from __future__ import annotations

import re
from collections.abc import Callable

from brain3d.evaluation.stated import read_text
from brain3d.reports import mirror_text

HEALTHY = "No focal lesion is seen."
INVENTED = "A lesion is seen in the left frontal lobe. There is mild edema."
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_SIGN = r"o?edema|swelling|necrosis|necrotic changes?|(?:ventricular )?compression"
_DEGREE = (
    r"mild|slight|minimal|moderate|severe|marked|extensive|significant|obvious|large|considerable|massive|pronounced"
)
_DENIED = re.compile(r"\b(?:no|not|without|absent|free of)\b", re.IGNORECASE)
_SIGN_WORD = re.compile(rf"\b(?:{_SIGN}|necrotic|swollen|compressed|effaced)\b", re.IGNORECASE)
_DEGREES = rf"(?:{_DEGREE})(?:,? (?:and )?(?:{_DEGREE}))*"
_NEGATIONS = (
    (
        re.compile(rf"\b(?:an? |some )?(?:{_DEGREE})(?:,? (?:and )?(?:{_DEGREE}))* ((?:{_SIGN}))\b", re.IGNORECASE),
        r"no \1",
    ),
    (re.compile(rf"\b(is|are) (?:{_DEGREE})ly (swollen|necrotic|compressed)\b", re.IGNORECASE), r"\1 not \2"),
    (re.compile(rf"\b((?:{_SIGN})\b[^.;]*?\b(?:is|are)) (?:{_DEGREE})\b", re.IGNORECASE), r"\1 absent"),
    (re.compile(r"\b(is|are) (compressed|swollen|necrotic|effaced)\b", re.IGNORECASE), r"\1 not \2"),
    (re.compile(rf"\b(?:an? )?((?:{_SIGN}))\b", re.IGNORECASE), r"no \1"),
)
_WORSE = {
    "no": "severe",
    "mild": "severe",
    "slight": "severe",
    "minimal": "severe",
    "moderate": "severe",
    "mildly": "severely",
    "slightly": "severely",
    "minimally": "severely",
    "moderately": "severely",
}
_GRADED = r"(?:o?edema|swelling|swollen|necro\w+|compress\w+|effac\w+|ventricular)"
_BEFORE_SIGN = re.compile(rf"\b(?!no\b)({'|'.join(_WORSE)})\b(?=(?: [\w-]+){{0,2}} {_GRADED}\b)", re.IGNORECASE)
_BEHIND_SIGN = re.compile(rf"\b({_GRADED}\b[^.;]{{0,60}}?\b(?:is|are)) (mild|slight|minimal|moderate)\b", re.IGNORECASE)
_LOBES = ("frontal", "occipital", "temporal", "parietal")
_LOBE = re.compile(rf"\b({'|'.join(_LOBES)})\b", re.IGNORECASE)
_SYNONYMS = (
    ("there is no sign of", "there is no evidence of"),
    ("is seen", "is visible"),
    ("are seen", "are visible"),
    ("is present", "is seen"),
    ("is found", "is identified"),
    ("is located", "lies"),
    ("shows", "demonstrates"),
    ("show", "demonstrate"),
    ("lesion", "mass"),
    ("lesions", "masses"),
    ("edema", "oedema"),
    ("swelling", "edema"),
    ("mild", "slight"),
    ("slight", "mild"),
    ("mildly", "slightly"),
    ("slightly", "mildly"),
    ("severe", "marked"),
    ("marked", "severe"),
    ("extensive", "marked"),
    ("severely", "markedly"),
    ("high signal", "hyperintense signal"),
    ("low signal", "hypointense signal"),
    ("mixed signal", "heterogeneous signal"),
    ("bright", "hyperintense"),
    ("dark", "hypointense"),
    ("compression of the ventricles", "ventricular compression"),
    ("ventricular compression", "compression of the ventricles"),
    ("around the", "surrounding the"),
    ("in the surrounding tissue", "in the adjacent tissue"),
    ("observed", "noted"),
    ("indicating", "suggesting"),
    ("the brain appears normal", "normal appearance of the brain"),
)
_SYNONYM_OF = dict(_SYNONYMS)
_SYNONYM = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, _SYNONYM_OF), key=len, reverse=True)) + r")\b", re.IGNORECASE
)


def _cased(new: str, old: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _by_sentence(text: str, change: Callable[[str], str]) -> str:
    return " ".join(change(sentence) for sentence in _SENTENCE_END.split(text) if sentence)


def swap_sides(text: str) -> str:
    """Left and right exchanged."""
    return mirror_text(text)


def _negated(sentence: str) -> str:
    if _DENIED.search(sentence) or (not _SIGN_WORD.search(sentence) and "compressed" not in sentence):
        return sentence
    for pattern, denial in _NEGATIONS:
        changed, count = pattern.subn(denial, sentence, count=1)
        if count:
            return _cased(changed, sentence)
    return sentence


def negate_signs(text: str) -> str:
    """Edema, necrosis and compression denied wherever they are stated."""
    return _by_sentence(text, _negated)


def delete_lesion(text: str) -> str:
    """The last of several lesions left out; where there is one, the report of a healthy brain instead."""
    whole = read_text(text)
    if not whole.lesions:
        return text
    if len(whole.lesions) > 1:
        sentences = _SENTENCE_END.split(text)
        for index in range(len(sentences) - 1, 0, -1):
            shorter = " ".join(sentences[:index] + sentences[index + 1 :])
            if len(read_text(shorter).lesions) == len(whole.lesions) - 1:
                return shorter
    return HEALTHY


def exaggerate(text: str) -> str:
    """The first degree below severe becomes severe."""
    changed, count = _BEFORE_SIGN.subn(lambda m: _cased(_WORSE[m.group(1).lower()], m.group(1)), text, count=1)
    return changed if count else _BEHIND_SIGN.sub(r"\1 severe", text, count=1)


def replace_lobe(text: str) -> str:
    """Every mention of the first lobe that is named becomes one that is not; unchanged where all are named."""
    named = [match.group(1).lower() for match in _LOBE.finditer(text)]
    others = [name for name in _LOBES if name not in named]
    if not named or not others:
        return text
    return re.sub(rf"\b{named[0]}\b", lambda m: _cased(others[0], m.group()), text, flags=re.IGNORECASE)


def invent_lesion(text: str) -> str:
    """A report of a healthy brain becomes one of a lesion."""
    return INVENTED if read_text(text).normal else text


def paraphrase(text: str) -> str:
    """Other words for the same: synonyms."""
    return _SYNONYM.sub(lambda m: _cased(_SYNONYM_OF[m.group(1).lower()], m.group(1)), text)


ERRORS: dict[str, Callable[[str], str]] = {
    "sides swapped": swap_sides,
    "signs negated": negate_signs,
    "lesion deleted": delete_lesion,
    "lesion invented": invent_lesion,
    "degree raised": exaggerate,
    "lobe replaced": replace_lobe,
}
PARAPHRASED = "reworded"
