"""Pairs for `brain3d score --self-test` from a cohort of phantoms: each report, and its truth in other words."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from brain3d.cohort import read_manifest
from brain3d.evaluation.references import load_truth
from brain3d.phantom.narrative import narrate


def main(args: argparse.Namespace) -> None:
    """Write one line for each study: reference and candidate are its report, the paraphrase is phrased anew."""
    with args.out.open("w", encoding="utf-8") as file:
        for study in read_manifest(args.manifest):
            if study.truth is None or study.report is None:
                continue
            truth, said = load_truth(study.truth), study.report.read_text(encoding="utf-8").strip()
            other = narrate(truth, random.Random(f"{args.seed} {study.id}"))
            pair = {"id": study.id, "reference": said, "candidate": said, "paraphrase": other}
            file.write(json.dumps(pair) + "\n")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("manifest", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("--seed", type=int, default=0)
    main(options.parse_args())
