import numpy as np
import pytest
from heads import affine_of, head, scan_of

from brain3d.scans import prepare, published_volume
from brain3d.scans.preview import render_planes

SHAPE = (52, 60, 52)


@pytest.fixture(scope="module")
def volume():
    affine = affine_of((4, 4, 4), SHAPE)
    return prepare(scan_of(head(affine, SHAPE, lesion_x_mm=-35), affine))


def test_the_patients_left_is_on_the_right_of_the_picture(volume):
    lesion = np.argwhere(volume.data[0] > 0.9).mean(axis=0)
    picture = np.asarray(render_planes(volume, lesion).convert("L"), dtype=float)
    tile = picture.shape[1] // 3
    for start in (0, tile):
        columns = np.nonzero(picture[60:-40, start + 30 : start + tile - 30] > 240)[1]
        assert columns.mean() > (tile - 60) / 2 + 20


def test_the_crosshair_sits_on_the_point(volume):
    lesion = np.argwhere(volume.data[0] > 0.9).mean(axis=0)
    picture = np.asarray(render_planes(volume, lesion), dtype=int)
    yellow = (picture[..., 0] > 240) & (picture[..., 2] < 20)
    bright = (picture.min(axis=2) > 240) & (np.arange(picture.shape[0]) > 60)[:, None]
    third = slice(0, picture.shape[1] // 3)
    x = int(np.argmax(yellow[:, third].sum(axis=0)))
    y = int(np.argmax(yellow[:, third].sum(axis=1)))
    rows, columns = np.nonzero(bright[: picture.shape[0] - 40, third])
    assert abs(columns.mean() - x) < 8
    assert abs(rows.mean() - y) < 8


def test_no_letters_are_drawn_where_the_side_is_unknown(volume):
    unknown = type(volume)(volume.data, volume.affine, side_known=False)
    known, without = (np.asarray(render_planes(v)) for v in (volume, unknown))
    assert known.shape == without.shape
    height, tile = known.shape[0] - 30, known.shape[1] // 3
    middle = 30 + height // 2
    for start in range(0, 3 * tile, tile):
        half = start + tile // 2
        letters = [
            (slice(middle - 15, middle + 15), slice(start, start + 26)),
            (slice(middle - 15, middle + 15), slice(start + tile - 26, start + tile)),
            (slice(30, 56), slice(half - 15, half + 15)),
            (slice(known.shape[0] - 26, None), slice(half - 15, half + 15)),
        ]
        for place in letters:
            assert not without[place].any()
        assert known[letters[2]].any()


def test_a_point_outside_is_refused(volume):
    with pytest.raises(ValueError, match="outside"):
        render_planes(volume, (0, 0, 48))


def test_voxels_are_drawn_as_long_as_they_are(volume):
    flat = type(volume)(volume.data[:, ::2], volume.affine @ np.diag([2, 1, 1, 1]))
    cube, same = (render_planes(one) for one in (volume, flat))
    assert same.size == cube.size
    one, other = (np.asarray(picture.convert("L"), dtype=float)[60:-40] for picture in (cube, same))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9  # every other slice; 0.48 where they are drawn as cubes


def test_air_is_black_in_either_volume(volume):
    affine = affine_of((4, 4, 4), SHAPE)
    published = published_volume(scan_of(head(affine, SHAPE), affine), (32, 64, 64))
    for one in (volume, published):
        picture = np.asarray(render_planes(one).convert("L"))
        assert not picture[60:80, 30:60].any()
        assert picture.max() > 100
