"""The words of brain reports: patterns, on lower-case text, for everything that the parser knows by name."""

from __future__ import annotations

import re


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(alternatives) + r")\b")


_NOT_A_LOBE = r"(?!\s+(?:horn|bone|sinus|skull|scalp))"
_NEAR = r"(?:around|adjacent to|near|beside|next to|bordering|surrounding|along|abutting)"

REGION_PATTERNS = {
    "frontal": _words(r"(?:bi|pre|orbito)?frontal" + _NOT_A_LOBE, r"fronto\w*"),
    "parietal": _words(r"\w*parietal" + _NOT_A_LOBE, r"\w*parieto\w*"),
    "temporal": _words(
        r"(?:bi|fronto|parieto|occipito|mesio|medio)?temporal" + _NOT_A_LOBE,
        r"\w*temporo\w*",
        r"hippocamp\w+",
    ),
    "occipital": _words(r"\w*occipital" + _NOT_A_LOBE, r"occipito\w*"),
    "insula": _words(r"insulae?", r"insulas", r"insular"),
    "deep grey matter": _words(
        r"basal gangli\w+",
        r"thalam(?:us|i|ic)",
        r"putam(?:en|ina|inal)",
        r"caudate",
        r"pallid(?:um|us|al)",
        r"lentiform",
        r"striat(?:um|al)",
        r"deep gr[ae]y(?:[ -]matter)?",
        r"deep nucle(?:i|us)",
    ),
    "corpus callosum": _words(r"corpus callosum", r"callosal", r"callosum", r"splenium", r"genu"),
    "periventricular": _words(
        r"peri-?ventricular",
        r"para-?ventricular",
        _NEAR + r"(?: (?:the|both|left|right|lateral|third|fourth))* ventric(?:le|les|ular\w*)",
    ),
    "cerebellum": _words(r"cerebell(?:um|ar|i)", r"vermis", r"vermian"),
    "brainstem": _words(r"brain[ -]?stem", r"pons", r"pontine", r"midbrain", r"mesenceph\w+", r"medulla", r"medullary"),
}

_PLACE = (
    r"hemispheres|sides|halves|(?:front|pariet|tempor|occipit)\w+|lobes|thalami\w*|insul\w+|caudate"
    r"|putamin\w*|cerebell\w+|basal|deep"
)
LATERAL = re.compile(
    r"\b(left|right)(?:[- ]?sided)?\b"
    r"(?![- ]?hand(?:ed)?\b(?![- ]side))"
    r"(?! (?:arm|leg|face|facial|eye|ear|foot|body|upper limb|lower limb|hemipar\w+|weakness|visual)\b)"
)
BILATERAL = _words(
    r"bilateral(?:ly)?",
    r"bi(?:frontal|parietal|temporal|occipital|thalamic|hemispheric)",
    r"both (?:the |cerebral |lateral |deep )*(?:" + _PLACE + r")",
    r"(?:either|each) (?:side|hemisphere)",
)
MIDLINE = re.compile(r"\bmid-?line\b(?! (?:shift|structures|deviation))")
# The verb in "has left a scar" and "was left untreated", the adverb in "right behind": words, not sides.
NOT_A_SIDE = re.compile(
    r"(?<!the )\b(?:left|right) (?=(?:an?|the|some|no|only)\b)"
    r"|\b(?:left|right) (?:alone|untreated|unchanged|behind|over|out|off|away|now|next|through|after)\b"
    r"|\b(?:left|right) in place\b"
    r"|\b(?:nothing|anything|little) (?:left|right)\b"
    r"|\b(?:shift\w*|displac\w*|deviat\w*|push\w*)(?: \w+){0,3}? (?:to|towards?) the (?:left|right)\b"
)
UNDETERMINED_SIDE = re.compile(
    r"\b(?:side|sidedness|laterality|hemisphere)\b[^.;]*?\b(?:unknown|undetermined|uncertain|unclear|withheld"
    r"|(?:could not|cannot|can not|couldn't|can't|not) (?:\w+ )?(?:be )?(?:\w+ )?"
    r"(?:determined?|told|known|stated|given|established))\b"
    r"|\b(?:unknown|undetermined|uncertain|unclear|unspecified) (?:side|laterality|hemisphere)\b"
    r"|\b(?:cannot|could not|unclear|unknown|undetermined|uncertain)\b[^.;]*\bwhether\b"
    r"[^.;]*\b(?:left|right)\b"
)

# "A focus of necrosis", "a hyperintensity in the right parietal lobe represents edema": these name a sign, no lesion.
_SIGN_NOUN = (
    r"(?:o?edema|swelling|necros[ei]s|(?:necrotic|o?edematous) (?:tissue|changes?|material|debris|brain|fluid)"
    r"|compression|effacement|mass effect)"
)
_NOT_JOINED = r"(?!(?:with|without|and|but|or|plus|by|in|causing|producing|showing|containing|surround\w+)\b)"
_IS_A_SIGN = (
    r"(?:(?: (?:signals?|areas?|regions?|zones?))? of"
    rf"|(?:,? {_NOT_JOINED}[\w/-]+| in){{0,10}}?,?"
    r" (?:represent(?:s|ing)?|reflect(?:s|ing)?|due to|consistent with|compatible with))"
    rf"(?: {_NOT_JOINED}[\w/-]+){{0,4}}? {_SIGN_NOUN}\b"
)
_NO_SIGN = rf"(?!{_IS_A_SIGN})"

LESION = _words(
    r"lesion(?:s|al)?",
    r"mass(?:es)?(?! effect)",
    r"tumou?rs?",
    r"neoplasms?",
    r"gliomas?",
    r"glioblastomas?",
    r"astrocytomas?",
    r"oligodendrogliomas?",
    r"metastas[ie]s",
    r"abnormalit(?:y|ies)" + _NO_SIGN,
    r"(?:hyper|hypo)intensit(?:y|ies)" + _NO_SIGN,
    r"foc(?:us|i)" + _NO_SIGN,
    r"infarct(?:s|ion)?",
    r"abscess(?:es)?",
    r"abnormal (?:\w+ )?(?:signals?|areas?|regions?)" + _NO_SIGN,
)
INDEFINITE = re.compile(
    r"\b(?:an?|another|second|third|additional|further|separate|multiple|several|two|three|numerous|one)"
    r"(?: [\w,-]+){0,8}? $"
)
NOT_A_WHOLE_NORMAL = _words(r"other", r"further", r"additional", r"second", r"new", r"remaining")
NO_CHANGE = re.compile(
    r"\bno (?:significant |interval |relevant )*(?:change|growth|progression|enhancement)"
    r"(?: \w+)?? (?:in|of|within)\b"
)

SIGNS = {
    "edema": _words(r"o?edemas?", r"o?edematous", r"swelling", r"swollen"),
    "necrosis": _words(r"necros[ei]s", r"necrotic"),
    "ventricular_compression": _words(
        r"(?:ventricular |ventricle )?(?:compression|effacement|deformation|narrowing|displacement)"
        r"(?: of (?:the |both |left |right |lateral |fourth |third )*ventric\w+(?: system)?)?",
        r"compress(?:ed|es|ing)?",
        r"effac(?:ed|es|ing)",
        r"deform(?:ed|s|ing)?",
        r"narrowed",
        r"distort(?:ed|s|ing|ion)?",
        r"displac(?:ed|es|ing)",
        r"collapsed",
        r"mass effect",
    ),
}
OTHER_TOPIC = _words(
    r"shift(?:ed|s)?", r"herniat\w+", r"hydrocephalus", r"enhanc(?:ement|es|ing)", r"weakness", r"symptoms?"
)
VENTRICLE = re.compile(r"\bventric(?:le|les|ular)\b|\b(?:lateral|frontal|temporal|occipital) horns?\b")
VENTRICLES_NORMAL = re.compile(
    r"\b(?:ventricles?|ventricular system)\b[^,;]*?\b(?:is|are|appears?|remains?)\b(?! not)[^,;]*?"
    r"\b(?:normal|symmetric(?:al)?|unremarkable|preserved|patent|intact)\b"
)

_GRADED = r"(?! (?:grade|degree|frontal|parietal|temporal|occipital|up|risk|convexity))"
SIGNAL_PATTERNS = {
    "high": _words(r"hyper-?intens(?:e|ity|ities)", r"bright(?:er|ness)?"),
    "low": _words(r"hypo-?intens(?:e|ity|ities)", r"dark(?:er)?"),
    "mixed": _words(r"mixed", r"mixture", r"heterogene\w+", r"inhomogene\w+", r"varying", r"variable", r"uneven"),
    "iso": _words(
        r"iso-?intens(?:e|ity)",
        r"iso-?signals?",
        r"normal signal",
        r"(?:close|similar|equal) to (?:that of )?(?:the )?"
        r"(?:normal|surrounding|adjacent|healthy|gr[ae]y|white)",
    ),
}
# Words that speak of the signal only where the word "signal" or "intensity" stands in the same clause.
SIGNAL_ADJECTIVES = {
    "high": _words(r"high(?:er|est)?" + _GRADED, r"increased", r"elevated", r"raised"),
    "low": _words(r"low(?:er|est)?" + _GRADED, r"decreased", r"reduced", r"diminished"),
}
SIGNAL_NOUN = _words(r"signals?", r"intensit(?:y|ies)")

DEGREE_WORDS = {
    "mild": (
        "mild",
        "mildly",
        "slight",
        "slightly",
        "minimal",
        "minimally",
        "minor",
        "subtle",
        "small",
        "faint",
    ),
    "moderate": ("moderate", "moderately"),
    "severe": (
        *(
            "severe",
            "severely",
            "marked",
            "markedly",
            "extensive",
            "extensively",
            "significant",
            "significantly",
        ),
        *(
            "pronounced",
            "large",
            "massive",
            "massively",
            "considerable",
            "considerably",
            "substantial",
            "profound",
        ),
        *("prominent", "gross", "grossly", "strong", "strongly", "substantially"),
    ),
}

NORMAL_BRAIN = re.compile(
    r"\b(?:brain|scan|study|mri|examination|parenchyma|both (?:cerebral )?hemispheres|images?)\b"
    r"[^,;]*?\b(?:is|are|appears?|looks?|remains?|within)\b(?! not)[^,;]*?\b(?:normal|unremarkable)\b"
    r"|\b(?:normal|unremarkable) (?:\w+ ){0,3}?(?:brain|scan|study|mri|examination|appearance)\b"
)
SPARED = re.compile(
    r"\b(?:sparing|spares?"
    r"|not (?:involving|involved?|extending|extend|reaching|reach|crossing|cross|affecting)"
    r"|not (?:in|on|within)|(?:not|rather than|instead of) the (?:left|right)"
    r"|not (?:left|right)(?:[- ]sided)?(?=\s*(?:[,;)]|$))|(?:compared|contrast|relative) (?:with|to)|than (?:in|on|the)"
    r"|without (?:involvement of|involving|extension|crossing|affecting)|no involvement of|away from)\b[^,;]*"
    # "has left the right side intact"
    r"|\b(?:(?:has|have|had) (?:left|right)|leaves|leaving) [^,;]*?"
    r"\b(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|untouched|free)\b"
    r"|(?:^|(?<=, )|(?<=; ))[^,;]*?\b(?:is|are|appears?|remains?) (?:\w+ly )?"
    r"(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|free|not (?:involved|affected))"
    r"\b[^,;]*"
)
OTHER_ORGANS = _words(
    r"lungs?", r"pulmonary", r"liver", r"hepatic", r"kidneys?", r"renal", r"chest", r"breasts?", r"abdom\w+",
    r"pelvi\w+", r"knees?", r"spleen", r"prostate", r"thyroid", r"cardiac", r"hearts?", r"bowel", r"bladder",
)  # fmt: skip
