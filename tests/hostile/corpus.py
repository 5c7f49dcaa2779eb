"""All hostile inputs, by class; and those that only look so."""

from __future__ import annotations

import os
from pathlib import Path

import bad_archives
import bad_data
import bad_dicom
import bad_headers
import bad_places
from sound import Harmless, Member

CLASSES: dict[str, tuple[Member, ...]] = {
    "headers": bad_headers.MEMBERS,
    "data": bad_data.MEMBERS,
    "archives": bad_archives.MEMBERS,
    "dicom": bad_dicom.MEMBERS,
    "places": bad_places.MEMBERS,
}
HOSTILE = tuple(member for members in CLASSES.values() for member in members)
HARMLESS: tuple[Harmless, ...] = tuple(
    one for module in (bad_headers, bad_data, bad_archives, bad_dicom, bad_places) for one in module.HARMLESS
)
MOST_PATH_BYTES = 4096


def everything(folder: Path) -> set[tuple[str, int, int]]:
    """What lies below a folder: paths, sizes and times of change. Paths that are too long for the system stay out."""
    found = set()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if len(os.fsencode(path)) < MOST_PATH_BYTES:
                status = os.lstat(path)
                found.add((path, status.st_size, status.st_mtime_ns))
    return found
