"""Pictures of validation studies: where they are cut, which side is which, what their index says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain3d.cohort import Cohort, open_volumes
from brain3d.scans import InputError, Volume, VolumeSpec, published_volume, read_scan
from brain3d.training.cohort_data import CohortData, load_data
from brain3d.training.gallery import Shown, draw_study, lesion_point, write_gallery

from .small_parts import SHAPE, SPACING_MM, small_cohort

LEFT = "There is a hyperintense lesion in the left frontal lobe."
RIGHT = "There is a hyperintense lesion in the right frontal lobe."


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return small_cohort(tmp_path_factory.mktemp("cohort") / "c")


@pytest.fixture(scope="module")
def data(cohort: Cohort) -> CohortData:
    return load_data(cohort.studies, open_volumes(cohort, VolumeSpec(SHAPE, SPACING_MM)))


def blob(w: int) -> Volume:
    """A head of even brightness with a bright spot in column `w` of 24, right of the middle from 12 on."""
    volume = np.full((1, *SHAPE), -1, np.float32)
    volume[:, 3:17, 3:21, 3:21] = -0.4
    volume[:, 9:12, 10:13, w - 1 : w + 2] = 1
    return Volume(volume, np.diag([8.0, 8.0, 8.0, 1.0]))


def test_the_patients_right_is_on_the_pictures_left() -> None:
    for w, left_of_picture in ((18, True), (5, False)):
        axial = np.asarray(draw_study(Shown("1", blob(w), RIGHT, RIGHT, (10.0, 11.0, float(w)))))[60:380, 28:348]
        bright = np.argwhere((axial > 200).all(2))
        assert (bright[:, 1].mean() < axial.shape[1] / 2) == left_of_picture


def test_planes_are_cut_through_the_mask(data: CohortData) -> None:
    found = 0
    for row, item in enumerate(data.items):
        volume = data.prepared(row)
        point = lesion_point(item.study, volume)
        assert (point is None) == (item.side == "none")
        if point is not None and item.side in ("left", "right"):
            assert (point[2] < (SHAPE[2] - 1) / 2) == (item.side == "left")
            found += 1
    assert found


def test_a_study_without_a_mask_has_no_point(data: CohortData) -> None:
    assert lesion_point(replace(data.items[0].study, mask=None), data.prepared(0)) is None


def test_what_differs_is_red_and_what_agrees_is_green() -> None:
    def colours(generated: str) -> set[tuple[int, ...]]:
        picture = draw_study(Shown("1", blob(5), LEFT, generated))
        return {tuple(colour) for _, colour in picture.getcolors(1 << 20) or []}

    red, green = (255, 107, 107), (116, 214, 128)
    assert red not in colours(LEFT)
    assert {red, green} <= colours(RIGHT)


def test_long_and_empty_texts_fit(data: CohortData) -> None:
    picture = draw_study(Shown("1", data.prepared(0), "word " * 3000 + "x" * 400, ""))
    assert picture.height < 1400


def test_published_volumes_are_drawn_as_bright_as_others(cohort: Cohort) -> None:
    volume = published_volume(read_scan(cohort.studies[0].image), (20, 24, 24))
    planes = np.asarray(draw_study(Shown("1", volume, LEFT, LEFT)))[30:360]
    assert planes.max() > 200
    assert np.median(planes) < 20  # air is black


def test_the_gallery_has_a_picture_for_each_study_and_an_index(tmp_path: Path, data: CohortData) -> None:
    studies = [Shown(f"study <{k}>", data.prepared(k), LEFT, "a < b & c") for k in range(2)]
    index = write_gallery(tmp_path / "new" / "gallery", "Epoch 3", studies)
    text = index.read_text(encoding="utf-8")
    assert "Epoch 3" in text
    assert "a &lt; b &amp; c" in text
    assert "study &lt;1&gt;" in text
    assert sorted(path.name for path in index.parent.iterdir()) == ["01.png", "02.png", "index.html"]
    assert Image.open(index.parent / "02.png").size[0] >= 1000
    write_gallery(tmp_path / "new" / "gallery", "Epoch 3", studies)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, data: CohortData) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot hold pictures"):
        write_gallery(tmp_path / "file", "x", [Shown("1", data.prepared(0), LEFT, LEFT)])
