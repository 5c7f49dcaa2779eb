import os
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from heads import ORDERS, affine_of, head, head_with_skull, reorder, scan_of

from brain3d.phantom.cohort import phantom_scan
from brain3d.phantom.draw import draw_phantom, head_grid
from brain3d.scans import InputError, VolumeSpec, brain_tools, mirrored_scan, prepare
from brain3d.scans.brain import METHODS
from brain3d.scans.brain_surface import brain_mask
from brain3d.scans.foreground import background_of, foreground_mask
from brain3d.scans.preprocess import find_head
from brain3d.scans.resample import resample

SHAPE, SPACING = (62, 76, 64), (3.0, 3.0, 3.0)
SPEC = VolumeSpec((36, 40, 40), 4.5)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def codes(volume):
    return [flag.code for flag in volume.flags]


def step_of(volume):
    return next(step for step in volume.steps if step["name"] == "brain_extraction")


@pytest.fixture(scope="module")
def with_skull():
    affine = affine_of(SPACING, SHAPE)
    data, brain = head_with_skull(affine, SHAPE, noise=2)
    return scan_of(data, affine), brain


def found_in(scan, truth):
    """Dice of the brain found against its truth in the stored order, and the share of brain that was kept."""
    got = find_head(scan)
    canonical = np.transpose(truth, (2, 1, 0)).astype(np.float32)
    middle = (np.array(canonical.shape) - 1) / 2
    there = resample(canonical, got.geometry, middle, got.mask.shape, 3.0) >= 0.5
    return dice(got.mask, there), (got.mask & there).sum() / there.sum()


@pytest.mark.parametrize("lesion_x_mm", [-35, 52])
@pytest.mark.parametrize("degrees", [(0, 0, 0), (5, -6, 4)])
def test_a_brain_is_found_in_its_skull_with_neck_and_eyes(lesion_x_mm, degrees):
    affine = affine_of(SPACING, SHAPE, degrees)
    data, brain = head_with_skull(affine, SHAPE, lesion_x_mm=lesion_x_mm, noise=2)
    likeness, kept = found_in(scan_of(data, affine), brain)
    assert likeness > 0.93
    assert kept > 0.98


@pytest.mark.parametrize("seed", [11, 12])
def test_a_phantoms_brain_is_found_in_its_skull(seed):
    phantom = draw_phantom(seed, grid=head_grid(3.0), skull=True, healthy=False)
    got = find_head(phantom_scan(phantom))
    middle = (np.array(phantom.grid.shape) - 1) / 2
    truth = resample(phantom.brain.numpy().astype(np.float32), got.geometry, middle, got.mask.shape, 3.0) >= 0.5
    assert dice(got.mask, truth) > 0.93


def test_what_is_not_brain_is_air_in_the_volume(with_skull):
    scan, _ = with_skull
    removed, left = prepare(scan, SPEC), prepare(scan, SPEC, brain_extraction="none")
    assert codes(removed) == ["skull_removed"]
    assert codes(left) == ["skull_present"]
    assert (removed.data > -1).sum() < 0.75 * (left.data > -1).sum()
    assert step_of(removed)["method"] == "builtin"
    assert step_of(removed)["volume_ml"] == pytest.approx(1620, rel=0.1)
    assert step_of(left) == {"name": "brain_extraction", "asked": "none", "method": "none"}


def test_the_volume_is_centred_on_the_brain_as_that_of_a_stripped_scan(with_skull):
    scan, brain = with_skull
    stripped = prepare(replace(scan, data=np.where(brain, scan.data, 0).astype(np.float32)), SPEC)
    volume = prepare(scan, SPEC)
    assert np.abs(volume.affine[:3, 3] - stripped.affine[:3, 3]).max() < 4.5
    both = (volume.data > -1) & (stripped.data > -1)
    assert np.corrcoef(volume.data[both], stripped.data[both])[0, 1] > 0.5


def test_auto_leaves_a_stripped_scan_as_it_is_and_builtin_nearly_so():
    affine = affine_of(SPACING, SHAPE)
    scan = scan_of(head(affine, SHAPE), affine)
    auto, left = prepare(scan), prepare(scan, brain_extraction="none")
    assert np.array_equal(auto.data, left.data)
    assert codes(auto) == codes(left) == []
    coarse = np.ascontiguousarray(np.transpose(scan.data, (2, 1, 0)))
    assert dice(brain_mask(coarse, background_of(coarse), 3.0), foreground_mask(coarse)) > 0.93


def test_traces_of_noise_in_the_air_are_no_skull(with_skull):
    affine = affine_of((3, 3, 3), (70, 80, 70))
    brain = head(affine, (70, 80, 70), noise=0.1)
    for data in (brain, np.abs(brain)):
        assert step_of(prepare(scan_of(data, affine)))["method"] == "none"


@pytest.mark.parametrize("noise", [1.5, 4, 10])
def test_noise_in_the_air_is_no_skull_and_hides_none(noise):
    affine = affine_of((3, 3, 3), (70, 80, 70))
    brain = head(affine, (70, 80, 70))
    for data in (head(affine, (70, 80, 70), noise=noise), np.abs(head(affine, (70, 80, 70), noise=noise))):
        found = find_head(scan_of(data, affine))
        assert (found.extraction.step["method"], found.extraction.flags) == ("none", ())
        assert dice(found.mask, find_head(scan_of(brain, affine)).mask) > 0.97
    data, inner = head_with_skull(affine, (70, 80, 70), noise=noise)
    air = np.abs(head(affine, (70, 80, 70), noise=noise))
    parted = np.where(~inner & (data < 60), air, data).astype(np.float32)  # bone as dark as air
    for head_on in (data, parted):
        flags = find_head(scan_of(head_on, affine), "none").extraction.flags
        assert [flag.code for flag in flags] == ["skull_present"]


def test_a_skull_below_a_thick_scalp_is_recognised_where_the_air_has_noise():
    shape = (80, 90, 80)
    affine = affine_of((3, 3, 3), shape)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    inner, bone, skin = (((world / (np.array([65, 85, 70]) + mm)) ** 2).sum(axis=-1) < 1 for mm in (0, 6, 20))
    data = np.where(inner, head(affine, shape), np.where(bone, 25, np.where(skin, 160, 0)))
    data = np.abs(data + np.random.default_rng(0).normal(0, 4, shape)).astype(np.float32)
    assert "skull_present" in codes(prepare(scan_of(data, affine), brain_extraction="none"))


def test_what_is_removed_although_no_skull_was_seen_is_flagged():
    affine = affine_of((3, 3, 3), (70, 80, 70))
    volume = prepare(scan_of(head(affine, (70, 80, 70)), affine), brain_extraction="builtin")
    assert "brain_extraction_uncertain" in codes(volume)


def test_all_orders_give_the_same_bits_and_a_mirrored_head_the_mirrored_mask(with_skull):
    scan, _ = with_skull
    expected, mask = prepare(scan, SPEC), find_head(scan).mask
    for order in ORDERS[5::16]:
        stored, moved = reorder(scan.data, scan.affine, *order)
        moved[:3, 3] += [31.7, -400, 1.1]
        assert np.array_equal(prepare(scan_of(np.ascontiguousarray(stored), moved), SPEC).data, expected.data), order
    assert np.array_equal(find_head(mirrored_scan(scan)).mask[..., ::-1], mask)


def test_half_a_head_keeps_its_half_of_the_brain():
    affine = affine_of(SPACING, SHAPE)
    data, brain = head_with_skull(affine, SHAPE, noise=2)
    for part in (slice(0, 36), slice(26, 64)):
        index = (slice(None), slice(None), part)
        likeness, kept = found_in(scan_of(np.ascontiguousarray(data[index]), affine), brain[index])
        assert likeness > 0.9
        assert kept > 0.95


def test_where_no_brain_is_found_the_scan_is_left_and_flagged(monkeypatch, with_skull):
    monkeypatch.setattr("brain3d.scans.brain.brain_mask", lambda coarse, background, step: np.zeros(coarse.shape, bool))
    volume = prepare(with_skull[0], SPEC)
    assert codes(volume) == ["skull_present", "brain_extraction_uncertain"]
    assert np.array_equal(volume.data, prepare(with_skull[0], SPEC, brain_extraction="none").data)


def test_nothing_is_found_in_nothing():
    empty = np.zeros((40, 40, 40), np.float32)
    assert not brain_mask(empty, background_of(empty), 3.0).any()


@pytest.mark.parametrize("method", ["", "bet", "AUTO"])
def test_an_unknown_method_is_refused_with_the_list(method, with_skull):
    with pytest.raises(InputError, match=", ".join(METHODS)):
        prepare(with_skull[0], brain_extraction=method)


MASKER = """#!{python}
import sys
import nibabel as nib, numpy as np
image = nib.load(sys.argv[sys.argv.index("-i") + 1])
assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
places = np.indices(image.shape).reshape(3, -1).T @ image.affine[:3, :3].T + image.affine[:3, 3]
inside = (((places / [65.0, 85.0, 70.0]) ** 2).sum(axis=1) < 1).reshape(image.shape)
{body}
"""
SAVE = "nib.save(nib.Nifti1Image({mask}.astype(np.uint8), image.affine), {place})"
PLACES = {
    "hd-bet": ("hd-bet", 'sys.argv[sys.argv.index("-o") + 1].replace(".nii.gz", "_bet.nii.gz")'),
    "deepbet": ("deepbet-cli", 'sys.argv[sys.argv.index("-m") + 1]'),
    "synthstrip": ("mri_synthstrip", 'sys.argv[sys.argv.index("-m") + 1]'),
}


def install(folder, monkeypatch, method, body):
    """A program under the tool's name on the PATH, which does what `body` says."""
    program, place = PLACES[method]
    path = folder / program
    path.write_text(MASKER.format(python=sys.executable, body=body.replace("PLACE", place)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("method", PLACES)
def test_another_program_gives_the_mask(method, tmp_path, monkeypatch):
    affine = affine_of((2.5, 2.5, 5.0), (92, 100, 46), (4, 0, -5), (900, 30, -5))
    straight = affine.copy()
    straight[:3, 3] = affine_of((2.5, 2.5, 5.0), (92, 100, 46), (4, 0, -5))[:3, 3]
    data, brain = head_with_skull(straight, (92, 100, 46), noise=2)
    install(tmp_path, monkeypatch, method, SAVE.format(mask="inside", place="PLACE"))
    volume = prepare(scan_of(data, affine), SPEC, brain_extraction=method)
    assert codes(volume) == ["skull_removed"]
    assert step_of(volume)["method"] == method
    assert step_of(volume)["volume_ml"] == pytest.approx(brain.sum() * 2.5 * 2.5 * 5 / 1000, rel=0.02)
    assert [path.name for path in tmp_path.iterdir()] == [PLACES[method][0]]
    stored, moved = reorder(data, affine, (2, 0, 1), (1, -1, -1))
    other = prepare(scan_of(np.ascontiguousarray(stored), moved), SPEC, brain_extraction=method)
    assert np.array_equal(other.data, volume.data)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('print("reading"); sys.exit("no weights\\nfetch them")', r"exit code 1 \(fetch them\)"),
        ("pass", "it wrote no mask"),
        (SAVE.format(mask="(inside & False)", place="PLACE"), "it found no brain"),
        (SAVE.format(mask="inside[1:]", place="PLACE"), "not on the scan's grid"),
        ('open(PLACE, "w").write("no image")', "cannot be read"),
    ],
)
def test_a_program_that_fails_is_one_line_with_the_scans_name(body, words, tmp_path, monkeypatch, with_skull):
    install(tmp_path, monkeypatch, "synthstrip", body)
    with pytest.raises(InputError, match=f"^some/scan.nii: brain extraction by synthstrip: .*{words}") as caught:
        prepare(replace(with_skull[0], given="some/scan.nii"), brain_extraction="synthstrip")
    assert "\n" not in str(caught.value)


WORKER = """#!{python}
import subprocess, sys, time
streams = {streams}
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=streams, stderr=streams)
open({place!r}, "w").write(str(worker.pid))
{then}
"""


def gone(process: int) -> bool:
    """Whether a process has ended, within five seconds; one that nobody waits for yet has ended too."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize(
    ("streams", "then", "words"),
    [("None", "time.sleep(600)", "took more than an hour"), ("subprocess.DEVNULL", 'sys.exit("broken")', "broken")],
)
def test_a_programs_workers_end_with_it(streams, then, words, tmp_path, monkeypatch, with_skull):
    place = tmp_path / "worker"
    install(tmp_path, monkeypatch, "synthstrip", "pass")
    script = WORKER.format(python=sys.executable, streams=streams, place=str(place), then=then)
    (tmp_path / PLACES["synthstrip"][0]).write_text(script)
    monkeypatch.setattr(brain_tools, "LONGEST_S", 4.0)
    with pytest.raises(InputError, match=words):
        prepare(with_skull[0], brain_extraction="synthstrip")
    assert gone(int(place.read_text()))


@pytest.mark.parametrize(
    ("method", "words"), [("hd-bet", "zenodo"), ("deepbet", r"brain3d\[deepbet\]"), ("synthstrip", "FreeSurfer")]
)
def test_a_program_that_is_not_there_says_how_to_get_it(method, words, tmp_path, monkeypatch, with_skull):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=f"{method}: not installed; .*{words}"):
        prepare(with_skull[0], brain_extraction=method)
