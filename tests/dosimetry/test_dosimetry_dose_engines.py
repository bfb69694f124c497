"""The local engine's energy, and what every engine's dose must obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rpt_cohort import BadInput
from rpt_dosimetry.dose.anatomy import VoxelMedium
from rpt_dosimetry.dose.engines import Local, find_engine
from rpt_dosimetry.options import ENGINES
from rpt_dosimetry.radiation.nuclide import find_nuclide

LU177 = find_nuclide("Lu-177")
SPACING_MM = (4.8, 4.8, 4.8)
FIELDS = arrays(np.float64, (3, 4, 2), elements=st.floats(0, 1e3))


def local_dose_gy(tia, density=None):
    medium = None if density is None else VoxelMedium(density, np.ones(tia.shape, np.uint8))
    dose, sd = Local(LU177).absorbed_dose_gy(tia, spacing_mm=SPACING_MM, medium=medium)
    assert sd is None
    return dose


@given(tia=FIELDS, density=arrays(np.float64, (3, 4, 2), elements=st.floats(0.2, 2.8)))
def test_local_keeps_every_decay(tia, density) -> None:
    # Energy absorbed, from dose × mass: 147.92 keV for each decay (ICRP-107).
    dose = local_dose_gy(tia, density)
    voxel_ml = np.prod(SPACING_MM) / 1000
    joule = (dose * density * voxel_ml * 1e-3).sum()
    decays = (tia * voxel_ml).sum() * 1e6 * 3600
    assert joule / 1.602176634e-16 == pytest.approx(decays * 147.92, rel=1e-4)


def test_local_has_madsens_constant() -> None:
    # 0.08532 g Gy/(MBq h): 147.92 keV per decay (ICRP-107)
    one = np.ones((1, 1, 1))
    dose = local_dose_gy(one, one)
    assert dose[0, 0, 0] == pytest.approx(0.08532, rel=1e-4)
    soft = local_dose_gy(one)
    assert soft[0, 0, 0] == pytest.approx(0.08532 / 1.04, rel=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_energy_is_accounted_for(name) -> None:
    told = find_engine(name, LU177).energy_kev(spacing_mm=SPACING_MM)
    emitted = told["emitted_electrons"] + told["emitted_photons"]
    assert emitted == pytest.approx(147.92 + 35.10, rel=1e-4)
    assert told["absorbed"] + told["left_out"] == pytest.approx(emitted, rel=1e-3)


@given(one=FIELDS, other=FIELDS, factor=st.floats(0, 10))
def test_local_sources_add_up(one, other, factor) -> None:
    expected = local_dose_gy(one) + factor * local_dose_gy(other)
    summed = local_dose_gy(one + factor * other)
    np.testing.assert_allclose(summed, expected, rtol=1e-9, atol=1e-9)


def test_unknown_engine() -> None:
    with pytest.raises(BadInput, match="engine must be one of local, vsv, got 'olinda'"):
        find_engine("olinda", LU177)
