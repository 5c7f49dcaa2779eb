"""The words of brain reports: patterns, on lower-case text, for everything that the parser knows by name."""

from __future__ import annotations

import re


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(alternatives) + r")\b")


VERBS = (
    r"(?:is|are|was|were|be|appears?|shows?|seems?|remains?|extends?|involves?|causes?|has|have|lies?|occupies"
    r"|surrounds?|affects?|demonstrates?|exhibits?|cross(?:es)?|compress(?:es)?|displaces?|looks?|exerts?|presses"
    r"|push(?:es)?|invades?|reach(?:es)?|sits?|measures?|contains?|displays?|reveals?|presents|squeezes|does|do)"
)
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
    r"(?<!peri-)(?<!peri )lesion(?:s|al)?",
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
_NO_DETERMINER = r"(?!(?:the|its|their|this|that|these|those)\b)"
# Nouns that name no lesion where an adjective such as "necrotic" says what they are.
WEAK_LESION = re.compile(r"foc(?:us|i)|abnormal|(?:hyper|hypo)intensit")
INDEFINITE = re.compile(
    r"\b(?:an?|another|second|third|additional|further|separate|multiple|several|two|three|numerous|one)"
    rf"(?: of the)?(?: {_NO_DETERMINER}[\w,-]+){{0,8}}? $"
)
# A lesion that is only pointed at, by the words before it or after it: "around the lesion", "the lesion core".
_PART = (
    r"(?:cores?|cent(?:re|er)s?|margins?|edges?|rims?|periphery|walls?|border|interior|cavity|parts?|portions?|halo)"
)
_THE_LESION = r" (?:the|this|that|these|its)(?: [\w-]+){0,3} $"
AROUND_LESION = re.compile(
    r"\b(?:around|surround(?:s|ing)|adjacent to|next to|near|beside|outside|beyond|bordering)" + _THE_LESION
)
PART_OF_LESION = re.compile(rf"\b(?:{_PART}|areas?|regions?|zones?) of" + _THE_LESION)
LESION_PART = re.compile(rf" {_PART}\b")
# What brings a lesion about, or rather which lesion does: "compressed by a lesion in the right insula".
AGENT = re.compile(r"\b(?:by|due to|because of|secondary to|owing to)(?: [\w-]+){0,8}? $")
NOT_A_WHOLE_NORMAL = _words(r"other", r"further", r"additional", r"second", r"new", r"remaining")
NO_CHANGE = re.compile(
    r"\bno (?:significant |interval |relevant )*(?:change|growth|progression|enhancement)"
    r"(?: \w+)?? (?:in|of|within)\b"
)

SIGNS = {
    "edema": _words(r"o?edemas?", r"o?edematous", r"swelling", r"swollen"),
    "necrosis": _words(r"necros[ei]s", r"necrotic", r"liquefied", r"liquefaction"),
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
        r"squeez(?:ed|es|ing)",
        r"flatten(?:ed|s|ing)",
        r"press(?:ed|es|ing)",
        r"push(?:ed|es|ing)?",
        r"pressure",
        r"(?<!, )(?:smaller|narrower)"
        r"(?=\s*(?:$|[,;:)]|(?:than(?! (?:an?|half|\d+)\b)|in|on|due|from|because|and|with)\b))",
        r"mass effect",
    ),
}
OTHER_TOPIC = _words(
    r"shift(?:ed|s)?",
    r"herniat\w+",
    r"hydrocephalus",
    r"enhanc(?:ement|es|ing)",
    r"weakness",
    r"symptoms?",
    r"peri-?(?:lesional|tumou?ral|focal)",
    r"surrounding (?:[\w-]+ )?(?:[\w-]*signals?|(?:hyper|hypo)intens\w+)",
)
# Part of what a lesion is made of, as necrosis is, but no statement of necrosis.
CYSTIC = _words(r"cyst(?:s|ic)?")
VENTRICLE = re.compile(r"\bventric(?:le|les|ular)\b|\b(?:lateral|frontal|temporal|occipital) horns?\b")
_OF_VENTRICLE = r"(?:(?:the|both|left|right|lateral|third|fourth|entire|whole|ipsilateral|contralateral) ){0,5}"
_OF_HORN = r"(?:(?:frontal|temporal|occipital|anterior|posterior|inferior) )?"
_BESIDE = (
    r"(?:around|adjacent to|near|beside|next to|bordering|surrounding|along|abut(?:s|ting)?|in|within|inside"
    r"|(?:close|lateral|medial|anterior|posterior|superior|inferior) to|above|below|behind|beneath"
    r"|(?:level|wall|floor|roof|lesions?|mass|tumou?r) of)"
)
# A ventricle with its side words; the first group is there where it serves to say where something else is.
VENTRICLE_PHRASE = re.compile(
    rf"\b({_BESIDE} )?{_OF_VENTRICLE}(?:{_OF_HORN}(?:horns?|body|bodies|atrium|trigone|wall) of )?{_OF_VENTRICLE}"
    rf"{_OF_HORN}(?:ventric(?:les?|ular system)|horns?)\b(?: of {_OF_VENTRICLE}ventricles?\b)?"
)
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
_UNAFFECTED = r"(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|untouched|free|clear|fine|healthy)"
SPARED = re.compile(
    r"\b(?:sparing|spares?"
    r"|not (?:involving|involved?|extending|extend|reaching|reach|crossing|cross|affecting)"
    r"|not (?:in|on|within)|(?:not|rather than|instead of) the (?:left|right)"
    r"|not (?:left|right)(?:[- ]sided)?(?=\s*(?:[,;)]|$))|(?:compared|contrast|relative) (?:with|to)|than (?:in|on|the)"
    r"|without (?:involvement of|involving|extension|crossing|affecting)|no involvement of|away from)\b"
    rf"(?:(?! and (?:(?:it|they) )?{VERBS}\b)[^,;])*"
    # "has left the right side intact"
    r"|\b(?:(?:has|have|had) (?:left|right)|leaves|leaving) [^,;]*?"
    r"\b(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|untouched|free)\b"
    # "with the right side relatively preserved"
    rf"|\bwith (?:(?!signal|intensit)[^,;])*?\b{_UNAFFECTED}(?=\s*(?:[,;)]|$))"
    r"|(?:^|(?<=, )|(?<=; ))[^,;]*?\b(?:is|are|appears?|remains?) (?:\w+ly )?"
    r"(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|free|not (?:involved|affected))"
    r"\b[^,;]*"
)
UNAFFECTED = re.compile(rf"\b{_UNAFFECTED}\b")
INVOLVED = re.compile(
    r"\b(?:is|are|was|were)(?: (?:also|likewise|similarly|further|mildly|slightly|part(?:ly|ially)|severely))?"
    r" (?:involved|affected|infiltrated|occupied)\b"
)
AROUND = _words(r"around", r"surround\w*", r"adjacent", r"outside", r"beyond", r"next to", r"nearby")
# The subject of a clause that goes on about the lesion without its name: "it", "its edge", "the high signal area".
_LESION_WORDS = (
    r"(?:the|an?|this|that|these|those|some|most|also|main|whole|entire|overall|same|affected|involved|abnormal"
    r"|high(?:er|est)?|low(?:er|est)?|mixed|increased|decreased|reduced|bright|dark|heterogeneous|homogeneous"
    r"|uneven|patchy|spotty|spotted|scattered|irregular|diffuse|small|large|largest|solid|marked|obvious|slight|mild"
    r"|(?:hyper|hypo|iso)-?intense|[\w-]*signals?|intensit(?:y|ies)|areas?|regions?|parts?|portions?|zones?|extents?"
    r"|extensions?|margins?|borders?|boundar(?:y|ies)|edges?|shapes?|sizes?|locations?|positions?|sites?|bulk"
    r"|involvement|appearance|findings?|process|disease|changes?|anomal(?:y|ies)|growth|nodules?|infiltration"
    r"|distribution|spread|one|and|or|\w+ing)"
)
OF_THE_LESION = re.compile(
    r"(?:(?:it|they|this|these|those|which|that|both|some|most|others?)(?: (?:also|all|both|further|then|\w+ly))*"
    r"|(?:its|their)\b.*"
    rf"|{_LESION_WORDS}(?: {_LESION_WORDS})*)"
)
OTHER_ORGANS = _words(
    r"lungs?", r"pulmonary", r"liver", r"hepatic", r"kidneys?", r"renal", r"chest", r"breasts?", r"abdom\w+",
    r"pelvi\w+", r"knees?", r"spleen", r"prostate", r"thyroid", r"cardiac", r"hearts?", r"bowel", r"bladder",
)  # fmt: skip
