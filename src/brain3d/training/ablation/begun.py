"""What a run has learned before its last stage, kept for arms that begin in the same way.

`no-lora` is the centre before its last stage, `no-warm-up` goes on from the centre's first: trained again, both would
come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.training.ablation.arms import Arm
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.checkpoint import write_durably

LEARNED = ("model.projector.", "model.compression.")


class Cost(NamedTuple):
    """The mean loss of a stage's last steps, and the CPU seconds that it took."""

    loss: float
    cpu_seconds: float


def begun_file(recipe: Ablation, arm: Arm, seed: int, stages: Sequence[str]) -> Path:
    """Where an arm's weights after `stages` are kept: the same for all arms that train alike so far."""
    mirror = "mirrored" if arm.mirror else "unmirrored"
    name = "+".join([arm.view.name, arm.compression, mirror, *stages, str(seed)])
    return Path(recipe.output) / "shared" / "begun" / f"{name}.safetensors"


def save_begun(file: Path, model: Brain3DForConditionalGeneration, cost: Cost) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    learned = {n: v.detach().cpu().contiguous() for n, v in model.state_dict().items() if n.startswith(LEARNED)}
    content = save(learned, metadata={name: repr(value) for name, value in cost._asdict().items()})
    write_durably(file, lambda opened: opened.write(content))


@torch.no_grad()
def load_begun(file: Path, model: Brain3DForConditionalGeneration) -> Cost | None:
    """Put kept weights into the model; None where there are none."""
    if not file.exists():
        return None
    own = model.state_dict()
    with safe_open(file, "pt") as kept:
        for name in kept.keys():  # noqa: SIM118 - no mapping
            own[name].copy_(kept.get_tensor(name))
        return Cost(**{name: float(value) for name, value in kept.metadata().items()})
