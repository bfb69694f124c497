"""Regions by number and their unions; statistics of their doses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rpt_dosimetry.dose.anatomy import find_regions, lesion_shares
from rpt_dosimetry.dose.rows import dose_statistics
from rpt_dosimetry.masks import read_organ_table

SHAPE = (3, 4, 5)


def test_names_and_unions() -> None:
    organs = np.zeros(SHAPE, dtype=np.uint8)
    organs[0, 0, :4] = (1, 2, 3, 5)
    organs[1] = 199
    organs[2, 0, :5] = (150, 155, 32, 117, 130)
    lesions = np.zeros(SHAPE, dtype=np.uint16)
    lesions[0, 0, 0] = 700
    found = {r.name: r for r in find_regions(shape=SHAPE, organs=organs, lesions=lesions)}
    # The organs that are dosed first, then what else there is; 130 is in no table.
    assert list(found) == [
        *("whole_image", "body", "kidney", "kidney_right", "kidney_left", "liver", "spleen"),
        *("salivary_glands", "parotid_gland_right", "sublingual_gland_left", "lesion_700"),
        *("vertebrae_T12", "costal_cartilages", "organ_130", "remaining_body", "rest"),
    ]
    np.testing.assert_array_equal(found["kidney"].voxels, [1, 2])
    assert len(found["body"].voxels) == np.count_nonzero(organs)
    assert len(found["whole_image"].voxels) == organs.size
    assert found["lesion_700"].kind == "lesion"
    np.testing.assert_array_equal(found["rest"].voxels, np.flatnonzero(organs == 0))


@given(organs=arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, 5, 199])))
def test_each_organ_is_its_mask(organs) -> None:
    for region in find_regions(shape=SHAPE, organs=organs, lesions=None):
        if region.kind == "organ":
            np.testing.assert_array_equal(region.voxels, np.flatnonzero(organs == region.label))


def test_no_rest_without_masks_or_without_voxels() -> None:
    assert len(find_regions(shape=SHAPE, organs=None, lesions=None)) == 1
    organs = np.ones(SHAPE, dtype=np.uint8)
    names = [r.name for r in find_regions(shape=SHAPE, organs=organs, lesions=None)]
    assert names == ["whole_image", "body", "spleen"]


@pytest.mark.parametrize("label", [*range(1, 118), *range(150, 156), 199])
def test_no_known_organ_is_called_by_its_number(label: int) -> None:
    organs = np.full(SHAPE, label, dtype=np.uint8)
    (name,) = (r.name for r in find_regions(shape=SHAPE, organs=organs, lesions=None) if r.label)
    assert name == read_organ_table().names[label]


def test_statistics_by_hand() -> None:
    # 1 … 100 Gy: the hottest 2 % are 99 and 100
    found = dose_statistics(np.random.default_rng(0).permutation(np.arange(1.0, 101.0)))
    assert (found.d2_gy, found.d50_gy, found.d98_gy) == (99.0, 51.0, 3.0)
    assert found.mean_gy == 50.5
    assert found.sd_gy == pytest.approx(np.sqrt((100**2 - 1) / 12))


@given(dose=arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 100)))
def test_statistics_are_in_order(dose) -> None:
    found = dose_statistics(dose)
    assert dose.min() <= found.d98_gy <= found.d50_gy <= found.d2_gy <= dose.max()
    # D98 is the least dose of at least 98 % of the volume.
    assert np.mean(dose >= found.d98_gy) >= 0.98
    assert np.mean(dose >= found.d2_gy) >= 0.02


def test_lesion_shares_by_hand() -> None:
    organs, lesions = np.ones(SHAPE, dtype=np.uint8), np.zeros(SHAPE, dtype=np.uint16)
    organs[1:] = 5
    lesions[0, 0, :2], lesions[0, 1, 0] = 4, 9
    regions = find_regions(shape=SHAPE, organs=organs, lesions=lesions)
    assert lesion_shares(regions) == {"spleen": pytest.approx(3 / 20), "liver": 0.0}
    assert lesion_shares(find_regions(shape=SHAPE, organs=organs, lesions=None)) == {}
