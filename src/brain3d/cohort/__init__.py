"""Cohorts: manifests of studies, with the reports and truths that belong to them."""

from brain3d.cohort.manifest import Study, manifest_schema, read_manifest, write_manifest

__all__ = ["Study", "manifest_schema", "read_manifest", "write_manifest"]
