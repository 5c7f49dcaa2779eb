"""The reader: a scan in, a report out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from brain3d.reading.decoding import Decoding, Written
from brain3d.reading.evidence import suspected_point
from brain3d.reading.mirror_check import Checked, Pair, check, check_as_written, choose, without_side
from brain3d.reading.protocol import Engine, Features
from brain3d.reading.software import software
from brain3d.reports import Report, mirror_text, parse_findings
from brain3d.scans import Flag, InputError, Scan, Volume, VolumeSpec, mirror, read_scan
from brain3d.scans.types import SIDE_UNKNOWN, UNKNOWN_AXES

CUT_SHORT = Flag("cut_short", "The text reached the most tokens allowed and may lack its end.")
UNCLEAR = Flag("findings_unclear", "The text states neither a lesion nor that there is none.")


@dataclass(frozen=True)
class Prepared:
    """A scan that is ready to be read: its volume on the model's grid, and what the report says of the file."""

    volume: Volume
    scan: dict[str, Any]


Readable = str | os.PathLike[str] | Scan | Volume | Prepared


@dataclass(frozen=True)
class _Reading:
    """What the model sees of one image, and what it wrote of it."""

    features: Features
    written: Written


class Reader:
    """Reads scans with one model. Make one with `brain3d.load`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def spec(self) -> VolumeSpec:
        """The grid of the volumes that the model sees."""
        return self._engine.spec

    def identity(self) -> dict[str, str]:
        """Name, version and weight hash of the model, as its reports state them."""
        return self._engine.identity.to_dict()

    def decoding(
        self,
        *,
        seed: int = 0,
        max_new_tokens: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
    ) -> Decoding:
        """How words are chosen; None leaves it to the model, which is greedy unless its own configuration says else."""
        given = {"max_new_tokens": max_new_tokens, "do_sample": do_sample, "temperature": temperature}
        stated: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(self._engine.decoding, seed=seed, **stated)

    def generation(self, decoding: Decoding) -> dict[str, Any]:
        """What reports that are decoded so state of their generation, but for the mirror check."""
        return {"software": software(), **self._engine.settings(), **decoding.to_dict()}

    def report(
        self,
        scan: Readable,
        *,
        axes: str | None = None,
        without_side: bool = False,
        series: str | int | None = None,
        brain_extraction: str = "auto",
        mirror_check: bool = True,
        seed: int = 0,
        max_new_tokens: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
    ) -> Report:
        """The report of one scan: a path, or what `read_scan`, `prepared` or `volume` returned.

        `axes`, `without_side` and `series` as for `read_scan`, and for a path alone; `brain_extraction` as for
        `prepare`, and not for a volume. With `mirror_check` the mirror image is read too, the text is the one that the
        model finds likelier for the two images together, and its side is withheld where the two readings disagree; of
        a model that follows the published arithmetic the text is always what it wrote of the scan, and the findings
        and a flag tell where the readings disagree. `max_new_tokens`, `do_sample` and `temperature` are as for
        `decoding`. Raises InputError for a scan that cannot be read.
        """
        return self.reports(
            [scan],
            batch_size=1,
            axes=axes,
            without_side=without_side,
            series=series,
            brain_extraction=brain_extraction,
            mirror_check=mirror_check,
            seed=seed,
            max_new_tokens=max_new_tokens,
            do_sample=do_sample,
            temperature=temperature,
        )[0]

    def reports(
        self,
        scans: Sequence[Readable],
        *,
        batch_size: int = 8,
        axes: str | None = None,
        without_side: bool = False,
        series: str | int | None = None,
        brain_extraction: str = "auto",
        mirror_check: bool = True,
        seed: int = 0,
        max_new_tokens: int | None = None,
        do_sample: bool | None = None,
        temperature: float | None = None,
    ) -> list[Report]:
        """The reports of many scans, in their order, `batch_size` at once; options as for `report`.

        Preparing, encoding and scoring do each scan by itself, and sampling draws for each from the seed. Greedy
        words are decoded for a batch at once, where the last bits of a logit depend on the batch: they are those
        of `report` but for a tie within rounding. InputError, for the first scan that cannot be read, names it
        as given, or by its place where it came without a name; then no report is returned.
        """
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: give at least 1")
        decoding = self.decoding(seed=seed, max_new_tokens=max_new_tokens, do_sample=do_sample, temperature=temperature)
        pending = iter(enumerate(scans, 1))
        reports: list[Report] = []
        while batch := list(islice(pending, batch_size)):
            items = []
            for place, scan in batch:
                with _placed(scan, place if len(scans) > 1 else None):
                    items.append(
                        self.prepared(
                            scan,
                            axes=axes,
                            without_side=without_side,
                            series=series,
                            brain_extraction=brain_extraction,
                        )
                    )
            reports.extend(self._read(items, decoding, mirror_check))
        return reports

    def prepared(
        self,
        scan: Readable,
        *,
        axes: str | None = None,
        without_side: bool = False,
        series: str | int | None = None,
        brain_extraction: str = "auto",
    ) -> Prepared:
        """A scan made ready for `reports`, which then has nothing left to refuse; options and errors as of `report`."""
        if not isinstance(scan, str | os.PathLike) and (axes is not None or without_side or series is not None):
            raise InputError(
                "axes, series and without_side are for a file that is still to be read; give them to read_scan"
            )
        if isinstance(scan, Volume | Prepared) and brain_extraction != "auto":
            raise InputError(
                "brain_extraction is for a scan that is still to be prepared; give it to prepared or volume"
            )
        if isinstance(scan, Prepared):
            _on_grid(scan.volume, self._engine)
            return scan
        if isinstance(scan, Volume):
            return Prepared(_on_grid(scan, self._engine), _describe_volume(scan))
        if not isinstance(scan, Scan):
            scan = read_scan(scan, axes=axes, without_side=without_side, series=series)
        return Prepared(self._engine.prepare(scan, brain_extraction), _describe(scan))

    def volume(
        self,
        scan: Readable,
        *,
        axes: str | None = None,
        without_side: bool = False,
        series: str | int | None = None,
        brain_extraction: str = "auto",
    ) -> Volume:
        """The volume that the model sees of a scan; options as for `report`."""
        return self.prepared(
            scan, axes=axes, without_side=without_side, series=series, brain_extraction=brain_extraction
        ).volume

    def visual_tokens(
        self,
        scan: Readable,
        *,
        axes: str | None = None,
        without_side: bool = False,
        series: str | int | None = None,
        brain_extraction: str = "auto",
    ) -> np.ndarray:
        """What the language model is given: (K, d) float32."""
        volume = self.volume(
            scan, axes=axes, without_side=without_side, series=series, brain_extraction=brain_extraction
        )
        tokens: np.ndarray = self._engine.visual_tokens([volume.data])[0]
        return tokens

    def evidence(self, volume: Volume) -> tuple[tuple[float, float, float] | None, np.ndarray | None]:
        """Where the model suspects a lesion: the point (d, h, w), and its probability at every voxel (D, H, W).

        The point is None where no lesion is probable, the map where the model has no such head.
        """
        evidence = self._engine.evidence(_on_grid(volume, self._engine).data)
        if evidence is None:
            return None, None
        return suspected_point(evidence, self._engine.spec.spacing_mm), evidence

    def _read(self, items: list[Prepared], decoding: Decoding, mirror_check: bool) -> Iterator[Report]:
        checked = [mirror_check and item.volume.side_known for item in items]
        volumes = [item.volume.data for item in items]
        volumes += [mirror(item.volume).data for item, check_it in zip(items, checked, strict=True) if check_it]
        features = self._engine.encode(volumes)
        readings = list(map(_Reading, features, self._engine.write(features, decoding)))
        mirrored = iter(readings[len(items) :])
        for item, own, check_it in zip(items, readings, checked, strict=False):
            yield self._report(item, own, next(mirrored) if check_it else None, decoding)

    def _joint(self, own: _Reading, mirrored: _Reading) -> tuple[dict[str, Any], Written, Checked]:
        """The two readings weighed together: what the report says of the check, the text chosen, what is left of it."""
        if self._engine.compat is not None:
            agreement, checked = check_as_written(own.written.text, mirrored.written.text)
            return {"done": True, "result": agreement, "chosen": "scan"}, own.written, checked

        def score(pair: Pair, beside: Pair | None) -> float:
            others = beside or (None, None)
            images = (own.features, mirrored.features)
            return sum(map(self._engine.score, images, pair, others))

        text, other = own.written.text, mirrored.written
        chosen = choose(text, other.text, score)
        written = {
            "scan": own.written,
            "mirror": Written(mirror_text(other.text), other.complete),
            "both": Written(text, own.written.complete and other.complete),
        }[chosen]
        agreement, checked = check(text, other.text, written.text)
        return {"done": True, "result": agreement, "chosen": chosen}, written, checked

    def _report(self, item: Prepared, own: _Reading, mirrored: _Reading | None, decoding: Decoding) -> Report:
        result: dict[str, Any] = {"done": False}
        written = own.written
        if mirrored is not None:
            result, written, checked = self._joint(own, mirrored)
        elif item.volume.side_known:
            checked = Checked(written.text, parse_findings(written.text))
        else:
            checked = without_side(written.text, SIDE_UNKNOWN)
        extra: tuple[Flag, ...] = () if written.complete else (CUT_SHORT,)
        if not checked.findings.normal and not checked.findings.lesions:
            extra += (UNCLEAR,)
        return Report(
            text=checked.text,
            findings=checked.findings,
            flags=tuple(dict.fromkeys((*item.volume.flags, *checked.flags, *extra))),
            scan=item.scan,
            preprocessing=[dict(step) for step in item.volume.steps],
            model=self.identity(),
            generation={**self.generation(decoding), "mirror_check": result},
        )


@contextmanager
def _placed(scan: Readable, place: int | None) -> Iterator[None]:
    """Errors over a scan without a file's name say which of several it was."""
    try:
        yield
    except InputError as error:
        nameless = isinstance(scan, Volume | Prepared) or (isinstance(scan, Scan) and not scan.given)
        if place is None or not nameless:
            raise
        raise InputError(f"scan {place}: {error}") from error


def _describe(scan: Scan) -> dict[str, Any]:
    described = {
        "sha256": scan.sha256,
        "shape": [int(n) for n in scan.data.shape],
        "spacing_mm": [round(float(mm), 4) for mm in scan.spacing_mm],
        "axes": scan.axes if scan.side_known else UNKNOWN_AXES,
    }
    return described if scan.series is None else {**described, "series": scan.series.to_dict()}


def _spacing(volume: Volume) -> list[float]:
    return [round(float(mm), 4) for mm in np.linalg.norm(volume.affine[:3, :3], axis=0)]


def _describe_volume(volume: Volume) -> dict[str, Any]:
    """What is known of a scan that came as a volume: the hash is that of the volume's own voxels."""
    return {
        "sha256": hashlib.sha256(np.ascontiguousarray(volume.data).tobytes()).hexdigest(),
        "shape": [int(n) for n in volume.data.shape[1:]],
        "spacing_mm": _spacing(volume),
        "axes": "SAR" if volume.side_known else UNKNOWN_AXES,
    }


def _on_grid(volume: Volume, engine: Engine) -> Volume:
    spec = engine.spec
    fits = not spec.spacing_mm or all(abs(mm - spec.spacing_mm) < 1e-3 for mm in _spacing(volume))
    if volume.data.shape != (1, *spec.shape) or not fits:
        raise InputError(
            f"a volume of {volume.data.shape[1:]} at {_spacing(volume)} mm, where the model reads "
            f"{spec.shape} at {spec.spacing_mm:g} mm; prepare it with Reader.volume"
        )
    return volume
