"""Reports: the findings schema, reading findings out of text, mirroring words, the report and its JSON."""

from brain3d.reports.findings import (
    DEGREES,
    REGIONS,
    SIDES,
    SIGNALS,
    Findings,
    Lesion,
    canonical_regions,
    mirror_findings,
    mirror_side,
    overall_side,
)
from brain3d.reports.mirror import mirror_text
from brain3d.reports.parse import parse_findings
from brain3d.reports.report import DISCLAIMER, SCHEMA_VERSION, Report, report_schema
from brain3d.reports.withhold import SIDE_WITHHELD, withhold_side

__all__ = [
    "DEGREES",
    "DISCLAIMER",
    "REGIONS",
    "SCHEMA_VERSION",
    "SIDES",
    "SIDE_WITHHELD",
    "SIGNALS",
    "Findings",
    "Lesion",
    "Report",
    "canonical_regions",
    "mirror_findings",
    "mirror_side",
    "mirror_text",
    "overall_side",
    "parse_findings",
    "report_schema",
    "withhold_side",
]
