"""Scan in, report out, with a real model of random weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from tiny_model import build_model, write_head, write_without_orientation

import brain3d
from brain3d.reading import Reader
from brain3d.reading.engine import ModelEngine
from brain3d.reading.models import identity
from brain3d.reports import DISCLAIMER, mirror_text, parse_findings, report_schema
from brain3d.scans import InputError, Volume, affine_from_axes, mirror, read_scan, write_scan

SHORT = {"max_new_tokens": 12}


def test_report_is_complete_and_valid(tiny: Reader, tiny_folder: Path, scan_file: Path) -> None:
    report = tiny.report(scan_file, **SHORT)
    plain = json.loads(report.to_json())
    jsonschema.Draft202012Validator(report_schema()).validate(plain)
    assert plain["scan"]["sha256"] == hashlib.sha256(scan_file.read_bytes()).hexdigest()
    assert (plain["scan"]["shape"], plain["scan"]["axes"]) == ([44, 50, 46], "RAS")
    weights = hashlib.sha256((tiny_folder / "model.safetensors").read_bytes()).hexdigest()
    assert plain["model"] == {"name": "tiny", "version": "3", "hash": weights}
    assert [step["name"] for step in plain["preprocessing"]][-1] == "normalise"
    assert plain["generation"]["decoding"] == "greedy"
    assert plain["generation"]["max_new_tokens"] == 12
    assert plain["generation"]["mirror_check"]["done"]
    assert plain["disclaimer"] == DISCLAIMER
    assert report.text


def test_no_name_or_path_reaches_the_report(tiny: Reader, tiny_folder: Path, scan_file: Path) -> None:
    written = tiny.report(scan_file, **SHORT).to_json()
    for secret in (scan_file.name, str(scan_file.parent), str(tiny_folder), tiny_folder.name):
        assert secret not in written


def test_same_scan_same_words(tiny: Reader, scan_file: Path) -> None:
    assert tiny.report(scan_file, **SHORT).to_json() == tiny.report(scan_file, **SHORT).to_json()


def test_path_scan_and_volume_give_the_same_words(tiny: Reader, scan_file: Path) -> None:
    scan = read_scan(scan_file)
    by_path, by_scan = tiny.report(scan_file, **SHORT), tiny.report(scan, **SHORT)
    by_volume = tiny.report(tiny.volume(scan), **SHORT)
    assert by_path.to_json() == by_scan.to_json()
    assert by_volume.text == by_path.text
    assert by_volume.scan["axes"] == "SAR"
    jsonschema.validate(by_volume.to_dict(), report_schema())


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "seed": 5}, {"mirror_check": False}])
def test_a_batch_gives_what_one_at_a_time_gives(tiny: Reader, tmp_path: Path, options: dict[str, int]) -> None:
    paths = [write_head(tmp_path / f"{i}.nii", x, i) for i, x in enumerate((-40.0, 35.0, 0.0))]
    paths.insert(1, write_without_orientation(tmp_path / "n.nii"))
    together = tiny.reports(paths, batch_size=3, without_side=True, **options, **SHORT)
    alone = [tiny.report(path, without_side=True, **options, **SHORT) for path in paths]
    assert [report.to_json() for report in together] == [report.to_json() for report in alone]


def noisy(volume: Volume, seed: int) -> Volume:
    noise = np.random.default_rng(seed).uniform(-1, 1, volume.data.shape)
    return replace(volume, data=noise.astype(np.float32))


def test_the_report_of_the_mirror_image_is_the_mirrored_report(tiny: Reader, scan_file: Path) -> None:
    swapped = {"scan": "mirror", "mirror": "scan", "both": "both"}
    chosen = []
    for seed in range(6):
        volume = noisy(tiny.volume(scan_file), seed)
        report, turned = (tiny.report(one, **SHORT) for one in (volume, mirror(volume)))
        assert turned.text == mirror_text(report.text)
        assert turned.flags == report.flags
        found, other = (one.generation["mirror_check"] for one in (report, turned))
        assert other == {**found, "chosen": swapped[found["chosen"]]}
        chosen.append(found["chosen"])
    assert {"scan", "mirror"} <= set(chosen)


@pytest.fixture(scope="session")
def engine(tiny_folder: Path) -> ModelEngine:
    return ModelEngine.from_folder(tiny_folder, identity(tiny_folder), torch.device("cpu"), "tiny")


def test_the_score_of_a_text_is_its_loss(engine: ModelEngine, tiny: Reader, scan_file: Path) -> None:
    volume = tiny.volume(scan_file).data
    (features,) = engine.encode([volume])
    for text in ("lesion in the left frontal lobe . edema", "no", ""):
        inputs = engine.processor([volume], [text])
        with torch.no_grad():
            loss = engine.model(**inputs).loss
        tokens = int((inputs["labels"] != -100).sum())
        assert engine.score(features, text) == pytest.approx(-float(loss) * tokens, rel=1e-4)


def test_an_opening_ends_with_the_first_token_that_is_not_shared(
    engine: ModelEngine, tiny: Reader, scan_file: Path
) -> None:
    (features,) = engine.encode([tiny.volume(scan_file).data])
    text = "lesion in the left frontal lobe . edema"
    at_once, late = engine.score(features, text, "no lesion"), engine.score(features, text, "lesion in the right lobe")
    assert engine.score(features, text) < late < at_once < 0
    assert engine.score(features, text, text) == engine.score(features, text)


def test_features_do_not_depend_on_the_batch(engine: ModelEngine, tiny: Reader, scan_file: Path) -> None:
    volumes = [noisy(tiny.volume(scan_file), seed).data for seed in range(5)]
    together, alone = engine.encode(volumes), [engine.encode([volume])[0] for volume in volumes]
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one, other)
        assert engine.score(one, "no lesion .") == engine.score(other, "no lesion .")


def test_sampling_follows_the_seed(tiny: Reader, scan_file: Path) -> None:
    texts = {tiny.report(scan_file, do_sample=True, temperature=3.0, seed=s, **SHORT).text for s in (1, 1, 2, 3)}
    assert 2 <= len(texts) <= 3


def test_visual_tokens(tiny: Reader, scan_file: Path) -> None:
    tokens = tiny.visual_tokens(scan_file)
    assert tokens.shape == (8, 16)
    assert tokens.dtype == np.float32
    assert np.isfinite(tokens).all()


def test_evidence_lies_on_the_volume(tiny: Reader, scan_file: Path, tmp_path: Path) -> None:
    volume = tiny.volume(scan_file)
    point, evidence = tiny.evidence(volume)
    assert evidence is not None
    assert evidence.shape == volume.data.shape[1:]
    assert ((evidence > 0) & (evidence < 1)).all()
    assert (point is None) == (evidence.max() < 0.5)
    blind = brain3d.load(build_model(tmp_path / "m", evidence_head=False), device="cpu")
    assert blind.evidence(volume) == (None, None)


def test_header_without_orientation(tiny: Reader, tmp_path: Path) -> None:
    path = write_without_orientation(tmp_path / "n.nii")
    with pytest.raises(InputError):
        tiny.report(path, **SHORT)
    report = tiny.report(path, without_side=True, **SHORT)
    assert "side_not_in_header" in [flag.code for flag in report.flags]
    assert all(lesion.side == "unknown" for lesion in report.findings.lesions)
    assert report.generation["mirror_check"] == {"done": False}
    assert report.scan["axes"] == "unknown"
    jsonschema.validate(report.to_dict(), report_schema())
    assert tiny.report(tiny.volume(path, without_side=True), **SHORT).scan["axes"] == "unknown"
    answered = tiny.report(path, axes="LPS", **SHORT)
    assert answered.generation["mirror_check"]["done"]
    assert answered.scan["axes"] == "LPS"


def test_a_text_that_is_cut_is_flagged(tiny: Reader, scan_file: Path) -> None:
    report = tiny.report(scan_file, max_new_tokens=1)
    assert ("cut_short" in [flag.code for flag in report.flags]) == bool(report.text)


def test_findings_are_those_of_the_text(tiny: Reader, scan_file: Path) -> None:
    report = tiny.report(scan_file, mirror_check=False, **SHORT)
    assert report.findings == parse_findings(report.text)


def test_volume_of_another_grid_is_refused(tiny: Reader, scan_file: Path) -> None:
    from brain3d.scans import VolumeSpec, prepare

    other = prepare(read_scan(scan_file), VolumeSpec((22, 24, 24), 8.0))
    with pytest.raises(InputError, match="prepare it"):
        tiny.report(other)


@pytest.mark.parametrize(
    "options",
    [{"max_new_tokens": 0}, {"do_sample": True, "temperature": 0.0}, {"batch_size": 0}, {"seed": -1}, {"seed": 2**63}],
)
def test_senseless_numbers_are_refused(tiny: Reader, scan_file: Path, options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        tiny.reports([scan_file], **options)


def test_the_scan_that_failed_is_named(tiny: Reader, scan_file: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(44, 50, 46))
    write_scan(tmp_path / "noise.nii", noise, affine_from_axes("RAS", (4.0, 4.0, 4.0)))
    empty = read_scan(tmp_path / "noise.nii")
    for call in (tiny.report, tiny.volume, lambda path: tiny.reports([scan_file, path], **SHORT)):
        for scan in (tmp_path / "noise.nii", empty):
            with pytest.raises(InputError, match=f"^{tmp_path / 'noise.nii'}: .*give a scan of a head$"):
                call(scan)
    with pytest.raises(InputError, match=r"^scan 2: .*give a scan of a head$"):
        tiny.reports([scan_file, replace(empty, given="")], **SHORT)
    assert "noise.nii" not in repr(empty)


def test_axes_are_for_files_alone(tiny: Reader, scan_file: Path) -> None:
    scan = read_scan(scan_file)
    for given in (scan, tiny.volume(scan)):
        for options in ({"axes": "RAS"}, {"without_side": True}):
            with pytest.raises(InputError, match="still to be read"):
                tiny.report(given, **options, **SHORT)
            with pytest.raises(InputError, match="still to be read"):
                tiny.volume(given, **options)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 300])
def test_a_path_that_can_be_none_is_the_callers_fault(tiny: Reader, path: str) -> None:
    with pytest.raises(InputError) as caught:
        tiny.report(path)
    assert len(str(caught.value).splitlines()) == 1
