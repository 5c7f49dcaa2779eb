"""Writes DICOM studies for the tests: the same image as classic slices or as one multi-frame file, full of names."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
ROOT = "1.2.826.0.1.3680043.10.99"
SECRETS = ("Vandoren", "Jane", "19700203", "20240506", "4711", ROOT, "Mercy", "knee of")


def series_of(data: np.ndarray, affine: np.ndarray, number: int = 1, **elements: Any) -> list[Dataset]:
    """The slices of an image (column, row, slice) with its RAS affine, in the order of the last index.

    `elements` overwrite those of every slice, None removes one; stored values are data / 0.5 - 20.
    """
    return [_slice(data[:, :, k], affine, k, number, elements) for k in range(data.shape[2])]


def _slice(plane: np.ndarray, affine: np.ndarray, k: int, number: int, elements: dict[str, Any]) -> Dataset:
    dataset = patient()
    dataset.SOPClassUID, dataset.Modality = MR, "MR"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.{number}.{k + 1}", f"{ROOT}.{number}"
    dataset.SeriesNumber, dataset.InstanceNumber = number, k + 1
    dataset.SeriesDescription, dataset.ImageType = "t2_tirm_tra_dark-fluid knee of Jane", ["ORIGINAL", "PRIMARY", "M"]
    dataset.EchoTime, dataset.InversionTime, dataset.ScanningSequence = 90.0, 2400.0, ["SE", "IR"]
    dataset.MRAcquisitionType = "2D"
    place(dataset, affine, k)
    pixels(dataset, plane[:, :, None])
    set_elements(dataset, elements)
    return dataset


def patient() -> Dataset:
    """What names somebody."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Vandoren^Jane", "4711", "19700203"
    dataset.StudyDate, dataset.InstitutionName, dataset.StudyInstanceUID = "20240506", "Mercy", f"{ROOT}.0"
    dataset.StudyDescription = "Head of Jane Vandoren"
    return dataset


def set_elements(dataset: Dataset, elements: dict[str, Any]) -> None:
    """Overwrite elements; None removes one."""
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)


def _directions(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return lps, np.linalg.norm(lps[:3, :3], axis=0)


def place(dataset: Dataset, affine: np.ndarray, k: int) -> None:
    """Position, orientation and spacing of slice `k`."""
    lps, spacing = _directions(affine)
    dataset.ImagePositionPatient = _decimals(lps[:3, 3] + k * lps[:3, 2])
    dataset.ImageOrientationPatient = _decimals((lps[:3, :2] / spacing[:2]).T.ravel())
    dataset.PixelSpacing = _decimals(spacing[[1, 0]])
    dataset.SliceThickness = _decimals(spacing[2:])[0]
    dataset.SpacingBetweenSlices = dataset.SliceThickness


def _decimals(values: np.ndarray) -> list[str]:
    return [f"{value:.9f}"[:16] for value in values]


def pixels(dataset: Dataset, frames: np.ndarray) -> None:
    """Signed 16-bit pixels of an array (column, row, frame), with a rescale slope and intercept."""
    dataset.Columns, dataset.Rows = frames.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, 10.0
    dataset.PixelData = np.rint((frames.T - 10.0) / 0.5).astype("<i2").tobytes()


def multiframe_of(data: np.ndarray, affine: np.ndarray, order: list[int] | None = None, **elements: Any) -> Dataset:
    """The image as one enhanced multi-frame dataset, its frames stored in `order`."""
    order = list(range(data.shape[2])) if order is None else order
    whole = _slice(data[:, :, 0], affine, 0, 1, {})
    whole.SOPClassUID, whole.NumberOfFrames = ENHANCED_MR, len(order)
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = _item(whole, "ImageOrientationPatient")
    shared.PixelMeasuresSequence = _item(whole, "PixelSpacing", "SliceThickness", "SpacingBetweenSlices")
    shared.PixelValueTransformationSequence = _item(whole, "RescaleSlope", "RescaleIntercept")
    shared.MREchoSequence, shared.MRModifierSequence = Sequence([Dataset()]), Sequence([Dataset()])
    shared.MREchoSequence[0].EffectiveEchoTime = 90.0
    shared.MRModifierSequence[0].InversionTimes = [2400.0]
    shared.MRModifierSequence[0].InversionRecovery = "YES"
    for k in order:
        slot = Dataset()
        place(slot, affine, k)
        frame = Dataset()
        frame.PlanePositionSequence = _item(slot, "ImagePositionPatient")
        frames.append(frame)
    pixels(whole, data[:, :, order])
    moved = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    moved += ("SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept", "EchoTime", "InversionTime")
    set_elements(whole, dict.fromkeys((*moved, "ScanningSequence")))
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    set_elements(whole, elements)
    return whole


def _item(source: Dataset, *keywords: str) -> Sequence:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, source.get(keyword))
    return Sequence([item])


def as_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, bare: bool = False) -> bytes:
    """A DICOM file; `bare` leaves out the preamble and the file meta group. Compress before."""
    buffer = io.BytesIO()
    swapped = syntax == ExplicitVRBigEndian
    if swapped:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    if bare:
        dataset.save_as(buffer, implicit_vr=UID(syntax).is_implicit_VR, little_endian=not swapped)
        return buffer.getvalue()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save(folder: Path, datasets: list[Dataset], prefix: str = "Vandoren", syntax: str = ExplicitVRLittleEndian) -> Path:
    """Files of names that say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    shuffled = np.random.default_rng(0).permutation(len(datasets))
    for name, dataset in zip(shuffled, datasets, strict=True):
        (folder / f"{prefix}{name:04d}").write_bytes(as_bytes(dataset, syntax))
    return folder
