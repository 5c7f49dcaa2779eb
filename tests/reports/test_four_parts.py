"""Reports in four parts, put together from templates: side and regions are those of the first part."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.reports import canonical_regions, mirror_findings, mirror_text, overall_side, parse_findings

LOBES = ("frontal", "parietal", "temporal", "occipital")
# {side} is left or right, {lobes} one or more lobes as adjectives
AREAS = [
    "The lesion area is in the {side} {lobes} lobes with {signal}.",
    "The lesion area is in the {lobes} lobes of the {side} hemisphere, with {signal}.",
    "The lesion area is mainly in the {side} hemisphere. It involves the {lobes} lobes, with {signal}.",
    "The lesion area is mainly in the {side} hemisphere, involving the {lobes} regions and presenting {signal}.",
    "The lesion is on the {side} side of the brain, mostly in the {lobes} lobes, showing {signal}.",
    "The lesions are concentrated in the {side} {lobes} regions; {signal} is seen.",
    "Lesions are distributed in the {side} {lobes} areas, with unclear boundaries and {signal}.",
    "The lesion area covers the {side} {lobes} lobes, with {signal} and irregular shape.",
    "In the {side} hemisphere, the {lobes} lobes show a lesion with {signal}.",
    "A large lesion occupies the {lobes} lobes on the {side}, with {signal}.",
    "The {side} {lobes} lobes show lesions with {signal}.",
    "There are multiple lesions in the {side} cerebral hemisphere, affecting the {lobes} lobes. The signal is uneven.",
    "The lesion affects the {side} hemisphere, predominantly the {lobes} lobes, and has {signal}.",
    "The main lesion area lies in the {side} {lobes} lobes. The lesion shows {signal}.",
]
SIGNALS = [
    "mixed signals",
    "high signal",
    "patchy high and low signals",
    "heterogeneous signal",
    "a spotty high signal",
]
# the places in these are of any side and lobe
EDEMA = [
    "Edema is observed in the {side} {lobes} lobes, with significant swelling of the surrounding tissue.",
    "Edema is extensive, affecting the {side} {lobes} lobes and extending to the opposite hemisphere.",
    "Edema is mainly around the lesion. It reaches the {side} {lobes} lobes.",
    "Edema appears as a high-signal area in the {side} {lobes} lobes, surrounding the lesion.",
    "Significant edema is seen around the lesion area, spreading to the {lobes} lobes on the {side} side.",
    "The edema is widespread, occupying a large part of the {side} {lobes} lobes.",
    "The {side} {lobes} lobes show edema with increased signal. The edema has an unclear boundary.",
    "The tissue around the lesion is swollen, and the {side} {lobes} lobes are affected by edema.",
    "There is edema in the {side} {lobes} lobes, shown by high signal; it is marked near the lesion.",
    "High signal in the {side} {lobes} lobes indicates edema.",
    "Surrounding edema extends into the {side} {lobes} white matter, and its signal is high.",
    "No edema is seen in the {side} {lobes} lobes.",
]
NECROSIS = [
    "Necrosis is present in the {side} {lobes} lobes, shown by low signal.",
    "Necrosis is suggested by regions with lower signal in the {side} {lobes} lobes.",
    "Necrosis may be present within the lesion, with mixed signals in the {side} {lobes} lobes.",
    "Necrotic areas are concentrated in the {side} {lobes} lobes, where the signal is uneven.",
    "Necrosis is not obvious. The {side} {lobes} lobes show no necrotic area.",
    "The low signal in the {side} {lobes} lobes suggests necrosis.",
    "Necrosis is seen next to the high-signal lesion areas on the {side} side.",
    "Some areas in the {side} {lobes} lobes show necrosis, with some regions extremely bright.",
]
VENTRICLES = [
    "Ventricular compression is observed in the {side} lateral ventricle.",
    "Ventricular compression is significant, and the {side} lateral ventricle is deformed and smaller.",
    "The {side} lateral ventricle is compressed, with its posterior horn narrowed.",
    "Compression of the ventricles is noticeable on the {side} side, with a shift of the midline.",
    "The ventricles are compressed by the lesion, more on the {side}.",
    "No ventricular compression is seen on the {side} side.",
    "Ventricular compression is not clearly shown, since the ventricles are hardly visible on the {side}.",
    "Ventricular compression: the ventricles are pushed to the {side}.",
    "The lesion compresses the {side} lateral ventricle, and the midline is shifted.",
    "Due to the mass effect, the {side} ventricle is reduced in size.",
]
SIDES = st.sampled_from(("left", "right"))
SOME = st.lists(st.sampled_from(LOBES), min_size=1, max_size=3, unique=True)


def part(templates: list[str]) -> st.SearchStrategy[str]:
    """A sentence from one of the templates, with any side and lobes."""
    return st.builds(
        lambda template, side, lobes, signal: template.format(side=side, lobes=listed(lobes), signal=signal),
        st.sampled_from(templates),
        SIDES,
        SOME,
        st.sampled_from(SIGNALS),
    )


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


REST = st.tuples(part(EDEMA), part(NECROSIS), part(VENTRICLES)).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(AREAS), SIDES, SOME, st.sampled_from(SIGNALS), REST)
def test_the_lesion_is_where_its_own_statement_says(
    area: str, side: str, lobes: list[str], signal: str, rest: str
) -> None:
    text = f"{area.format(side=side, lobes=listed(lobes), signal=signal)} {rest}"
    findings = parse_findings(text)
    assert len(findings.lesions) == 1
    assert (overall_side(findings), findings.lesions[0].regions) == (side, canonical_regions(lobes))
    assert parse_findings(mirror_text(text)) == mirror_findings(findings)
