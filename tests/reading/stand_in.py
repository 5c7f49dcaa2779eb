"""An engine whose answers are known, in place of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from brain3d.reading import Decoding, Written
from brain3d.reading.models import Identity
from brain3d.scans import Scan, Volume, VolumeSpec, prepare

HEALTHY = "No focal lesion is seen."


def lesion(side: str, region: str = "frontal") -> str:
    return f"There is a lesion in the {side} {region} lobe with high signal. Mild edema surrounds the lesion."


Rule = Callable[[bool], str]
Weight = Callable[[bool, str], float]


def sees_left(volume: np.ndarray) -> bool:
    bright = np.argwhere(volume[0] > 0.9)
    return bool(bright[:, 2].mean() < (volume.shape[-1] - 1) / 2)


class StandIn:
    """An engine that answers by a rule, scores texts by a weight, and counts what it was shown.

    Both are told whether the bright spot lies on the left. A text is cut where the rule ends it with dots.
    """

    identity = Identity("stand-in", "0", "0" * 64)
    spec = VolumeSpec()
    compat: str | None = None
    decoding = Decoding()

    def __init__(self, rule: Rule, weight: Weight = lambda left, text: 0.0) -> None:
        self.rule, self.weight, self.shown = rule, weight, 0

    def settings(self) -> dict[str, Any]:
        return {"prompt": "?", "device": "cpu", "dtype": "float32"}

    def prepare(self, scan: Scan, brain_extraction: str) -> Volume:
        return prepare(scan, self.spec, brain_extraction=brain_extraction)

    def encode(self, volumes: Sequence[np.ndarray]) -> list[bool]:
        self.shown += len(volumes)
        return [sees_left(volume) for volume in volumes]

    def write(self, features: Sequence[bool], decoding: Decoding) -> list[Written]:
        texts = [self.rule(left) for left in features]
        return [Written(text, not text.endswith("..")) for text in texts]

    def score(self, features: bool, text: str, beside: str | None = None) -> float:
        words, others = text.split(), [] if beside is None else beside.split()
        shared = next((k for k, (a, b) in enumerate(zip(words, others, strict=False)) if a != b), None)
        return self.weight(features, text if shared is None else " ".join(words[: shared + 1]))

    def visual_tokens(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        return np.zeros((len(volumes), 1, 1), np.float32)

    def evidence(self, volume: np.ndarray) -> np.ndarray | None:
        return None


def seeing(left: bool) -> str:
    return lesion("left" if left else "right")
