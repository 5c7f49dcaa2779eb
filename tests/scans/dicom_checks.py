"""What tests of DICOM studies share: the image, what a refusal has to be, and what has to be the same."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pytest
from dicom_studies import SECRETS
from heads import affine_of

from brain3d.scans import InputError, read_scan, to_canonical

SHAPE = (16, 18, 17)
AFFINE = affine_of((5, 5, 6), SHAPE, (4, -3, 6), (10, -20, 30))
NOT_FLAIR = {"InversionTime": None, "EchoTime": 3.0, "SeriesDescription": "x", "ScanningSequence": "GR"}


def refused(path, words, **options):
    """The study is refused in one short line that starts with the path as given, holds `words` and names nobody."""
    with pytest.raises(InputError) as caught:
        read_scan(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert re.search(words, message), message
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    nobody_named(message.removeprefix(str(path)))
    return message


def nobody_named(words):
    for secret in SECRETS:
        assert secret.lower() not in words.lower()


def same_image(scan, data, affine):
    mine, where = to_canonical(scan.data, scan.affine)
    theirs, there = to_canonical(data, affine)
    assert np.array_equal(mine, theirs)
    assert np.allclose(where, there, atol=1e-4)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
