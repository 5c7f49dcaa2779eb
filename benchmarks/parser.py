"""How well findings are read: hard sentences and whole reports that a person read, narratives of known truth, time.

python benchmarks/parser.py [--narratives N] [--wrong]
An older parser is measured on the same sentences by `git archive REVISION src | tar x -C FOLDER`, then
PYTHONPATH=FOLDER/src python benchmarks/parser.py
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import yaml

import brain3d.reports
from brain3d.phantom.narrative import narrate
from brain3d.phantom.truth import Truth
from brain3d.reports import REGIONS, Findings, Lesion, canonical_regions, mirror_findings, mirror_text, overall_side
from brain3d.reports import parse_findings as parse

TEXTS = Path(__file__).parent.parent / "tests" / "reports"
SENTENCES, REPORTS = TEXTS / "hard_sentences.yaml", TEXTS / "whole_reports.yaml"
SIGNS = ("edema", "necrosis", "ventricular_compression")
DEGREES = ("none", "mild", "moderate", "severe")
SENTENCE = "The left and right frontal lobes show no lesion of the kind, and the mild edema is not in the insula. "


def lesion(values: dict[str, Any]) -> Lesion:
    """The lesion of a case; what is not given is unknown."""
    named = {key: value for key, value in values.items() if key in ("side", "signal", "edema", "necrosis")}
    regions = canonical_regions(values.get("regions", ()))
    return Lesion(**named, regions=regions, ventricular_compression=values.get("compression", "unknown"))


def wanted(case: dict[str, Any]) -> Findings:
    """The findings that a case's author reads from its text."""
    return Findings(case.get("normal", False), tuple(lesion(values) for values in case.get("lesions", ())))


def regions_of(findings: Findings) -> set[str]:
    """The regions of all lesions."""
    return {name for one in findings.lesions for name in one.regions}


def pairs_of(findings: Findings) -> set[tuple[int, str, str]]:
    """(lesion, side, region) of all lesions."""
    return {(i, one.side, name) for i, one in enumerate(findings.lesions) for name in one.regions}


def f1(pairs: list[tuple[set[Any], set[Any]]]) -> float:
    """Micro-F1 over pairs of what is wanted and what was read."""
    return 2 * sum(len(a & b) for a, b in pairs) / max(1, sum(len(a) + len(b) for a, b in pairs))


def share(hits: list[bool]) -> str:
    """Hits of all, as counts and a share."""
    return f"{sum(hits)}/{len(hits)} = {sum(hits) / max(1, len(hits)):.3f}"


def table(title: str, pairs: list[tuple[Findings, Findings]]) -> None:
    """Print the agreement of what is wanted with what was read, finding by finding."""
    ill = [(a, b) for a, b in pairs if a.lesions]
    same = [
        (x, y) for a, b in pairs if len(a.lesions) == len(b.lesions) for x, y in zip(a.lesions, b.lesions, strict=True)
    ]
    print(f"{title}: {len(pairs)} texts")
    print(f"  all findings exactly     {share([a == b for a, b in pairs])}")
    print(f"  side (of all lesions)    {share([overall_side(a) == overall_side(b) for a, b in ill])}")
    print(f"  number of lesions        {share([len(a.lesions) == len(b.lesions) for a, b in pairs])}")
    print(f"  regions, micro-F1        {f1([(regions_of(a), regions_of(b)) for a, b in pairs]):.3f}")
    print(f"  (lesion, side, region)   {f1([(pairs_of(a), pairs_of(b)) for a, b in pairs]):.3f}")
    print(f"  normal or not            {share([a.normal == b.normal for a, b in pairs])}")
    for name in ("signal", *SIGNS):
        print(f"  {name:24} {share([getattr(x, name) == getattr(y, name) for x, y in same])}")


def sign_of(findings: Findings, name: str) -> str:
    """The degree of a sign, over all lesions; the strongest, a denial above silence."""
    order = ("unknown", "none", "present", "mild", "moderate", "severe")
    return max((getattr(one, name) for one in findings.lesions), key=order.index, default="unknown")


def reports_table(cases: dict[str, list[dict[str, Any]]], show: bool) -> None:
    """Print side, regions and signs of whole reports, set by set; with `show` those that were read otherwise."""
    print(f"whole reports in four parts: {sum(len(some) for some in cases.values())} texts")
    for name, some in cases.items():
        read = [parse(case["text"]) for case in some]
        pairs = [(set(c["regions"]), regions_of(f) - set(c.get("open", ()))) for c, f in zip(some, read, strict=True)]
        sides = [overall_side(f) == c["side"] for c, f in zip(some, read, strict=True)]
        signs = [
            [c["signs"][sign] in ("?", sign_of(f, sign)) for sign in SIGNS] for c, f in zip(some, read, strict=True)
        ]
        whole = [side and a == b and all(right) for side, (a, b), right in zip(sides, pairs, signs, strict=True)]
        print(f"  {name:7} all {share(whole)}, side {share(sides)}, regions, micro-F1 {f1(pairs):.3f}")
        if show:
            print("".join(f"\n{c['text']!r}\n" for c, right in zip(some, whole, strict=True) if not right), end="")


def truth(rng: random.Random) -> Truth:
    """Any truth that a phantom could have, one in six healthy."""
    return Truth(
        normal=rng.random() < 1 / 6,
        visible=True,
        side=rng.choice(("left", "right", "bilateral", "midline")),
        left_share=0.5,
        centroid_offset_mm=0.0,
        regions=canonical_regions(rng.sample(REGIONS, rng.randint(1, 5))),
        region_shares={},
        signal=rng.choice(("high", "low", "mixed", "iso")),
        edema=rng.choice(DEGREES),
        necrosis=rng.choice(DEGREES),
        ventricular_compression=rng.choice(DEGREES),
        midline_shift_mm=0.0,
        volume_ml=10.0,
        contrast_to_noise=3.0,
        lesion_count=rng.choice((1, 1, 1, 2, 3)),
        skull=False,
    )


def told(count: int) -> list[tuple[Findings, str]]:
    """What is true, and a narrative of it."""
    cases = []
    for seed in range(count):
        rng = random.Random(seed)
        one = truth(rng)
        cases.append((one.findings(), narrate(one, rng)))
    return cases


def seconds(text: str) -> float:
    """The median processor time of three readings of `text`."""
    times = []
    for _ in range(3):
        start = time.process_time()
        parse(text)
        times.append(time.process_time() - start)
    return statistics.median(times)


def timing(report: str) -> None:
    """Print the time of one report, and how time grows with length."""
    print(f"processor time: one report of {len(report.split())} words {1000 * seconds(report):.1f} ms")
    for name, unit in (("sentences", SENTENCE), ("one sentence", SENTENCE.replace(". ", ", ")), ("letters", "a")):
        took = [seconds((unit * (size // len(unit) + 1))[:size]) for size in (25_000, 50_000, 100_000)]
        print(f"  {name:13} of 25, 50, 100 kB: " + ", ".join(f"{t:.2f}" for t in took) + " s")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--narratives", type=int, default=2000, metavar="N", help="how many (default: 2000)")
    parser.add_argument("--wrong", action="store_true", help="print the sentences that were read otherwise")
    parser.add_argument("--no-time", action="store_true", help="leave the timing out")
    args = parser.parse_args()
    print(f"parser: {Path(brain3d.reports.__file__).parent}")
    cases = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    read = [(wanted(case), parse(case["text"])) for case in cases]
    table("hard sentences", read)
    turned = [
        parse(mirror_text(case["text"])) == mirror_findings(got) for case, (_, got) in zip(cases, read, strict=True)
    ]
    print(f"  mirrored words           {share(turned)}")
    if args.wrong:
        for case, (want, got) in zip(cases, read, strict=True):
            if want != got:
                print(f"\n{case['text']!r}\n  wanted {want}\n  read   {got}")
    reports_table(yaml.safe_load(REPORTS.read_text(encoding="utf-8")), args.wrong)
    stories = told(args.narratives)
    table("narratives", [(want, parse(text)) for want, text in stories])
    if not args.no_time:
        timing(max((text for _, text in stories), key=len))
    return 0


if __name__ == "__main__":
    sys.exit(main())
