"""The report as it leaves the house: the words, what they say, and where they come from."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from brain3d.reports.findings import Findings

if TYPE_CHECKING:
    from brain3d.scans.types import Flag

SCHEMA_VERSION = "1.0"
DISCLAIMER = (
    "Draft for research, written by a machine. It is not a diagnosis, no physician has checked it, and the "
    "software is not a medical device."
)
_WIDTH = 100
_HASH_LENGTH = 12


@dataclass(frozen=True)
class Report:
    """A draft report with its provenance.

    `scan` holds sha256, shape, spacing_mm and axes ("unknown" where the side is) of what was read, and which series
    of a DICOM study that was; `preprocessing` the steps in order, each with its parameters; `model` name, version
    and hash; `generation` the decoding.
    """

    text: str
    findings: Findings
    flags: tuple[Flag, ...]
    scan: dict[str, Any]
    preprocessing: list[dict[str, Any]]
    model: dict[str, Any]
    generation: dict[str, Any]
    disclaimer: str = DISCLAIMER

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, in the form of `report_schema()`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "report": self.text,
            "findings": self.findings.to_dict(),
            "flags": [{"code": flag.code, "message": flag.message} for flag in self.flags],
            "scan": self.scan,
            "preprocessing": self.preprocessing,
            "model": self.model,
            "generation": self.generation,
            "disclaimer": self.disclaimer,
        }

    @classmethod
    def from_dict(cls, values: Any) -> Report:
        """The inverse of `to_dict`. ValueError for values that are no report, or one of another schema version."""
        from brain3d.scans.types import Flag  # late: reading findings needs none of what scans import

        try:
            report = cls(
                text=values["report"],
                findings=Findings.from_dict(values["findings"]),
                flags=tuple(Flag(flag["code"], flag["message"]) for flag in values["flags"]),
                **{name: values[name] for name in ("scan", "preprocessing", "model", "generation", "disclaimer")},
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a report") from error
        parts = (report.scan, report.model, report.generation)
        texts = (report.text, report.disclaimer)
        plain = all(isinstance(part, dict) for part in parts) and all(isinstance(text, str) for text in texts)
        if not plain or not isinstance(report.preprocessing, list) or report.to_dict() != values:
            raise ValueError("not a report")
        return report

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON; a value that JSON does not know, such as NaN, is a ValueError."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """The report for a person at a terminal: the words, the flags as notes, the draft notice."""
        hashed = "sha256 of the series' voxels and geometry" if "series" in self.scan else "file sha256"
        source = (
            f"Model {self.model['name']} {self.model['version']} ({str(self.model['hash'])[:_HASH_LENGTH]}), "
            f"{hashed} {str(self.scan['sha256'])[:_HASH_LENGTH]}."
        )
        notes = [f"Note ({flag.code}): {flag.message}" for flag in self.flags]
        blocks = [self.text, *notes, f"{self.disclaimer} {source}"]
        return "\n\n".join(textwrap.fill(block, _WIDTH) for block in blocks) + "\n"


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `Report.to_dict()`."""
    text = resources.files("brain3d.reports").joinpath("report.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
