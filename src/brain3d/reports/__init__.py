"""Reports: the findings schema, reading findings out of text, mirroring words, the report and its JSON."""

from brain3d.reports.evidence import LesionEvidence, Reading, Span
from brain3d.reports.faults import mirror_fault, report_fault
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
from brain3d.reports.lexicon import Lexicon, default_lexicon, load_lexicon
from brain3d.reports.mirror import mirror_text
from brain3d.reports.parse import parse_findings, read_report
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
    "LesionEvidence",
    "Lexicon",
    "Reading",
    "Report",
    "Span",
    "canonical_regions",
    "default_lexicon",
    "load_lexicon",
    "mirror_fault",
    "mirror_findings",
    "mirror_side",
    "mirror_text",
    "overall_side",
    "parse_findings",
    "read_report",
    "report_fault",
    "report_schema",
    "withhold_side",
]
