"""Phrasing a phantom's truth as a report: lesion area and signal, edema, necrosis, ventricular compression.

Every choice is drawn without looking at which of left and right it is, so that a truth and its mirror image,
from the same random state, give mirrored words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from brain3d.phantom.truth import Truth

_LOBES = ("frontal", "parietal", "temporal", "occipital")
_HINDBRAIN = {"cerebellum", "brainstem"}
_NOUNS = {
    "insula": ("insula", "insular cortex"),
    "deep grey matter": ("deep grey matter", "deep grey nuclei", "basal ganglia or thalamus"),
    "corpus callosum": ("corpus callosum",),
    "periventricular": ("periventricular white matter", "periventricular region"),
    "cerebellum": ("cerebellum",),
    "brainstem": ("brainstem",),
}
_ADJECTIVES = {
    "insula": "insular",
    "deep grey matter": "deep grey matter",
    "corpus callosum": "callosal",
    "cerebellum": "cerebellar",
}

_LATERAL_AREAS = (
    "in the {side} {list}",
    "in the {side} {list}",
    "in the {side} {list}",
    "in the {list} on the {side}",
    "in the {list} on the {side} side",
    "in the {side} {half} of the brain, involving the {list}",
    "on the {side}, involving the {list}",
    "on the {side} side of the brain, involving the {list}",
    "on the {side} side of the brain, in the {list}",
)
_AREAS = {
    "left": _LATERAL_AREAS,
    "right": _LATERAL_AREAS,
    "bilateral": (
        "in the bilateral {list}",
        "in the {list} on both sides",
        "in the {list} of both {halves}",
        "in both {halves} of the brain, involving the {list}",
        "on both sides of the brain, involving the {list}",
        "on both sides of the brain, in the {list}",
    ),
    "midline": (
        "in the {list} in the midline",
        "in the {list} at the midline",
        "in the midline, involving the {list}",
        "at the midline, in the {list}",
        "at the midline of the brain, involving the {list}",
    ),
}

_AREA_SENTENCES = (
    "{a} lesion{s} {is} seen {area}{signal}.",
    "{a} lesion{s} {is} present {area}{signal}.",
    "{a} lesion{s} {is} located {area}{signal}.",
    "{a} lesion{s} {is} visible {area}{signal}.",
    "{a} focal lesion{s} {is} found {area}{signal}.",
    "{a} lesion{s} {lies} {area}{signal}.",
    "there {is} {a} lesion{s} {area}{signal}.",
    "there {is} {a} focal lesion{s} {area}{signal}.",
    "the scan shows {a} lesion{s} {area}{signal}.",
    "the images show {a} lesion{s} {area}{signal}.",
    "the main finding is {a} lesion{s} {area}{signal}.",
    "{area}, {a} lesion{s} {is} seen{signal}.",
    "{area}, there {is} {a} lesion{s}{signal}.",
    "{a} {adjective} lesion{s} {is} seen{signal}.",
    "there {is} {a} {adjective} lesion{s}{signal}.",
    "the scan shows {a} {adjective} lesion{s}{signal}.",
    "the main finding is {a} {adjective} lesion{s}{signal}.",
)
_SIGNAL_TAILS = {
    "high": (
        " with high signal",
        " showing high signal",
        ", with high signal intensity",
        ", with increased signal",
        ", which {appears} bright",
        ", which {appears} hyperintense",
    ),
    "low": (
        " with low signal",
        " showing low signal",
        ", with low signal intensity",
        ", with reduced signal",
        ", which {appears} dark",
        ", which {appears} hypointense",
    ),
    "mixed": (
        " with mixed signal",
        " showing mixed high and low signal",
        ", with mixed signal intensity",
        ", with heterogeneous signal",
        ", with mixed bright and dark parts",
        ", with both high and low signal",
    ),
    "iso": (
        " with isointense signal",
        " showing isointense signal",
        ", with signal close to that of normal brain",
        ", with signal similar to the surrounding tissue",
        ", which {appears} isointense",
        ", nearly isointense to normal brain",
    ),
}
_SIGNAL_SENTENCES = {
    "high": (
        "the signal is high.",
        "its signal is increased.",
        "it appears bright.",
        "the signal intensity is high.",
    ),
    "low": (
        "the signal is low.",
        "its signal is reduced.",
        "it appears dark.",
        "the signal intensity is low.",
    ),
    "mixed": (
        "the signal is mixed.",
        "its signal is heterogeneous.",
        "it has bright and dark parts.",
        "the signal intensity is mixed.",
    ),
    "iso": (
        "the signal is isointense.",
        "its signal is close to that of normal brain.",
        "it appears isointense.",
        "the signal intensity is similar to normal brain.",
    ),
}
_SIGNAL_SENTENCE_SHARE = 0.3

_DEGREE_WORDS = {
    "none": ("no",),
    "mild": ("mild", "mild", "slight"),
    "moderate": ("moderate",),
    "severe": ("severe", "severe", "marked", "extensive"),
}
_DEGREE_ADVERBS = {
    "none": ("not",),
    "mild": ("mildly", "mildly", "slightly"),
    "moderate": ("moderately",),
    "severe": ("severely", "severely", "markedly"),
}
_PLACES = (
    " around {the_lesion}",
    " around {the_lesion}",
    " next to {the_lesion}",
    " in the surrounding tissue",
    " in the adjacent tissue",
    "",
)
_INSIDE = (
    " in {the_lesion}",
    " within {the_lesion}",
    " inside {the_lesion}",
    " in its core",
    " in its centre",
    "",
)

_EDEMA = (
    "there is {degree} edema{place}.",
    "{degree} edema is seen{place}.",
    "{degree} edema is present{place}.",
    "{degree} edema is visible{place}.",
    "{degree} surrounding edema is seen.",
    "edema is {degree}.",
    "the surrounding edema is {degree}.",
    "the edema{place} is {degree}.",
    "{degree} edema surrounds {the_lesion}.",
    "{the_lesion} is surrounded by {degree} edema.",
    "the surrounding tissue shows {degree} edema.",
    "the surrounding tissue is {adverb} swollen.",
    "{degree} swelling of the surrounding tissue is seen.",
    "there is {degree} swelling{place}.",
)
_NO_EDEMA = (
    "there is no edema{place}.",
    "no edema is seen{place}.",
    "no edema is present{place}.",
    "no edema is visible{place}.",
    "no surrounding edema is seen.",
    "edema is absent{place}.",
    "edema is not seen{place}.",
    "the surrounding tissue shows no edema.",
    "there is no sign of edema{place}.",
    "{the_lesion} is without surrounding edema.",
    "no swelling of the surrounding tissue is seen.",
    "the surrounding tissue is not swollen.",
)
_NECROSIS = (
    "there is {degree} necrosis{inside}.",
    "{degree} necrosis is seen{inside}.",
    "{degree} necrosis is present{inside}.",
    "{degree} necrosis is visible{inside}.",
    "necrosis is {degree}.",
    "the necrosis{inside} is {degree}.",
    "the core shows {degree} necrosis.",
    "the core is {adverb} necrotic.",
    "the centre of {the_lesion} is {adverb} necrotic.",
    "{the_lesion} shows {degree} necrosis.",
    "{the_lesion} is {adverb} necrotic.",
    "{degree} central necrosis is seen.",
    "there is {degree} necrotic change{inside}.",
    "{degree} necrotic change is seen{inside}.",
)
_NO_NECROSIS = (
    "there is no necrosis{inside}.",
    "no necrosis is seen{inside}.",
    "no necrosis is present{inside}.",
    "no necrosis is visible{inside}.",
    "necrosis is absent{inside}.",
    "necrosis is not seen{inside}.",
    "there is no sign of necrosis{inside}.",
    "the core shows no necrosis.",
    "the core is not necrotic.",
    "{the_lesion} shows no necrosis.",
    "{the_lesion} is not necrotic.",
    "no central necrosis is seen.",
    "there is no necrotic change{inside}.",
)
_COMPRESSION = (
    "there is {degree} compression of the ventricles.",
    "there is {degree} ventricular compression.",
    "{degree} ventricular compression is seen.",
    "{degree} ventricular compression is present.",
    "{degree} compression of the ventricles is seen.",
    "{degree} compression of the ventricles is visible.",
    "ventricular compression is {degree}.",
    "compression of the ventricles is {degree}.",
    "the ventricles are {adverb} compressed.",
    "the ventricular system is {adverb} compressed.",
    "the ventricles show {degree} compression.",
    "the ventricular system shows {degree} compression.",
    "{the_lesion} causes {degree} compression of the ventricles.",
    "{the_lesion} causes {degree} ventricular compression.",
)
_NO_COMPRESSION = (
    "there is no compression of the ventricles.",
    "there is no ventricular compression.",
    "no ventricular compression is seen.",
    "no ventricular compression is present.",
    "no compression of the ventricles is seen.",
    "no compression of the ventricles is visible.",
    "ventricular compression is absent.",
    "compression of the ventricles is not seen.",
    "the ventricles are not compressed.",
    "the ventricular system is not compressed.",
    "the ventricles show no compression.",
    "the ventricular system shows no compression.",
    "{the_lesion} causes no compression of the ventricles.",
    "there is no sign of ventricular compression.",
)
_PARTS = (
    ("edema", _EDEMA, _NO_EDEMA),
    ("necrosis", _NECROSIS, _NO_NECROSIS),
    ("ventricular_compression", _COMPRESSION, _NO_COMPRESSION),
)

_HEALTHY_OPENINGS = (
    "no focal lesion is seen.",
    "no lesion is seen in the brain.",
    "there is no focal lesion.",
    "there is no focal abnormality of the brain.",
    "no focal abnormality is seen.",
    "no abnormal signal is seen in the brain.",
    "the brain shows no lesion.",
    "the brain appears normal.",
    "the scan is normal, without a lesion.",
    "the scan shows a normal brain.",
    "the scan shows no focal abnormality.",
    "normal appearance of the brain, with no lesion.",
)
_HEALTHY_REST = (
    ("there is no edema and no necrosis.", "no edema or necrosis is seen.", "there is no sign of edema."),
    (
        "the ventricles are not compressed.",
        "there is no ventricular compression.",
        "the ventricles are of normal size and shape.",
        "the ventricles are normal and the midline is not shifted.",
    ),
    ("the signal of the brain is normal on both sides.", "both hemispheres are normal."),
)
# With several lesions, in order; the longer phrases stand before their parts.
_PLURAL = (
    ("finding is", "findings are"),
    ("the centre of {the_lesion} is", "the centres of {the_lesion} are"),
    ("{the_lesion} is", "{the_lesion} are"),
    ("{the_lesion} shows", "{the_lesion} show"),
    ("{the_lesion} causes", "{the_lesion} cause"),
    ("the core is", "the cores are"),
    ("the core shows", "the cores show"),
    ("in the core", "in the cores"),
    ("in its core", "in their cores"),
    ("in its centre", "in their centres"),
    ("it appears", "they appear"),
    ("it has", "they have"),
    ("its ", "their "),
)
_ONE = {"a": "a", "s": "", "is": "is", "lies": "lies", "appears": "appears"}
_SEVERAL = {"a": "multiple", "s": "s", "is": "are", "lies": "lie", "appears": "appear"}


def _joined(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _noun_list(truth: Truth, rng: random.Random) -> str:
    """All regions as nouns, the lobes under one noun: "frontal and parietal lobes, insula and brainstem"."""
    lobes = [name for name in truth.regions if name in _LOBES]
    noun = rng.choice(("lobe", "lobe", "lobe", "region", "area"))
    plural = "s" if len(lobes) > 1 or truth.side in ("bilateral", "midline") else ""
    items = [f"{_joined(lobes)} {noun}{plural}"] if lobes else []
    items += [rng.choice(_NOUNS[name]) for name in truth.regions if name not in _LOBES]
    return _joined(items)


def _adjective(truth: Truth, regions: Sequence[str]) -> str:
    return f"{truth.side} {_joined([_ADJECTIVES.get(name, name) for name in regions])}"


def _fill(template: str, truth: Truth, **words: str) -> str:
    several = truth.lesion_count > 1
    if several:
        for one, many in _PLURAL:
            template = template.replace(one, many)
    return template.format(**words, **(_SEVERAL if several else _ONE))


def _area(truth: Truth, rng: random.Random) -> str:
    hindbrain = _HINDBRAIN.intersection(truth.regions)
    half, halves = ("half", "halves") if hindbrain else ("hemisphere", "hemispheres")
    form = rng.choice(_AREAS[truth.side])
    return form.format(side=truth.side, list=_noun_list(truth, rng), half=half, halves=halves)


def _area_sentences(truth: Truth, rng: random.Random) -> list[str]:
    template = rng.choice(_AREA_SENTENCES)
    apart = rng.random() < _SIGNAL_SENTENCE_SHARE
    tail = rng.choice(_SIGNAL_TAILS[truth.signal])
    after = rng.choice(_SIGNAL_SENTENCES[truth.signal])
    area, adjective = _area(truth, rng), _adjective(truth, truth.regions)
    if not tail.startswith(",") and "," in area + adjective:
        tail = "," + tail
    before = template.replace("{signal}", "" if apart else tail)
    sentence = _fill(before, truth, area=area, adjective=adjective)
    return [sentence, _fill(after, truth)] if apart else [sentence]


def _the_lesion(truth: Truth, rng: random.Random) -> str:
    """How a later sentence points back: often "the lesion", at times with its side and one of its regions."""
    noun = "lesions" if truth.lesion_count > 1 else "lesion"
    named = _adjective(truth, [rng.choice(truth.regions)])
    return rng.choice((f"the {noun}", f"the {noun}", f"the {named} {noun}"))


def _sign_sentence(degree: str, present: Sequence[str], absent: Sequence[str], truth: Truth, rng: random.Random) -> str:
    template = rng.choice(absent if degree == "none" else present)
    template = template.replace("{place}", rng.choice(_PLACES)).replace("{inside}", rng.choice(_INSIDE))
    return _fill(
        template,
        truth,
        degree=rng.choice(_DEGREE_WORDS[degree]),
        adverb=rng.choice(_DEGREE_ADVERBS[degree]),
        the_lesion=_the_lesion(truth, rng),
    )


def _healthy_sentences(rng: random.Random) -> list[str]:
    rest = [rng.choice(group) for group in _HEALTHY_REST]
    return [rng.choice(_HEALTHY_OPENINGS), *rng.sample(rest, rng.randint(0, 2))]


def narrate(truth: Truth, rng: random.Random) -> str:
    """Phrase `truth` as a report: complete, and nothing that it does not say.

    Without a visible lesion the report is a healthy one; a visible one has a side, a region and a signal. The
    mirrored truth gives the mirrored words: `narrate(truth.mirrored(), rng)` equals
    `mirror_text(narrate(truth, rng))` for equal random states.
    """
    if truth.normal or not truth.visible:
        sentences = _healthy_sentences(rng)
    else:
        sentences = _area_sentences(truth, rng)
        sentences += [_sign_sentence(getattr(truth, name), yes, no, truth, rng) for name, yes, no in _PARTS]
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)
