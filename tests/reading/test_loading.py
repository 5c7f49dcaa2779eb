"""Finding and loading models, and refusing what is not one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import build_model

import brain3d
from brain3d.reading import Reader, available_models
from brain3d.reading.engine import pick_device
from brain3d.reading.evidence import patches_to_voxels, suspected_point
from brain3d.reading.models import find_model
from brain3d.scans import InputError


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_and_listing_need_no_torch() -> None:
    run_python(
        "import sys, brain3d\n"
        "from brain3d.reading import available_models\n"
        "assert available_models()[0]['name'] == 'brain3d-mini'\n"
        "assert brain3d.__version__\n"
        "assert not {'torch', 'transformers', 'nibabel'} & set(sys.modules)\n"
    )


def test_public_names() -> None:
    for name in brain3d.__all__:
        assert getattr(brain3d, name)
        assert name in dir(brain3d)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = brain3d.nonsense


def test_models_are_plain() -> None:
    for model in available_models():
        assert set(model) == {"name", "version", "megabytes", "ready", "description"}


@pytest.mark.parametrize("name", ["google/medgemma-1.5-4b-it", "google/medsiglip-448"])
def test_a_gated_model_says_what_to_do(name: str) -> None:
    with pytest.raises(InputError, match=r"accept its terms .* download .* folder"):
        brain3d.load(name)


def test_what_is_not_there(tmp_path: Path, scan_file: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        brain3d.load("brain3d-maxi")
    with pytest.raises(InputError, match="a file, not a model"):
        brain3d.load(scan_file)
    with pytest.raises(InputError, match=r"config\.json and .*model\.safetensors missing"):
        brain3d.load(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "processor_config.json", "model.safetensors"])
def test_an_incomplete_folder_names_what_is_missing(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        find_model(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "processor_config.json", "model.safetensors", "brain3d.json"]
)
def test_a_damaged_folder_is_refused(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError) as caught:
        brain3d.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", '{"version": "1.0", "model": {"type": "fly"}}'),
        ("tokenizer.json", "[]"),
        ("config.json", '{"model_type": "brain3d", "vision_config": 3}'),
        ("config.json", '{"model_type": "brain3d", "volume_shape": 3}'),
        ("config.json", '{"model_type": "brain3d", "grid_size": null}'),
        ("processor_config.json", "[]"),
        ("processor_config.json", '{"volume_shape": "x"}'),
    ],
)
def test_wrong_values_in_a_folder_are_refused(tiny_folder: Path, tmp_path: Path, name: str, content: str) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    (folder / name).write_text(content)
    with pytest.raises(InputError, match="download or export it again") as caught:
        brain3d.load(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert "()" not in str(caught.value)


def test_another_kind_of_model_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="bert"):
        find_model(folder)


def test_weights_of_another_config_are_refused(tmp_path: Path) -> None:
    folder = build_model(tmp_path / "m", evidence_head=False)
    config = (folder / "config.json").read_text().replace('"evidence_head": false', '"evidence_head": true')
    (folder / "config.json").write_text(config)
    with pytest.raises(InputError, match="weights are not those"):
        brain3d.load(folder, device="cpu")


def test_a_half_precision_folder_is_computed_in_float32(tmp_path: Path, scan_file: Path) -> None:
    reader = brain3d.load(build_model(tmp_path / "m", half=True), device="cpu")
    assert reader.report(scan_file, max_new_tokens=2).generation["dtype"] == "float32"


def test_a_folder_without_a_name_stays_unnamed(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "somebody"))
    (folder / "brain3d.json").unlink()
    reader: Reader = brain3d.load(folder, device="cpu")
    assert reader.identity()["name"] == "unnamed"


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="tpu"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA"):
            pick_device("cuda")


def test_patch_values_land_on_the_middle_of_their_patch() -> None:
    patches = np.zeros((3, 3, 3), np.float32)
    patches[0, 1, 2] = 1
    voxels = patches_to_voxels(patches, (13, 12, 12), (5, 4, 4), (4, 4, 4))
    assert voxels.shape == (13, 12, 12)
    assert voxels[2, 5, 10] == voxels.max()
    assert voxels[:, :, :6].max() == 0
    np.testing.assert_array_equal(
        patches_to_voxels(patches[..., ::-1], (13, 12, 12), (5, 4, 4), (4, 4, 4)), voxels[..., ::-1]
    )


def test_the_suspected_point_is_the_middle_of_the_evidence() -> None:
    evidence = np.zeros((20, 24, 24), np.float32)
    evidence[4:9, 6:11, 14:19] = 0.9
    evidence[15, 20, 3] = 0.99
    assert suspected_point(evidence, 4.0) == (6, 8, 16)
    assert suspected_point(evidence * 0.4, 4.0) is None


def test_loading_from_python_prints_nothing_and_keeps_the_libraries_settings(tiny_folder: Path) -> None:
    code = (
        "import sys, brain3d\n"
        "from transformers.utils import logging\n"
        "before = logging.get_verbosity(), logging.is_progress_bar_enabled()\n"
        f"brain3d.load({str(tiny_folder)!r}, device='cpu')\n"
        "assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=kept)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
