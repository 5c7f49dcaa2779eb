"""Generating the reports to be scored, for each scan and its mirror image; a run can be interrupted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from brain3d.cohort import Study, is_published, volume_key
from brain3d.evaluation.grounded import Grounding, empty_grounding, ground, mask_is_empty, read_mask
from brain3d.evaluation.score import Answer
from brain3d.reading.mirror_check import FINDINGS_UNSTABLE, SIDE_UNSTABLE
from brain3d.reports import Report, parse_findings
from brain3d.scans import InputError, Scan, VolumeSpec, mirrored_scan, read_scan
from brain3d.scans.cache import CacheError, VolumeCache, preprocessing_version

FEATURES = 128
UNSTABLE = {SIDE_UNSTABLE.code, FINDINGS_UNSTABLE.code}
# What a bad scan can raise. Anything else, such as a lack of memory, is no property of the study and ends the run.
CASE_ERRORS = (InputError, OSError)


class ReportWriter(Protocol):
    """What evaluation asks of a reader; its grid only where volumes are to be cached."""

    @property
    def spec(self) -> VolumeSpec:
        """The grid of its volumes."""

    def volume(self, scan: Scan) -> Any:
        """The volume that the model sees of a scan."""

    def reports(self, scans: Sequence[Any], *, batch_size: int, mirror_check: bool) -> list[Report]:
        """The reports of many volumes, in their order."""

    def visual_tokens(self, scan: Any) -> np.ndarray:
        """What the language model is given: (K, d) float32."""


@dataclass(frozen=True)
class Prediction:
    """What came out for one study. `failure` is the reason where nothing did.

    `features` is a random projection of the scan's visual tokens, by which neighbours are found.
    """

    id: str
    text: str = ""
    mirrored_text: str = ""
    flags: tuple[str, ...] = ()
    mirrored_flags: tuple[str, ...] = ()
    features: tuple[float, ...] = ()
    mirrored_features: tuple[float, ...] = ()
    grounding: Grounding | None = None
    failure: str | None = None

    def answer(self) -> Answer | None:
        """What the two texts say; None for a failed case."""
        if self.failure is not None:
            return None
        unstable = not UNSTABLE.isdisjoint(self.flags)
        return Answer(parse_findings(self.text), parse_findings(self.mirrored_text), unstable)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Prediction:
        """The inverse of `dataclasses.asdict` after a trip through JSON; what is not one raises as it comes."""
        grounding = values["grounding"]
        tuples = ("flags", "mirrored_flags", "features", "mirrored_features")
        plain = {**values, **{name: tuple(values[name]) for name in tuples}}
        found = cls(**{**plain, "grounding": None if grounding is None else Grounding(**grounding)})
        lengths = {len(found.features), len(found.mirrored_features)}
        if found.failure is None and lengths != {FEATURES}:
            raise ValueError(f"not {FEATURES} features")
        return found


def project(tokens: np.ndarray) -> tuple[float, ...]:
    """Visual tokens (K, d) as a short vector that roughly keeps distances: a fixed random projection."""
    flat = tokens.astype(np.float32).ravel()
    matrix = np.random.default_rng(0).standard_normal((flat.size, FEATURES), dtype=np.float32)
    values = flat @ matrix / np.sqrt(flat.size)
    return tuple(round(float(value), 5) for value in values)


class PredictionFile:
    """Predictions on disk, one JSON line each, appended whole; a first line says what made them.

    Opening a file that another model, another cohort, other settings or another version of the preprocessing made is
    an InputError, and so is one that is damaged or cannot be written. A line cut short by an interruption is dropped.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        settings = {**settings, "preprocessing": preprocessing_version()}
        self.done: dict[str, Prediction] = {}
        try:
            self._open(settings)
        except OSError as error:
            raise InputError(f"{path}: cannot be kept there ({error.strerror}); give another folder") from error

    def _open(self, settings: dict[str, Any]) -> None:
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        *whole, rest = lines
        if whole:
            self._check_settings(whole[0], settings)
        for number, line in enumerate(whole[1:], 2):
            try:
                prediction = Prediction.from_dict(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise self._damaged(number) from error
            self.done[prediction.id] = prediction
        if rest:
            with self.path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in whole))
        if not whole:
            self._write(settings)

    def _check_settings(self, line: bytes, settings: dict[str, Any]) -> None:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise self._damaged(1) from error
        if not isinstance(found, dict):
            raise self._damaged(1)
        other = [name for name in {**settings, **found} if found.get(name) != settings.get(name)]
        if other:
            what = ", ".join(name.removesuffix("_sha256").replace("_", " ") for name in other)
            raise InputError(f"{self.path}: made with another {what}; give a new folder, or delete this file")

    def _damaged(self, number: int) -> InputError:
        cure = "delete this file" if number == 1 else "delete that line, or the whole file"
        return InputError(f"{self.path}: line {number} is damaged; {cure}, and its studies will be read again")

    def append(self, prediction: Prediction) -> None:
        """Add a prediction; it is on disk when this returns."""
        self._write(asdict(prediction))
        self.done[prediction.id] = prediction

    def _write(self, values: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Loaded:
    """A study ready to be read: the volumes of its scan and of the mirror image, and its mask measured."""

    study: Study
    volume: Any
    mirrored: Any
    grounding: Grounding | None


def _reason(study: Study, error: Exception) -> str:
    """The error in one line without the file's path or name."""
    line = " ".join(str(error).split()) or type(error).__name__
    for path in (study.image, study.mask):
        if path is not None:
            line = line.replace(str(path), "the file").replace(path.name, "the file")
    return line


def load_study(study: Study, reader: ReportWriter, cache: VolumeCache | None = None) -> Loaded:
    """Read a study's scan and, where no truth stands above it, its mask. Raises one of `CASE_ERRORS`.

    The two volumes come from the cache, where there is one that holds them, and are kept there where it does not. Then
    a scan is read only for its grid, on which a mask has to be measured. CacheError is no fault of the study.
    """
    keys = None if cache is None else _cache_keys(study, published=is_published(cache.spec))
    volume, mirrored = (None, None) if cache is None or keys is None else map(cache.get, keys)
    mask = study.mask if study.truth is None else None
    if volume is not None and mirrored is not None and mask is None:
        return Loaded(study, volume, mirrored, None)
    scan = read_scan(study.image)
    volume = reader.volume(scan) if volume is None else volume
    grounding = None
    if mask is not None:
        grounding = ground(scan, read_mask(mask, scan, f"the mask of study {study.id}"), volume)
    mirrored = reader.volume(mirrored_scan(scan)) if mirrored is None else mirrored
    if cache is not None and keys is not None:
        for key, made in zip(keys, (volume, mirrored), strict=True):
            cache.add(key, made)
    return Loaded(study, volume, mirrored, grounding)


def _cache_keys(study: Study, published: bool) -> tuple[str, str] | None:
    """By what the volumes of the scan and of its mirror image are found: the content of its file, not its name."""
    try:
        with study.image.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # not told here: reading the scan meets it again, and says it in its own words
        return None
    plain, mirrored = (volume_key(content, mirrored=turned, published=published) for turned in (False, True))
    return plain, mirrored


def _unloaded(study: Study, error: Exception) -> Prediction:
    """The failed prediction of a study that could not be loaded. An empty mask needs no scan to say healthy."""
    failed = Prediction(study.id, failure=_reason(study, error))
    if study.mask is None or study.truth is not None:
        return failed
    try:
        empty = mask_is_empty(study.mask)
    except InputError:  # nothing is known of the mask either: it stays taken for a lesion's, see references.py
        return failed
    return replace(failed, grounding=empty_grounding()) if empty else failed


def _written(item: Loaded, report: Report, mirrored: Report, reader: ReportWriter) -> Prediction:
    return Prediction(
        id=item.study.id,
        text=report.text,
        mirrored_text=mirrored.text,
        flags=tuple(flag.code for flag in report.flags),
        mirrored_flags=tuple(flag.code for flag in mirrored.flags),
        features=project(reader.visual_tokens(item.volume)),
        mirrored_features=project(reader.visual_tokens(item.mirrored)),
        grounding=item.grounding,
    )


def _read_batch(items: list[Loaded], reader: ReportWriter, mirror_check: bool) -> list[Prediction]:
    """The predictions of a batch; where it fails as a whole, of each study alone."""
    volumes = [volume for item in items for volume in (item.volume, item.mirrored)]
    try:
        reports = reader.reports(volumes, batch_size=len(volumes), mirror_check=mirror_check)
        pairs = zip(items, reports[::2], reports[1::2], strict=True)
        return [_written(item, report, mirrored, reader) for item, report, mirrored in pairs]
    except CASE_ERRORS as error:
        if len(items) == 1:
            item = items[0]
            return [Prediction(item.study.id, grounding=item.grounding, failure=_reason(item.study, error))]
    return [prediction for item in items for prediction in _read_batch([item], reader, mirror_check)]


def _batches(studies: Iterable[Study], size: int) -> Iterator[list[Study]]:
    pending = iter(studies)
    while batch := list(islice(pending, size)):
        yield batch


def predict(
    studies: Sequence[Study],
    reader: ReportWriter,
    file: PredictionFile,
    *,
    batch_size: int,
    mirror_check: bool,
    cache: VolumeCache | None = None,
) -> list[Prediction]:
    """Read every study that `file` does not hold yet, and return the predictions in the studies' order."""
    missing = [study for study in studies if study.id not in file.done]
    with tqdm(total=len(studies), initial=len(studies) - len(missing), desc="reading", unit="scan") as bar:
        for batch in _batches(missing, max(1, batch_size // 2)):
            loaded = []
            for study in batch:
                try:
                    loaded.append(load_study(study, reader, cache))
                except CacheError:
                    raise
                except CASE_ERRORS as error:
                    file.append(_unloaded(study, error))
            for prediction in _read_batch(loaded, reader, mirror_check) if loaded else []:
                file.append(prediction)
            bar.update(len(batch))
    return [file.done[study.id] for study in studies]
