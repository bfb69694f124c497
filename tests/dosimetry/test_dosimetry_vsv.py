"""The voxel S-value engine and its convolution: linear, shift-invariant, equal to scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_dosimetry.dose.anatomy import VoxelMedium
from rpt_dosimetry.dose.engines import Local, Vsv, convolve_octant
from rpt_dosimetry.radiation.kernel import compute_kernel, mirrored
from rpt_dosimetry.radiation.nuclide import find_nuclide
from scipy.signal import fftconvolve

ENGINES = [Vsv(find_nuclide("Lu-177")), Local(find_nuclide("Lu-177"))]
SPACING_MM = (4.8, 4.8, 4.8)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed, shape=(9, 8, 7)):
    return np.random.default_rng(seed).random(shape) ** 4


def dose_gy(engine, tia, density=None, spacing_mm=SPACING_MM):
    medium = None if density is None else VoxelMedium(density, np.ones(tia.shape, np.uint8))
    return engine.absorbed_dose_gy(tia, spacing_mm=spacing_mm, medium=medium)[0]


@settings(max_examples=15)
@given(seeds, st.tuples(*[st.integers(1, 12)] * 3), st.tuples(*[st.integers(1, 14)] * 3))
def test_convolution_is_scipys(seed, shape, reach) -> None:
    field, octant = drawn(seed, shape), drawn(seed + 1, reach)
    whole = mirrored(octant)
    padded = np.pad(field, [(n, n) for n in reach])  # so that "same" is taken around the field
    wanted = fftconvolve(padded, whole, mode="same")
    inside = tuple(slice(n, n + m) for n, m in zip(reach, shape, strict=True))
    assert np.allclose(convolve_octant(field, octant), wanted[inside], atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@settings(max_examples=8)
@given(seed=seeds, factor=st.floats(0.0, 1e4))
def test_linear_and_additive(engine, seed, factor) -> None:
    one, other = drawn(seed), drawn(seed + 1)
    together = dose_gy(engine, one * factor + other)
    apart = dose_gy(engine, one) * factor + dose_gy(engine, other)
    assert np.allclose(together, apart, rtol=1e-9, atol=1e-12 * max(factor, 1.0))


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@settings(max_examples=8)
@given(seed=seeds, shift=st.tuples(*[st.integers(0, 4)] * 3))
def test_shift_invariant(engine, seed, shift) -> None:
    field = drawn(seed, (5, 5, 5))
    first = dose_gy(engine, np.pad(field, [(2, 6)] * 3))
    moved = dose_gy(engine, np.pad(field, [(2 + s, 6 - s) for s in shift]))
    at = tuple(slice(s, s + 9) for s in shift)
    assert np.allclose(moved[at], first[:9, :9, :9], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@settings(max_examples=8)
@given(seed=seeds, axes=st.permutations([0, 1, 2]), flips=st.lists(st.booleans(), min_size=3))
def test_rotation_invariant(engine, seed, axes, flips) -> None:
    def turn(values):
        turned = values.transpose(axes)
        return np.flip(turned, [axis for axis in range(3) if flips[axis]])

    field, spacing_mm = drawn(seed), (2.0, 3.0, 5.0)
    moved = dose_gy(engine, turn(field), spacing_mm=tuple(spacing_mm[axis] for axis in axes))
    assert np.allclose(moved, turn(dose_gy(engine, field, spacing_mm=spacing_mm)), rtol=1e-7)


def test_deep_inside_a_uniform_body_all_energy_arrives() -> None:
    """In uniform activity a voxel gets what it emits: 183.02 keV but for what the edges miss."""
    tia = np.ones((161, 161, 161), dtype=np.float32)  # 97 cm of 6 mm voxels
    dose = dose_gy(ENGINES[0], tia, spacing_mm=(6.0, 6.0, 6.0))
    wanted = (147.923 + 35.098) * 1.602176634e-16 * 1e6 * 3600 / 1.04e-3
    assert 0.99 * wanted < dose[80, 80, 80] < wanted


def test_density_scales_the_electrons_only() -> None:
    tia = np.zeros((11, 11, 11))
    tia[5, 5, 5] = 1.0
    density = np.full(tia.shape, 0.26)
    lung, soft = dose_gy(ENGINES[0], tia, density), dose_gy(ENGINES[0], tia)
    kernel = compute_kernel("Lu-177", spacing_mm=SPACING_MM, largest=(6, 6, 6))
    gy_per_kev = 1.602176634e-16 * 1e6 * 3600 / 1.04e-3
    electrons = kernel.electron_kev[0, 0, 0] * gy_per_kev
    photons = kernel.photon_kev[0, 0, 0] * gy_per_kev
    assert lung[5, 5, 5] == pytest.approx(electrons * 4 + photons, rel=1e-9)
    assert lung[5, 5, 9] == pytest.approx(soft[5, 5, 9], rel=1e-9)  # photons alone
    assert lung[5, 5, 9] > 0


def test_in_soft_tissue_the_given_density_changes_nothing() -> None:
    tia = drawn(1)
    given_density = dose_gy(ENGINES[0], tia, np.full(tia.shape, 1.04))
    assert np.allclose(given_density, dose_gy(ENGINES[0], tia), rtol=1e-12)


def test_energy_is_told() -> None:
    told = ENGINES[0].energy_kev(spacing_mm=SPACING_MM)
    emitted = told["emitted_electrons"] + told["emitted_photons"]
    assert told["absorbed"] + told["left_out"] == pytest.approx(emitted)
    assert told["left_out"] < 0.01 * emitted
