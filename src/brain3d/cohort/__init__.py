"""Cohorts: manifests of studies, with the reports and truths that belong to them."""

from brain3d.cohort.folder import Cohort, open_cohort
from brain3d.cohort.manifest import Study, manifest_schema, read_manifest, write_manifest
from brain3d.cohort.volumes import PUBLISHED, open_volumes, study_volume, volume_key

__all__ = [
    "PUBLISHED",
    "Cohort",
    "Study",
    "manifest_schema",
    "open_cohort",
    "open_volumes",
    "read_manifest",
    "study_volume",
    "volume_key",
    "write_manifest",
]
