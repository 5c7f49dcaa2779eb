"""The truth about a phantom: what a perfect reader could know of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from brain3d.reports.findings import Findings, Lesion, mirror_side


@dataclass(frozen=True)
class Truth:
    """What was drawn and can be measured, over all foci of a phantom together.

    `left_share` is the share of the lesion on the patient's left of the midline, `centroid_offset_mm` the
    signed distance of its centroid from the midline (negative on the left). `visible` is False where the
    lesion does not stand out of the noise or is too small to ask for; its report is then a healthy one.
    `skull` says whether the image shows skull and scalp.
    """

    normal: bool
    visible: bool
    side: str
    left_share: float | None
    centroid_offset_mm: float | None
    regions: tuple[str, ...]
    region_shares: dict[str, float]
    signal: str
    edema: str
    necrosis: str
    ventricular_compression: str
    midline_shift_mm: float
    volume_ml: float
    contrast_to_noise: float | None
    lesion_count: int
    skull: bool

    def findings(self) -> Findings:
        """The findings of a perfect report: normal, or one entry for the whole visible lesion burden."""
        if self.normal or not self.visible:
            return Findings(normal=True)
        lesion = Lesion(
            side=self.side,
            regions=self.regions,
            signal=self.signal,
            edema=self.edema,
            necrosis=self.necrosis,
            ventricular_compression=self.ventricular_compression,
        )
        return Findings(normal=False, lesions=(lesion,))

    def mirrored(self) -> Truth:
        """The truth about the mirrored phantom."""
        share, offset = self.left_share, self.centroid_offset_mm
        return replace(
            self,
            side=mirror_side(self.side),
            left_share=None if share is None else 1 - share,
            centroid_offset_mm=None if offset is None else -offset,
        )

    def to_dict(self) -> dict[str, Any]:
        """The truth as plain JSON values."""
        return {**asdict(self), "regions": list(self.regions)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Truth:
        """The inverse of `to_dict`; a missing or unknown key is a ValueError."""
        names = {item.name for item in fields(cls)}
        if set(values) != names:
            raise ValueError(f"a truth's keys differ from the expected: {', '.join(sorted(names ^ set(values)))}")
        return cls(**{**values, "regions": tuple(values["regions"]), "region_shares": dict(values["region_shares"])})
