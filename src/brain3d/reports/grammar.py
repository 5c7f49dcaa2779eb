"""The grammar of brain reports: patterns, on lower-case text, that no list of words could replace."""

from __future__ import annotations

import re

VERBS = (
    r"(?:is|are|was|were|be|appears?|shows?|seems?|remains?|extends?|involves?|causes?|has|have|lies?|occupies"
    r"|surrounds?|affects?|demonstrates?|exhibits?|cross(?:es)?|compress(?:es)?|displaces?|looks?|exerts?|presses"
    r"|push(?:es)?|invades?|reach(?:es)?|sits?|measures?|contains?|displays?|reveals?|presents|squeezes|does|do"
    r"|includes?|comprises?|encompass(?:es)?|spans?|covers?|begins?|starts?|continues?|spreads|occurs?|invade"
    r"|infiltrates?|sit|compress)"
)
NEAR = r"(?:around|adjacent to|close to|the vicinity of|near|beside|next to|bordering|surrounding|along|abutting)"
_OF_A = r"(?: the (?:body|bodies|atrium|atria|trigone|walls?|margins?) of)?"
NEAR_VENTRICLE = (
    NEAR + _OF_A + r"(?: (?:the|both|bilateral|left|right|lateral|third|fourth))* ventric(?:le|les|ular\w*)"
    r"(?!'s (?:\w+ )?horn)"
)

_PLACE = (
    r"hemispheres|sides|halves|(?:front|pariet|tempor|occipit)\w+|lobes|thalami\w*|insul\w+|caudate"
    r"|putamin\w*|cerebell\w+|basal|deep|hippocamp\w+|centr\w+ semi\w+|coronae? radiata\w*|gyri|cingulate"
)
BILATERAL = re.compile(
    r"\b(?:bilateral(?:ly)?"
    r"|bi-?(?:frontal|parietal|temporal|occipital|insular|thalamic|hemispheric|cerebellar|fronto\w*|temporo\w*)"
    rf"|both (?:of )?(?:the |cerebral |lateral |deep )*(?:{_PLACE})"
    r"|(?:either|each) (?:side|hemisphere|(?:frontal|parietal|temporal|occipital|insular) lobe|thalamus|insula)"
    rf"|{NEAR} both (?:lateral )?ventricles"
    r"|(?:(?:to|into|across|involv\w+|reach\w+|affect\w+) )(?:the )?(?:contralateral|opposite)"
    r" (?:cerebral )?(?:hemisphere|side|lobe|frontal|parietal|temporal|occipital))\b"
)
# "both the frontal and parietal lobes": two regions, which may be of one side. "both frontal lobes and" is two sides.
BOTH_AND = re.compile(
    r"\bboth (?:of )?(?:the )?(?!\w*(?:lobes|hemispheres|sides|halves|thalami|insulae|insulas)\b)[\w-]+"
    r"(?: (?:lobe|gyrus|cortex|region|area|matter))?(?:,? and)\b"
)
MIDLINE = re.compile(r"\bmid-?line\b(?! (?:shift|structures|deviation))")
# The verb in "has left a scar" and "was left untreated", the adverb in "right behind": words, not sides.
NOT_A_SIDE = re.compile(
    r"(?<!the )\b(?:left|right) (?=(?:an?|the|some|no|only)\b)"
    r"|\b(?:left|right) (?:alone|untreated|unchanged|behind|over|out|off|away|now|next|through|after)\b"
    r"|\b(?:is|are|was|were|been|be) (?:left|right) (?=in the (?:left|right)\b)"
    r"|\b(?:left|right) in place\b"
    r"|\b(?:nothing|anything|little) (?:left|right)\b"
    r"|\b(?:shift\w*|displac\w*|deviat\w*|push\w*)(?: \w+){0,3}? (?:to|towards?) the (?:left|right)\b"
)
_NOT_KNOWN = r"(?:unknown|undetermined|uncertain|unclear|withheld|unspecified|indeterminate)"
UNDETERMINED_SIDE = re.compile(
    # "the left hemisphere with unclear boundaries" and "its boundary on the left side is unclear" leave no side open
    r"(?<!left )(?<!right )(?<!left cerebral )(?<!right cerebral )(?<!same )(?<!opposite )(?<!contralateral )"
    r"\b(?:side|sidedness|laterality|hemisphere)\b(?: of (?:[\w-]+ ?){1,5})?,?[ :]*"
    rf"(?:(?:is|are|was|were|remains?|has been|being) )?(?:\w+ )?(?:{_NOT_KNOWN}"
    r"|(?:could not|cannot|can not|couldn't|can't|not) (?:\w+ )?(?:be )?(?:\w+ )?"
    r"(?:determined?|told|known|stated|given|established))\b"
    rf"|\b{_NOT_KNOWN} (?:side|laterality|hemisphere)\b"
    rf"|\b(?:cannot|could not|not|{_NOT_KNOWN})\b[^.;]*\bwhether (?:it|they|this|these"
    r"|(?:an?|the) (?:[\w-]+ ){0,3}?"
    r"(?:lesions?|mass|masses|tumou?rs?|abnormalit\w+|(?:left|right) (?:side|hemisphere)))\b"
    r"[^.;]*\b(?:left|right)\b[^.;,]* or [^.;,]*\b(?:left|right)\b"
)

# "A focus of necrosis", "a hyperintensity in the right parietal lobe represents edema": these name a sign, no lesion.
_SIGN_NOUN = (
    r"(?:o?edema|swelling|necros[ei]s|(?:necrotic|o?edematous) (?:tissue|changes?|material|debris|brain|fluid)"
    r"|compression|effacement|mass effect)"
)
_NOT_JOINED = r"(?!(?:with|without|and|but|or|plus|by|in|causing|producing|showing|containing|surround\w+)\b)"
IS_A_SIGN = (
    r"(?:(?: (?:signals?|areas?|regions?|zones?))? of"
    rf"|(?:,? {_NOT_JOINED}[\w/-]+| in){{0,10}}?,?"
    r" (?:represent(?:s|ing)?|reflect(?:s|ing)?|due to|consistent with|compatible with))"
    rf"(?: {_NOT_JOINED}[\w/-]+){{0,4}}? {_SIGN_NOUN}\b"
)
_NO_DETERMINER = r"(?!(?:the|its|their|this|that|these|those)\b)"
INDEFINITE = re.compile(
    r"\b(?:an?|another|second|third|additional|further|separate|multiple|several|two|three|numerous|one)"
    rf"(?: of the)?(?: {_NO_DETERMINER}[\w,-]+){{0,8}}? $"
)
# Said of a lesion that is not the one before it, wherever it lies.
ANOTHER = re.compile(
    r"\b(?:another|second|third|fourth|additional|further|separate|other|distinct|new|smaller|larger)(?: [\w-]+){0,5} $"
)
_WHERE = (
    r"(?=,? (?:(?:is|are|lies|lie|seen|located|found|present|visible|situated|sits) ){0,2}"
    r"(?:in|on|at|within|involv\w+)\b)"
)
ELLIPSIS = re.compile(
    r"^(?:for )?(?:(?:another|one|two|three|(?:an?|the) (?:second|third|separate|smaller|larger|further|new)"
    rf"|the (?:other|others|first|larger|smaller|former|latter|largest|smallest|remaining))(?: ones?)?){_WHERE}"
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
# What only says where something else lies: "behind the frontal lobe", "adjacent to the corpus callosum".
LANDMARK = re.compile(
    r"\b(?:(?:anterior|posterior|superior|inferior|medial|lateral|rostral|caudal|adjacent|close|next) to|above|below"
    r"|beneath|behind|between|in front of|near(?:by)?|beside|border(?:s|ing)|abut(?:s|ting)|touch(?:es|ing)"
    r"|(?:the vicinity|proximity) of|proximity to)"
    r" (?:(?!in\b|at\b|on\b|within\b|with\b|to\b|into\b|but\b|mid-?line\b|which\b|that\b"
    rf"|{VERBS}\b|involving\b|extending\b|reaching\b)[\w/-]+ ){{0,9}}$"
)
# What brings a lesion about, or rather which lesion does: "compressed by a lesion in the right insula".
AGENT = re.compile(r"\b(?:by|(?<=mass effect )of|due to|because of|secondary to|owing to|from)(?: [\w-]+){0,8}? $")
NOT_A_WHOLE_NORMAL = re.compile(r"\b(?:other|further|additional|second|third|new|remaining)\b")
NO_CHANGE = re.compile(
    r"\bno (?:significant |interval |relevant )*(?:change|growth|progression|enhancement)"
    r"(?: \w+)?? (?:in|of|within)\b"
    # "no lesion other than that in the left frontal lobe"
    r"|\bno (?=(?:\w+ )?(?:lesions?|mass|tumou?rs?|abnormalit\w+)"
    r" (?:other than|apart from|besides|aside from|beyond)\b)"
)
_DENIAL_TAIL = re.compile(r",? (?:without|with no|(?:and|but) no)\b")
_DENIAL = re.compile(r"\b(?:no|not|without|nor|neither|never|absent|lacks?)\b|n't\b")
NO_EVIDENCE_THAT = re.compile(r"\bno (?:evidence|sign|indication|suggestion)s? that\b")
EXTENDS = re.compile(r"\b(?:extend|involv|cross|reach|spread|affect)\w*\b[^,;]*")
SECOND_BY_NUMBER = re.compile(r" (?:no\.? ?|#)?(?:[2-9]|ii|iii|iv)\b(?! ?(?:cm|mm|x)\b)")
RESOLVED = re.compile(
    r"^[^,;]*?\b(?:(?:has|have|had) (?:\w+ly |now |since )?(?:resolved|disappeared|vanished|been (?:resected|removed))"
    r"|(?:is|are|was|were) (?:no longer (?:\w+ )?(?:seen|visible|present|identified|evident|apparent)"
    r"|resected|removed))\b"
)

OF_VENTRICLES = r"(?: of (?:the |both |left |right |lateral |fourth |third )*ventric\w+(?: system)?)?"
SMALLER = (
    r"(?<!, )(?:smaller|narrower)"
    r"(?=\s*(?:$|[,;:)]|(?:than(?! (?:an?|half|\d+)\b)|in|on|due|from|because|and|with)\b))"
)
SURROUNDING_SIGNAL = r"surrounding (?:[\w-]+ )?(?:[\w-]*signals?|(?:hyper|hypo)intens\w+)"
VENTRICLE = re.compile(
    r"\bventric(?:le|les|ular)\b"
    r"|\b(?:lateral|frontal|temporal|occipital|anterior|posterior|inferior) horns?\b|\b(?:trigones?|atri(?:um|a))\b"
)
_OF_VENTRICLE = r"(?:(?:the|both|left|right|lateral|third|fourth|entire|whole|ipsilateral|contralateral) ){0,5}"
_OF_HORN = r"(?:(?:frontal|temporal|occipital|anterior|posterior|inferior) )?"
_BESIDE = (
    r"(?:around|the vicinity of|adjacent to|near|beside|next to|bordering|surrounding|along|abut(?:s|ting)?"
    r"|in|within|inside"
    r"|(?:close|lateral|medial|anterior|posterior|superior|inferior) to|above|below|behind|beneath"
    r"|(?:level|wall|floor|roof|lesions?|mass|tumou?r) of)"
)
# A ventricle with its side words; the first group is there where it serves to say where something else is.
VENTRICLE_PHRASE = re.compile(
    rf"\b({_BESIDE} )?{_OF_VENTRICLE}(?:{_OF_HORN}(?:horns?|body|bodies|atrium|trigone|wall) of )?{_OF_VENTRICLE}"
    rf"{_OF_HORN}(?:ventric(?:les?|ular system)|horns?)\b(?: of {_OF_VENTRICLE}ventricles?\b|'s {_OF_HORN}horns?\b)?"
)
_NORMAL_VENTRICLE = r"(?:normal|symmetric(?:al)?|unremarkable|preserved|patent|intact|unaffected|uninvolved)"
VENTRICLES_NORMAL = re.compile(
    r"\b(?:ventricles?|ventricular system)\b[^,;]*?\b(?:is|are|appears?|remains?)\b(?! not)[^,;]*?"
    rf"\b{_NORMAL_VENTRICLE}\b"
    rf"|\b(?:ventricles?|ventricular system)(?::| -)? {_NORMAL_VENTRICLE}\b"
    r"|\b(?:normal|unremarkable|symmetric(?:al)?) (?:lateral )?ventric(?:les|ular system)\b"
)

GRADED = r"(?![ -](?:grade|degree|frontal|parietal|temporal|occipital|up|risk|convexity))"
LIKE_NORMAL = (
    r"(?:close|similar|equal) to (?:that of )?(?:the )?"
    r"(?:normal|surrounding|adjacent|healthy|gr[ae]y|white)"
)
SIGNAL_ABNORMAL = re.compile(r"\bsignals?\b[^,;]*?\b(?:is|are|appears?) (?:\w+ly )?abnormal\b")
# Said of healthy brain: "the signal on the right side is uniform".
SIGNAL_EVEN = re.compile(
    r"^(?:the )?(?:[\w-]+ )?signals?(?: intensit\w+)? (?:on|in|of) [^,;]*\b"
    r"(?:uniform|homogeneous|symmetric\w*|even|normal|unchanged)\b"
)
RELATIVE = re.compile(
    r"(?: areas?| regions?)?,? (?:which|that) (?:is|are|lies|lie|sits) (?:\w+ )?(?:in|on|at|within)\b"
)
SIGNAL_NOUN = re.compile(r"\b(?:signals?|intensit(?:y|ies))\b")

_WHOLE = r"(?:brain|scan|study|mri|examination|parenchyma|(?:both )?(?:cerebral )?hemispheres|images?)"
NORMAL_BRAIN = re.compile(
    rf"\b{_WHOLE}\b"
    r"[^,;]*?\b(?:is|are|appears?|looks?|remains?|within)\b(?! not)[^,;]*?\b(?:normal|unremarkable)\b"
    # a list: "both hemispheres, the cerebellum and the brainstem are normal"
    rf"|\b{_WHOLE}(?:, [\w -]+)+,? (?:is|are|appears?|looks?)\b(?! not)[^,;]*?\b(?:normal|unremarkable)\b"
    rf"|\b{_WHOLE}(?::| -) (?:normal|unremarkable)\b"
    r"|^(?:all |the )*findings (?:are|were) (?:normal|unremarkable)\b|\bhealthy brain\b"
    r"|^(?:all )?(?:findings )?(?:are )?within normal limits\b"
    r"|^(?:is |are |all )?(?:normal|unremarkable)$|\bnegative (?:study|scan|mri|examination)\b"
    r"|\bnothing (?:abnormal|pathological)\b"
    r"|\b(?:normal|unremarkable) (?:\w+ ){0,3}?(?:brain|scan|study|mri|examination|appearance)\b"
)
_UNAFFECTED = r"(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|untouched|free|clear|fine|healthy)"
SPARED = re.compile(
    r"\b(?:sparing|spares?"
    r"|not (?:involving|involved?|extending|extend|reaching|reach|crossing|cross|affecting)"
    r"|not (?:in|on|within)|(?:not|rather than|instead of) the (?:left|right)"
    r"|not (?:left|right)(?:[- ]sided)?(?=\s*(?:[,;)]|$))|(?:compared|contrast|relative) (?:with|to)"
    r"|(?<!other )(?<!more )(?<!greater )(?<!less )than (?:in|on|the)"
    r"|(?:(?<=higher )|(?<=lower )|(?<=brighter )|(?<=darker ))than (?:that|those)"
    r"|(?:cm|mm|centimet\w+|millimet\w+) (?:away )?from the"
    r"|unlike|as (?!well\b|far\b)\w+ as"
    r"|(?:boundar(?:y|ies)|borders?|interface|demarcation) (?:with|to|from|towards?|on)"
    r"|differ(?:s|ent|ing)? from|(?:separat|demarcat|delineat|distinguish|delimit)\w* from"
    r"(?! (?:the )?(?:surrounding|adjacent|normal|neighbou?ring|healthy)\b)"
    r"|(?:differences?|asymmetry|contrast) (?:between|in)"
    r"|without (?:involvement of|involving|extension|crossing|affecting"
    r"|evidence of (?:an? |any )?(?:\w+ )?(?:lesions?|mass|tumou?rs?|abnormalit(?:y|ies)))"
    r"|no (?:involvement|extension|spread|infiltration|invasion|crossing)|away from"
    r"|(?:involv|affect|reach|cross)\w* neither)\b"
    rf"(?:(?! and (?:(?:it|they) )?{VERBS}\b)[^,;])*"
    # "has left the right side intact"
    r"|\b(?:(?:has|have|had) (?:left|right)|leaves|leaving) [^,;]*?"
    r"\b(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|untouched|free)\b"
    # "with the right side relatively preserved"
    r"|\bwith [^,;]*?\b(?:showing|having) (?:a )?(?:normal|unremarkable)\b[^,;]*"
    rf"|\bwith (?:(?!signal|intensit)[^,;])*?\b{_UNAFFECTED}(?=\s*(?:[,;)]|$))"
    r"|(?:^|(?<=, )|(?<=; ))[^,;]*?\b(?:is|are|appears?|remains?) (?:\w+ly )?(?:(?:thought|considered|felt) to be )?"
    r"(?:normal|unremarkable|intact|preserved|spared|unaffected|uninvolved|free|not (?:involved|affected))\b"
    r"(?:(?!\b(?:apart from|aside from|other than|besides|beyond)\b)[^,;])*"
)
UNAFFECTED = re.compile(rf"\b{_UNAFFECTED}\b")
INVOLVED = re.compile(
    r"\b(?:is|are|was|were)"
    r"(?: (?:also|both|all|each|(?:the )?most|least|less|more|likewise|similarly|further|mainly|mostly"
    r"|predominantly|primarily|mildly|slightly|part(?:ly|ially)|severely))?"
    r" (?:involved|affected|infiltrated|occupied)\b"
)
ALSO_IN = re.compile(r"(?:also|and|partly|partially|to a lesser (?:degree|extent)),? (?:in|on|within|involv\w+)\b")
AROUND = re.compile(r"\b(?:around|surround\w*|adjacent|outside|beyond|next to|nearby)\b")
# The subject of a clause that goes on about the lesion without its name: "it", "its edge", "the high signal area".
_LESION_WORDS = (
    r"(?:the|an?|this|that|these|those|some|most|also|main|whole|entire|overall|same|affected|involved|abnormal"
    r"|high(?:er|est)?|low(?:er|est)?|mixed|increased|decreased|reduced|bright|dark|heterogeneous|homogeneous"
    r"|uneven|patchy|spotty|spotted|scattered|irregular|diffuse|small|large|largest|solid|marked|obvious|slight|mild"
    r"|(?:hyper|hypo|iso)-?intense|[\w-]*signals?|intensit(?:y|ies)|areas?|regions?|parts?|portions?|zones?|extents?"
    r"|extensions?|margins?|borders?|boundar(?:y|ies)|edges?|shapes?|sizes?|locations?|positions?|sites?|bulk"
    r"|involvement|appearance|findings?|process|disease|changes?|anomal(?:y|ies)|growth|nodules?|infiltration"
    r"|distribution|spread|lobes|smaller|larger|rest|remainder|majority|little|few|similar|one|and|or|\w+ing)"
)
OF_THE_LESION = re.compile(
    r"(?:(?:it|they|this|these|those|which|that|both|some|most|others?)(?: (?:also|all|both|further|then|\w+ly))*"
    r"|(?:its|their)\b.*"
    rf"|{_LESION_WORDS}(?: {_LESION_WORDS})*)"
)


def up_to_denial(clause: str) -> int:
    """Where what a clause states ends and what it denies begins: "high signal in the insula, without a mass"."""
    tail = _DENIAL_TAIL.search(clause)
    return 0 if tail is None or _DENIAL.search(clause, 0, tail.start()) else tail.start()
