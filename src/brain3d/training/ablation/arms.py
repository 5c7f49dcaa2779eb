"""The arms: what is trained, and in which one thing each differs from the centre."""

from __future__ import annotations

from typing import NamedTuple

STAGES = ("grounding", "warm-up", "specialisation")  # the paper's 1, 2A and 2B


class View(NamedTuple):
    """What the frozen tower is shown: whole volumes, or slices that it encodes one by one."""

    image: str = "volume"  # or "slices"
    inflation: str = "average"
    positions: str = "kept"

    @property
    def name(self) -> str:
        return "slices" if self.image == "slices" else f"volume-{self.inflation}-{self.positions}"


class Arm(NamedTuple):
    """One way to train. `title` says what differs from the centre."""

    name: str
    title: str
    stages: tuple[str, ...] = STAGES
    view: View = View()
    compression: str = "grid"
    mirror: float = 0.5  # how often a phantom is seen mirrored, words and image


CENTRE = Arm("all-stages", "all three stages, 3-D, grid, kept positions, average inflation, mirrored")
ARMS = (
    CENTRE,
    Arm("slices-mean", "2-D slices + mean", view=View(image="slices")),
    Arm("no-grounding", "without grounding (1)", stages=STAGES[1:]),
    Arm("no-warm-up", "without warm-up (2A)", stages=(STAGES[0], STAGES[2])),
    Arm("no-lora", "without LoRA (2B)", stages=STAGES[:2]),
    Arm("sequence", "sequence compression", compression="sequence"),
    Arm("perceiver", "perceiver compression", compression="perceiver"),
    Arm("published-positions", "published positions", view=View(positions="published")),
    Arm("centre-inflation", "centre inflation", view=View(inflation="center")),
    Arm("no-mirror", "without mirror augmentation", mirror=0.0),
)
NAMES = tuple(arm.name for arm in ARMS)


def arm_named(name: str) -> Arm:
    """The arm of that name. KeyError where there is none."""
    return {arm.name: arm for arm in ARMS}[name]
