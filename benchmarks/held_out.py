"""What the reports of a run say after one of its alignment stages, on its held-out phantoms and their mirror images.

For choosing between variants of the text stages: greedy words for each image by itself, without the mirror check.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import machine
from brain3d.evaluation.score import accepted_sides
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.phantom.truth import Truth
from brain3d.reports import overall_side, parse_findings
from brain3d.reports.findings import mirror_side
from brain3d.training.alignment import after_stages, alignment_stages, assemble
from brain3d.training.cells import is_clear
from brain3d.training.features import compressed_features
from brain3d.training.recipe import load_recipe
from brain3d.training.run import Run
from brain3d.training.said import said_scores

PARTS = 6


def written(run: Run, name: str) -> list[str]:
    """The reports of every held-out phantom and its mirror image, one after the other."""
    stages = alignment_stages(run)
    last = [stage.name for stage in stages].index(name)
    model = after_stages(run, assemble(run), stages[: last + 1]).eval()
    features = compressed_features(model.model, run.held_out, run.folder / "features", "held-out").flatten(0, 1)
    processor = Brain3DProcessor.from_config(run.tokenizer(), model.config)
    texts: list[str] = []
    with torch.inference_mode():
        for part in features.float().chunk(PARTS):
            inputs = processor(batch_size=len(part))
            ids = model.generate(**inputs, compressed_tokens=part, max_new_tokens=140, do_sample=False)
            texts += processor.decode(ids)
    return texts


def sides(texts: list[str], truths: list[Truth]) -> tuple[float, float]:
    """Of clear lesions: how often the side of those seen is right, and both readings that see one agree on it."""
    right, agree = [], []
    for k, truth in enumerate(truths):
        if not is_clear(truth):
            continue
        own, other = (parse_findings(text) for text in texts[2 * k : 2 * k + 2])
        said = [overall_side(own) if own.lesions else None, mirror_side(overall_side(other)) if other.lesions else None]
        right += [side in accepted_sides(truth) for side in said if side is not None]
        agree += [said[0] == said[1]] if None not in said else []
    return float(np.mean(right)), float(np.mean(agree))


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("stage", help="the alignment stage after which to write")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for brain3d train")
    arguments = parser.parse_args()
    run = Run(load_recipe(arguments.recipe, arguments.overrides))
    texts, truths = written(run, arguments.stage), run.held_out.truths
    both = [truth for truth in truths for _ in range(2)]
    scores = said_scores(texts, both, np.tile([False, True], len(truths)))
    right, agree = sides(texts, truths)
    rows = [(name, value, "", "") for name, value in scores.items()]
    rows += [("side, of those seen", right, "", ""), ("both readings agree on the side", agree, "", "")]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
