"""The CT of the stylised patient: HU, blur, noise, and averaging onto other grids."""

import numpy as np
import pytest
from rpt_phantom.stylised import (
    AxisGrid,
    StylisedAnatomy,
    Tissue,
    averaged,
    ct_image,
    reference_body,
    voxelise,
)
from scipy.ndimage import binary_erosion

FINE = AxisGrid((164, 104, 60), (2.4, 2.4, 2.4), (-195.6, -123.6, 40.0))


@pytest.fixture(scope="module")
def chest() -> StylisedAnatomy:
    return voxelise(reference_body(), (), FINE)


@pytest.mark.parametrize(
    ("tissue", "hu"), [(Tissue.LUNG, -715), (Tissue.MUSCLE, 52), (Tissue.SPONGIOSA, 220)]
)
def test_hu_within_a_tissue(chest, tissue, hu) -> None:
    image = ct_image(chest, np.random.default_rng(0))
    core = binary_erosion(chest.where(tissue), iterations=4)
    assert image[core].mean() == pytest.approx(hu, abs=4)
    assert image[core].std() == pytest.approx(12.0, rel=0.15)


def test_noise_is_the_generators(chest) -> None:
    one, same, other = (ct_image(chest, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.dtype == np.int16
    assert one.min() >= -1024


def test_without_blur_and_noise_it_is_the_anatomy(chest) -> None:
    image = ct_image(chest, np.random.default_rng(0), fwhm_mm=0.0, noise_hu=0.0)
    assert np.array_equal(image, chest.hu)


def test_twice_the_voxel_is_the_mean_of_eight() -> None:
    fine = AxisGrid((8, 6, 4), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0))
    coarse = AxisGrid((4, 3, 2), (4.0, 4.0, 4.0), (2.0, 2.0, 2.0))
    values = np.random.default_rng(0).normal(size=fine.shape).astype(np.float32)
    expected = values.reshape(4, 2, 3, 2, 2, 2).mean(axis=(1, 3, 5))
    assert averaged(values, fine, coarse) == pytest.approx(expected, abs=1e-5)


def test_averaging_keeps_the_integral_on_any_grid(chest) -> None:
    odd = AxisGrid((60, 40, 30), (7.3, 7.1, 5.3), (-215.0, -138.0, 38.0))
    mass_g = chest.density_g_per_ml * np.float32(1)
    there = averaged(mass_g, FINE, odd, outside=0.0)
    assert there.sum(dtype=np.float64) * odd.voxel_ml == pytest.approx(
        mass_g.sum(dtype=np.float64) * FINE.voxel_ml, rel=1e-4
    )


def test_ct_on_its_own_grid(chest) -> None:
    grid = AxisGrid((100, 60, 36), (4.8, 4.8, 4.8), (-237.6, -141.6, 40.0))
    image = ct_image(chest, np.random.default_rng(0), grid=grid)
    assert image.shape == grid.shape
    assert image[0, 0].mean() == pytest.approx(-1000, abs=5)
    middle = image[:, 30, 10]
    assert middle.max() > 30
    assert middle.min() < -900


def test_blur_and_noise_must_not_be_negative(chest) -> None:
    with pytest.raises(ValueError, match="fwhm_mm and noise_hu must be 0 or above"):
        ct_image(chest, np.random.default_rng(0), noise_hu=-1.0)
