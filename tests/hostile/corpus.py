"""All hostile inputs, by class; and those that only look so."""

from __future__ import annotations

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
