"""The atlas against published coordinates with anatomical labels. Its surfaces were drawn with these in view."""

import numpy as np
import pytest
import torch

from brain3d.phantom.anatomy import CHANNELS, load_anatomy
from brain3d.reports.findings import REGIONS

EXPECTED = {
    "occipital": {"occipital"},
    "post occipital": {"occipital"},
    "precentral gyrus": {"frontal", "parietal"},
    "inf temporal": {"temporal"},
    "temporal": {"temporal"},
    "parietal": {"parietal"},
    "IPL": {"parietal"},
    "angular gyrus": {"parietal"},
    "precuneus": {"parietal"},
    "dlPFC": {"frontal"},
    "aPFC": {"frontal"},
    "vmPFC": {"frontal"},
    "dFC": {"frontal"},
    "inf cerebellum": {"cerebellum"},
    "lat cerebellum": {"cerebellum"},
    "med cerebellum": {"cerebellum"},
    "thalamus": {"deep grey matter"},
    "basal ganglia": {"deep grey matter"},
    "mid insula": {"insula", "frontal", "temporal", "parietal", "deep grey matter"},
}


def region_at(x: float, y: float, z: float) -> str:
    anatomy = load_anatomy()
    index = [round((c - low) / anatomy.grid_mm) for c, low in zip((z, y, x), anatomy.lower_mm, strict=True)]
    label = int(anatomy.regions[tuple(index)])
    return REGIONS[label - 1] if label else "outside"


def dosenbach() -> list[tuple[str, str]]:
    from nilearn import datasets

    table = datasets.fetch_coords_dosenbach_2010()
    pairs = []
    for label, roi in zip(table["labels"], table["rois"].itertuples(), strict=True):
        name = " ".join(str(label).split()[:-1])
        if name in EXPECTED:
            pairs.append((name, region_at(roi.x, roi.y, roi.z)))
    return pairs


def test_lobes_agree_with_labelled_coordinates() -> None:
    pairs = dosenbach()
    assert len(pairs) > 70
    right = [found in EXPECTED[name] for name, found in pairs]
    wrong = [pair for pair, ok in zip(pairs, right, strict=True) if not ok]
    # 92 % today (docs/phantoms.md says where it errs); it must not get worse.
    assert np.mean(right) >= 0.91, wrong


def test_the_template_bears_no_mark_of_a_side() -> None:
    anatomy = load_anatomy()
    assert torch.equal(anatomy.soft, anatomy.soft.flip(-1))
    assert torch.equal(anatomy.regions, anatomy.regions.flip(-1))


@pytest.mark.parametrize(("name", "low", "high"), [("white", 300, 900), ("grey", 500, 1300)])
def test_tissue_volumes_are_those_of_a_human_brain(name: str, low: float, high: float) -> None:
    anatomy = load_anatomy()
    millilitres = float(anatomy.soft[CHANNELS.index(name)].sum()) * anatomy.grid_mm**3 / 1000
    assert low < millilitres < high


def test_every_partition_region_exists_on_both_sides() -> None:
    regions = load_anatomy().regions
    half = regions.shape[2] // 2
    for index, name in enumerate(REGIONS):
        if name != "periventricular":
            assert (regions[..., :half] == index + 1).any(), name
            assert (regions[..., half + 1 :] == index + 1).any(), name
