"""What a `Reader` asks of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from brain3d.reading.decoding import Decoding, Written
from brain3d.reading.models import Identity
from brain3d.scans import Scan, Volume, VolumeSpec

Features = Any  # what an engine knows of one volume, handed back to it as it came


class Engine(Protocol):
    """A model as a reader sees it: arrays in, words and arrays out. Volumes are (1, D, H, W) on `spec`."""

    @property
    def identity(self) -> Identity:
        """Name, version, hash."""

    @property
    def spec(self) -> VolumeSpec:
        """The grid of the volumes."""

    @property
    def compat(self) -> str | None:
        """Whose arithmetic the model follows where it is not this project's own: "published", or None."""

    @property
    def decoding(self) -> Decoding:
        """How the model's words are chosen where the caller does not say."""

    def settings(self) -> dict[str, Any]:
        """What a report's `generation` says of the model's side: prompt, device, dtype and why."""

    def prepare(self, scan: Scan, brain_extraction: str) -> Volume:
        """The volume that the model sees of a scan."""

    def encode(self, volumes: Sequence[np.ndarray]) -> list[Features]:
        """What the model sees of each volume; a volume's features do not depend on the others."""

    def write(self, features: Sequence[Features], decoding: Decoding) -> list[Written]:
        """The text for each volume."""

    def score(self, features: Features, text: str, beside: str | None = None) -> float:
        """The log-probability that the model gives to `text`, with its end, as the report of one volume.

        `beside` another text, of its opening alone: through the first token that the other does not share.
        """

    def visual_tokens(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        """(B, K, d) float32: what the language model is given."""

    def evidence(self, volume: np.ndarray) -> np.ndarray | None:
        """Probability of a lesion at every voxel (D, H, W) float32; None for a model without that head."""
