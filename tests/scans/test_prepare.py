import json
from dataclasses import replace

import numpy as np
import pytest
from heads import ORDERS, affine_of, head, reorder, scan_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from brain3d.scans import InputError, VolumeSpec, brain_centre, foreground_mask, mirror, normalise, prepare
from brain3d.scans.resample import resample

SHAPE = (52, 60, 52)
SPACING = (4.0, 4.0, 4.0)


def codes(volume):
    return {flag.code for flag in volume.flags}


def lesion_world_x(volume):
    """Mean world x of the brightest voxels less that of the column boundary W / 2."""
    index = np.argwhere(volume.data[0] > 0.9)
    world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    middle = volume.affine @ [*[(n - 1) / 2 for n in volume.data.shape[1:]], 1]
    return float(world[:, 0].mean() - middle[0])


@pytest.mark.parametrize("degrees", [(0, 0, 0), (4, -3, 6)])
def test_all_48_orders_and_any_translation_give_the_same_bits(degrees):
    shape, spacing = (70, 80, 30), (2.5, 2.5, 6.0)
    affine = affine_of(spacing, shape, degrees)
    data = head(affine, shape, noise=0 if any(degrees) else 3)  # noisy air: brain extraction is done as well
    expected = prepare(scan_of(data, affine))
    for number, order in enumerate(ORDERS):
        stored, moved = reorder(data, affine, *order)
        moved[:3, 3] += [number * 17.3, -number * 5.1, 1000.0 / (number + 1)]
        volume = prepare(scan_of(stored, moved))
        assert np.array_equal(volume.data, expected.data), order
        assert volume.steps == expected.steps


angles = st.floats(-20, 20, allow_nan=False)


@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    order=st.sampled_from(ORDERS),
    degrees=st.tuples(angles, angles, angles),
    spacing=st.tuples(*[st.floats(2.5, 6)] * 3),
    shift=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_no_stored_order_changes_the_volume(order, degrees, spacing, shift):
    shape = tuple(int(200 / mm) for mm in spacing)
    affine = affine_of(spacing, shape, degrees)
    data = head(affine, shape)
    stored, moved = reorder(data, affine, *order)
    moved[:3, 3] += shift
    assert np.array_equal(prepare(scan_of(data, affine)).data, prepare(scan_of(stored, moved)).data)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (0, 5, 8)])
def test_a_mirrored_patient_gives_the_mirrored_volume(degrees):
    affine = affine_of(SPACING, SHAPE, degrees)
    flip = np.diag([-1.0, 1, 1, 1])
    mirrored_affine = flip @ affine
    data = head(affine, SHAPE, noise=2)
    volume, other = prepare(scan_of(data, affine)), prepare(scan_of(data, mirrored_affine))
    assert np.allclose(other.data, mirror(volume).data, atol=1e-4)


@pytest.mark.parametrize("centre_mm", [(0, 0, 0), (9.3, -6, 4), (-11, 5, -3)])
@pytest.mark.parametrize("degrees", [(0, 0, 0), (3, 8, -10)])
def test_column_boundary_lies_on_the_midline(centre_mm, degrees):
    shape, spacing = (100, 110, 100), (2.2, 2.2, 2.2)
    affine = affine_of(spacing, shape, degrees, (-120, 40, 7))
    head_centre = tuple(np.add(centre_mm, (-120, 40, 7)))
    data = head(affine, shape, centre_mm=head_centre)
    volume = prepare(scan_of(data, affine))
    middle = volume.affine @ [*[(n - 1) / 2 for n in volume.data.shape[1:]], 1]
    assert middle[:2] == pytest.approx(head_centre[:2], abs=1.2)
    assert middle[2] == pytest.approx(head_centre[2], abs=2)
    assert lesion_world_x(volume) == pytest.approx(-35, abs=1.5)


def test_a_dent_on_one_side_hardly_moves_the_midline():
    affine = affine_of((3, 3, 3), (70, 70, 70))
    mask = head(affine, (70, 70, 70)) > 0
    canonical = np.transpose(mask, (2, 1, 0)).copy()
    whole = brain_centre(canonical, (3, 3, 3))
    canonical[30:50, 30:50, :24] = False
    dented = brain_centre(canonical, (3, 3, 3))
    assert whole[2] == pytest.approx(34.5, abs=0.05)
    assert abs(dented[2] - whole[2]) * 3 < 1.0


def test_centre_is_70_mm_below_the_top_whatever_hangs_below():
    mask = np.zeros((90, 60, 60), dtype=bool)
    mask[50:80, 10:50, 15:46] = True
    d, h, w = brain_centre(mask, (2.0, 3.0, 3.0))
    assert (d, h, w) == (pytest.approx(79 - 35, abs=1), 29.5, 30.0)
    mask[0:50, 5:40, 20:30] = True  # a neck, off centre
    assert brain_centre(mask, (2.0, 3.0, 3.0))[0] == d


def test_empty_mask_has_no_centre():
    with pytest.raises(ValueError, match="empty"):
        brain_centre(np.zeros((4, 4, 4), dtype=bool), (1, 1, 1))


@pytest.mark.parametrize(("background", "noise"), [(0, 0), (-1000, 0), (50, 0), (0, 6), (20, 6)])
def test_foreground_for_every_kind_of_background(background, noise):
    affine = affine_of(SPACING, SHAPE)
    truth = head(affine, SHAPE) > 0
    mask = foreground_mask(head(affine, SHAPE, background=background, noise=noise))
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.98


def test_foreground_of_a_brain_standardised_around_its_zero_background():
    affine = affine_of(SPACING, SHAPE)
    plain = head(affine, SHAPE)
    truth = plain > 0
    standard = np.where(truth, (plain - plain[truth].mean()) / plain[truth].std(), 0).astype(np.float32)
    mask = foreground_mask(standard)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9


def test_background_level_and_scale_do_not_change_the_volume():
    affine = affine_of(SPACING, SHAPE)
    plain = prepare(scan_of(head(affine, SHAPE), affine))
    other = prepare(scan_of(head(affine, SHAPE, background=-500) * 3, affine))
    assert np.allclose(plain.data, other.data, atol=2e-3)


def test_volume_is_bounded_typed_and_recorded_without_positions():
    affine = affine_of(SPACING, SHAPE, centre_mm=(4321, 0, 0))
    volume = prepare(scan_of(head(affine, SHAPE, centre_mm=(4321, 0, 0)), affine), VolumeSpec((20, 24, 22), 8.0))
    assert volume.data.shape == (1, 20, 24, 22)
    assert volume.data.dtype == np.float32
    assert volume.data.min() == -1
    assert volume.data.max() <= 1
    assert volume.data[0, 0, 0, 0] == -1
    assert "4321" not in json.dumps(volume.steps)
    assert volume.steps[0]["name"] == "to_canonical"


def test_normalise_maps_median_and_background():
    data = np.arange(1001, dtype=np.float32).reshape(7, 11, 13)
    mask = data >= 1
    result = normalise(data, mask)
    assert result[0, 0, 0] == -1
    assert result.dtype == np.float32
    median = result[data == 500].item()
    assert normalise(data * 7 + 3, mask) == pytest.approx(result, abs=1e-5)
    assert -1 < median < 0
    assert (np.diff(result[mask]) > 0).all()


def test_normalise_survives_a_flat_image_and_an_empty_mask():
    flat = np.full((3, 3, 3), 5.0)
    assert np.isfinite(normalise(flat, flat > 0)).all()
    assert (normalise(flat, flat < 0) == -1).all()


def test_downsampling_averages_and_upsampling_interpolates():
    checks = np.indices((32, 32, 32)).sum(axis=0) % 2 * 2.0
    down = resample(checks.astype(np.float32), np.eye(3), (15.5,) * 3, (4, 4, 4), 4.0)
    assert np.allclose(down, 1.0, atol=0.01)
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 8, 8)).astype(np.float32)
    up = resample(ramp, np.diag([4.0, 1, 1]), (3.5,) * 3, (9, 3, 3), 1.0)
    assert np.allclose(up[:, 1, 1], 3.5 + np.arange(-4, 5) / 4, atol=1e-5)


def test_small_rotation_reads_nearly_the_same_as_none():
    shape, spacing = (100, 100, 100), (2.0, 2.0, 2.0)
    straight = affine_of(spacing, shape)
    turned = affine_of(spacing, shape, (0.5, 0.5, 0.5))
    first, second = (prepare(scan_of(head(a, shape), a)) for a in (straight, turned))
    assert np.abs(first.data - second.data).mean() < 0.02


def test_outside_the_field_of_view_is_background():
    shape, spacing = (52, 60, 30), (4.0, 4.0, 4.0)
    affine = affine_of(spacing, shape, centre_mm=(0, 0, 20))
    volume = prepare(scan_of(head(affine, shape, background=40), affine))
    assert (volume.data[0, :2] == -1).all()


def test_nothing_but_background_is_refused():
    with pytest.raises(InputError, match="stands out"):
        prepare(scan_of(np.zeros((30, 30, 30), np.float32), affine_of(SPACING, (30, 30, 30))))


def test_a_plain_brain_has_no_flags():
    affine = affine_of(SPACING, SHAPE)
    assert codes(prepare(scan_of(head(affine, SHAPE), affine))) == set()


def test_thick_slices_small_fields_and_odd_sizes_are_flagged():
    thick = affine_of((4, 4, 7.0), (52, 60, 30))
    assert codes(prepare(scan_of(head(thick, (52, 60, 30)), thick))) == {"low_resolution"}
    slab = affine_of(SPACING, (52, 60, 17))
    assert "small_field_of_view" in codes(prepare(scan_of(head(slab, (52, 60, 17)), slab)))
    mouse = affine_of(SPACING, SHAPE)
    small = scan_of(head(mouse, SHAPE), np.diag([2.0, 2.0, 2.0, 1]))
    assert "not_head_sized" in codes(prepare(small))
    with pytest.raises(InputError, match="too small for a head"):
        prepare(scan_of(head(mouse, SHAPE), np.diag([1.5, 1.5, 1.5, 1])))


CUBE = (64, 64, 64)


def marked(place, value=1.0, rest=0.0):
    data = np.full(CUBE, rest, np.float32)
    data[place] = value
    return data


def boxed(data):
    return np.pad(data[2:-2, 2:-2, 2:-2] + 1, 2)


RNG = np.random.default_rng(0)
NO_HEADS = {
    "one voxel": marked((30, 30, 30)),
    "one slice": marked(30),
    "one slice across": marked((slice(None), slice(None), 30)),
    "almost constant": marked((10, 10, 10), 101.0, 100.0),
    "constant but for noise": 100 + 1e-3 * RNG.normal(size=CUBE),
    "gaussian noise": RNG.normal(size=CUBE),
    "magnitude of noise": np.abs(RNG.normal(size=CUBE)),
    "two values at random": RNG.integers(0, 2, CUBE),
    "noise in a box": boxed(RNG.uniform(size=CUBE)),
    "ramp": np.broadcast_to(np.arange(64.0), CUBE),
}


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (2.0, 2.0, 6.0)])
@pytest.mark.parametrize("name", NO_HEADS)
def test_what_holds_no_head_is_refused_by_its_name(name, spacing):
    scan = scan_of(NO_HEADS[name].astype(np.float32), np.diag([*spacing, 1.0]))
    words = r"^some/file\.nii: .*give (a scan of a head|the FLAIR scan itself)$"
    with pytest.raises(InputError, match=words) as caught:
        prepare(replace(scan, given="some/file.nii"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("noise", [0, 20])
@pytest.mark.parametrize("lost", [0, 20, 28])
@pytest.mark.parametrize("thick", [4.0, 7.0])
def test_a_head_in_part_in_thick_slices_and_in_noise_is_no_such_thing(noise, lost, thick):
    shape = (52, 60, round(208 / thick))
    affine = affine_of((4, 4, thick), shape)
    data = head(affine, shape, noise=noise)[:, :, round(lost * 4 / thick) :]
    for part in (data, data[:26], data[:, 30:]):
        assert prepare(scan_of(np.ascontiguousarray(part), affine)).data.max() > -1


def test_a_dark_shell_means_a_skull_and_noisy_air_alone_does_not():
    affine = affine_of((3, 3, 3), (70, 80, 70))
    brain = head(affine, (70, 80, 70))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in brain.shape], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    radius = [np.sqrt(((world / (np.array([65, 85, 70]) + more)) ** 2).sum(axis=-1)) for more in (6, 12)]
    scalp = (radius[0] >= 1) & (radius[1] < 1)
    neck = (np.hypot(world[..., 0], world[..., 1]) < 25) & (world[..., 2] < -60)
    with_skull = np.where(scalp | neck, 200, brain).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 4, brain.shape)
    for data, there in ((with_skull, True), (with_skull + noise, True), (brain + noise, False)):
        scan = scan_of(data.astype(np.float32), affine)
        assert ("skull_present" in codes(prepare(scan, brain_extraction="none"))) == there
        assert ("skull_removed" in codes(prepare(scan))) == there
