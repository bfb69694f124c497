"""Density from CT numbers: the table's nodes, its ends, and what is no CT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dose.anatomy import (
    LOWEST_G_PER_ML,
    MATERIALS,
    body_g_per_ml,
    check_hu,
    mass_density_g_per_ml,
    voxel_medium,
)
from rpt_dosimetry.radiation.media import MEDIA


def box(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("hu", "g_per_ml"),
    # Nodes of GATE's table; between them by hand.
    [
        *((-1000, 0.00121), (-98, 0.93), (-97, 0.930486), (14, 1.03), (23, 1.031)),
        *((100, 1.1199), (101, 1.0762), (1600, 1.9642), (3000, 2.8)),
        *((-549, 0.465605), (1300, 1.7864809), (-3024, 0.00121), (9000, 2.8)),
    ],
)
def test_published_nodes(hu, g_per_ml) -> None:
    assert mass_density_g_per_ml(box(hu))[0, 0, 0] == pytest.approx(g_per_ml, rel=1e-5)


@given(low=st.floats(-1000, 100), step=st.floats(0, 500))
def test_rises_among_soft_tissues(low, step) -> None:
    below, above = mass_density_g_per_ml(box(low, min(low + step, 100.0))).ravel()
    assert below <= above


def test_what_a_dose_may_be_divided_by() -> None:
    medium = voxel_medium(box(-1000, -700, 40, 300))
    thinnest = medium.ct_g_per_ml < LOWEST_G_PER_ML
    np.testing.assert_array_equal(thinnest.ravel(), [True, False, False, False])
    raised = np.where(thinnest, LOWEST_G_PER_ML, medium.ct_g_per_ml)
    np.testing.assert_array_equal(medium.density_g_per_ml, raised)


def test_materials() -> None:
    medium = voxel_medium(box(-1000, -700, -121, -119, 40, 100, 101, 1500))
    found = [MATERIALS[index] for index in medium.material.ravel()]
    assert found == ["lung"] * 3 + ["soft"] * 3 + ["bone"] * 2
    assert set(MATERIALS) <= set(MEDIA)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 24, 1100], r"in HU, with air .* got 0 to 1100"),  # stored values, no intercept
        ([-2000, 0, 24, 1100], r"in HU"),  # the same, with padding
        ([0.0, 0.15, 0.2], r"rescale slope"),  # attenuation per cm
        ([-1000, -1000, -1000], r"and tissue"),
        ([40, 40, 40], r"rescale slope"),  # a constant
        ([-50, 0, 0, 0, 1040, 1100], r"rescale slope"),  # stored, with some negative values
        ([np.nan, -1000, 40], r"finite"),
    ],
)
def test_what_is_no_ct(values, told) -> None:
    with pytest.raises(BadInput, match=told):
        check_hu(Volume(box(*values), np.eye(4)), name="CT (--ct)")


def test_a_ct_passes() -> None:
    check_hu(Volume(box(-3024, -1000, 40), np.eye(4)), name="CT (--ct)")


def test_a_ct_without_air_passes() -> None:
    tissue = np.random.default_rng(0).normal(40.0, 15.0, 1000)
    tissue[:200] = -95.0  # fat
    tissue[200:230] = 420.0  # bone
    check_hu(Volume(box(*tissue), np.eye(4)), name="CT (--ct)")


def test_density_of_the_body() -> None:
    density = box(0.001, 0.9, 1.1, 1.6)
    assert body_g_per_ml(density, organ_voxels=None) == pytest.approx(1.2)
    assert body_g_per_ml(density, organ_voxels=np.array([1, 2])) == pytest.approx(1.0)
    assert body_g_per_ml(box(0.001), organ_voxels=None) == 0.0
