"""Voxel kernels: energy, symmetry, published tables, spheres and organs."""

import json

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import ORGANS, SPHERES, self_dose
from rpt_dosimetry.commands.dose import WRITTEN_VOXELS
from rpt_dosimetry.radiation.kernel import (
    KEV_PER_MGY_G_PER_MBQ_S,
    absorbed_kev,
    compute_kernel,
    cut_shape,
    kernel_shape,
    mirrored,
    whole_sum,
)
from rpt_dosimetry.radiation.media import MEDIA
from rpt_dosimetry.radiation.photons import photon_kernel

SOFT = 1.04
SIZES_MM = ("3", "4.42", "4.8", "6")


def cube(side_mm, **more):
    return compute_kernel("Lu-177", spacing_mm=(side_mm,) * 3, **more)


def octant_of(values):
    i, j, k = (n // 2 for n in values.shape)
    return values[i:, j:, k:]


@pytest.fixture(scope="module")
def at_4_8():
    return cube(4.8)


def test_every_kev_is_accounted_for(at_4_8) -> None:
    values = at_4_8.s_mgy_per_mbq_s()
    in_values_kev = values.sum(dtype=np.float64) * at_4_8.voxel_g * KEV_PER_MGY_G_PER_MBQ_S
    assert at_4_8.voxel_g == pytest.approx(0.48**3 * SOFT)
    assert in_values_kev == pytest.approx(at_4_8.absorbed_kev, rel=1e-6)  # stored as float32
    assert at_4_8.absorbed_kev + at_4_8.escaped_kev == pytest.approx(147.92 + 35.10, abs=0.01)
    assert whole_sum(at_4_8.electron_kev) == pytest.approx(147.92, abs=0.005)
    assert 0 < at_4_8.escaped_kev < 0.01 * at_4_8.emitted_kev


@pytest.mark.parametrize("spacing_mm", [(4.8, 4.8, 4.8), (3.0, 4.0, 9.0)])
def test_energy_is_told_without_the_kernel(spacing_mm) -> None:
    kernel = compute_kernel("Lu-177", spacing_mm=spacing_mm)
    inside, outside = absorbed_kev("Lu-177", spacing_mm=spacing_mm)
    assert inside == pytest.approx(kernel.absorbed_kev, rel=2e-4)
    assert inside + outside == pytest.approx(kernel.emitted_kev, rel=1e-9)


@pytest.mark.parametrize("spacing_mm", [(2.21,) * 3, (1.4, 1.4, 1.4), (1.5, 3.0, 9.0), (4.8,) * 3])
def test_what_is_written_has_a_sane_size(spacing_mm) -> None:
    """313 voxels a side at 2.21 mm; what fits is a cube, and is told by the point kernels too."""
    whole = kernel_shape("Lu-177", spacing_mm=spacing_mm)
    cut = cut_shape(whole, spacing_mm=spacing_mm, most_voxels=WRITTEN_VOXELS)
    assert all(n % 2 == 1 and n <= of for n, of in zip(cut, whole, strict=True))
    assert np.prod(cut) <= WRITTEN_VOXELS
    if np.prod(whole) <= WRITTEN_VOXELS:
        assert cut == whole
    else:
        assert np.prod(cut) > 0.9 * WRITTEN_VOXELS
        sides_mm = np.array(cut) * spacing_mm
        assert np.ptp(sides_mm) <= 2 * max(spacing_mm)


def test_a_cut_kernel_tells_what_it_leaves_out(tmp_path, command) -> None:
    ended = command("kernel", "--voxel-mm", "2.21,2.21,2.21", "--out", tmp_path / "K.nii.gz")
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "K.json").read_text())
    assert told["shape"] == [161, 161, 161]
    photons, half = photon_kernel("Lu-177", "soft"), 161 * 0.221 * SOFT / 2
    emitted = 147.92 + photons.absorbed_kev
    inner, outer = photons.within_kev(np.array([half, half * np.sqrt(3)]))
    assert (photons.absorbed_kev - outer) / emitted < told["left_out"]
    assert told["left_out"] < (photons.absorbed_kev - inner) / emitted
    assert f"{told['left_out']:.2%} left out" in ended.err


def test_bone_is_the_skeleton_and_cortical_bone_denser(tmp_path, command) -> None:
    told = {}
    for medium in ("bone", "cortical"):
        out = tmp_path / f"{medium}.nii.gz"
        ended = command("kernel", "--voxel-mm", "9,9,9", "--medium", medium, "--out", out)
        assert ended.status == 0, ended.err
        told[medium] = json.loads((tmp_path / f"{medium}.json").read_text())
        assert told[medium]["medium_is"] in ended.err
    assert told["bone"]["density_g_per_cm3"] == 1.40
    assert "skeleton's average" in told["bone"]["medium_is"]
    assert told["cortical"]["density_g_per_cm3"] == 1.85
    assert sum(told["cortical"]["mass_percent"].values()) == pytest.approx(100, abs=0.01)
    # The electrons stay in the voxel, whose mass is what differs.
    ratio = told["bone"]["self_mgy_per_mbq_s"] / told["cortical"]["self_mgy_per_mbq_s"]
    assert ratio == pytest.approx(1.85 / 1.40, rel=0.02)
    assert "skeleton's average" in " ".join(command("kernel", "--help").out.split())


@pytest.mark.parametrize("medium", MEDIA)
def test_the_command_cuts_small_voxels_of_every_medium(medium, tmp_path, command) -> None:
    words = ("--voxel-mm", "1,1,1", "--medium", medium, "--out", tmp_path / "K.nii.gz")
    ended = command("kernel", *words)
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "K.json").read_text())
    assert told["shape"] == [161, 161, 161]
    energy = told["energy_kev_per_decay"]
    assert energy["absorbed"] + energy["escaped"] == pytest.approx(147.92 + 35.10, abs=0.01)
    assert told["left_out"] == pytest.approx(energy["escaped"] / (147.92 + 35.10), rel=1e-3)
    assert f"{told['left_out']:.2%} left out" in ended.err
    assert 0.05 < told["left_out"] < 35.10 / 183.02  # all electrons are inside


def test_energy_inside_agrees_with_the_point_kernel(at_4_8) -> None:
    """A sphere in the kernel and one around it bound its energy."""
    photons = photon_kernel("Lu-177", "soft")
    half = (at_4_8.photon_kev.shape[0] - 0.5) * 0.48 * SOFT
    inside, around = photons.within_kev(np.array([half - 0.48, half * np.sqrt(3)]))
    assert inside < whole_sum(at_4_8.photon_kev) < around


def test_shape_is_odd_and_the_source_central(at_4_8) -> None:
    values = at_4_8.s_mgy_per_mbq_s()
    assert all(n % 2 == 1 for n in values.shape)
    assert values.shape == kernel_shape("Lu-177", spacing_mm=(4.8, 4.8, 4.8))
    assert np.unravel_index(values.argmax(), values.shape) == tuple(n // 2 for n in values.shape)
    assert values.min() > 0


def test_symmetric_under_rotation_and_reflection(at_4_8) -> None:
    values = at_4_8.s_mgy_per_mbq_s()
    for other in (values[::-1], values.transpose(2, 0, 1), np.rot90(values, axes=(0, 1))):
        assert np.allclose(other, values, rtol=1e-10, atol=0)


@pytest.mark.parametrize("size", SIZES_MM)
def test_lanconelli_where_photons_carry_the_dose(size, testdata) -> None:
    """Lanconelli et al., Phys Med Biol 57 (2012) 517: all offsets from 2 on, within 3 %."""
    table = np.loadtxt(testdata / "vsv_lu177" / f"Lu177_{size}mm_soft.txt", skiprows=2)
    computed = octant_of(cube(float(size), largest=(8, 8, 8)).s_mgy_per_mbq_s())
    far = table[table[:, :3].max(axis=1) >= 2]
    assert len(far) == 208
    ratio = computed[tuple(far[:, :3].astype(int).T)] / far[:, 3]
    assert np.abs(ratio - 1).max() < 0.03


@pytest.mark.parametrize(
    ("size", "self_published", "face_published"),
    [("3", 0.693, 1.51e-2), ("4.8", 0.178, 2.46e-3), ("6", 0.0925, 1.04e-3)],
)
def test_self_and_face_within_the_spread_of_publications(
    size, self_published, face_published
) -> None:
    """The two published self values are 11 % apart after density; ours lies between them."""
    computed = octant_of(cube(float(size), largest=(3, 3, 3)).s_mgy_per_mbq_s())
    assert self_published < computed[0, 0, 0] < 1.115 * self_published
    assert computed[0, 0, 1] == pytest.approx(face_published, rel=0.03)


def test_self_and_face_beside_a_gate_kernel() -> None:
    """PyTheranostics 0.1, 4.7952 mm, computed by GATE and scaled to a density of 1.00."""
    computed = octant_of(cube(4.7952, largest=(3, 3, 3)).s_mgy_per_mbq_s()) * SOFT
    assert computed[0, 0, 0] == pytest.approx(0.20662, rel=0.05)
    assert computed[0, 0, 1] == pytest.approx(2.257e-3, rel=0.13)


def test_small_voxels_add_up_to_large_ones() -> None:
    """Eight voxels of 2.4 mm are one of 4.8 mm: the two kernels give the same energies."""
    small = mirrored(np.pad(cube(2.4, largest=(9, 9, 9)).photon_kev, 1)[1:, 1:, 1:])
    small = small[1:-1, 1:-1, 1:-1]
    large = cube(4.8, largest=(4, 4, 4)).photon_kev
    centre = 8
    for offset in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0), (3, 2, 1)]:
        total = 0.0
        for source in np.ndindex(2, 2, 2):
            for target in np.ndindex(2, 2, 2):
                step = 2 * np.array(offset) + np.array(target) - np.array(source)
                total += small[tuple(centre + step)] / 8
        assert total == pytest.approx(large[offset], rel=0.01)


@settings(max_examples=10)
@given(st.tuples(*[st.floats(1.5, 8.0)] * 3))
def test_any_voxel_holds_the_electrons_energy(spacing_mm) -> None:
    kernel = compute_kernel("Lu-177", spacing_mm=spacing_mm, largest=(4, 4, 4))
    assert whole_sum(kernel.electron_kev) == pytest.approx(147.92, abs=0.005)
    assert min(kernel.electron_kev.min(), kernel.photon_kev.min()) >= 0


def test_turned_voxels_turn_the_kernel() -> None:
    one = compute_kernel("Lu-177", spacing_mm=(2.0, 3.0, 5.0), largest=(9, 8, 7))
    other = compute_kernel("Lu-177", spacing_mm=(5.0, 2.0, 3.0), largest=(7, 9, 8))
    assert np.allclose(other.photon_kev, one.photon_kev.transpose(2, 0, 1), rtol=1e-9)
    assert np.allclose(other.electron_kev, one.electron_kev.transpose(2, 0, 1), rtol=1e-9, atol=0)


def test_the_medium_matters_where_it_should() -> None:
    """In lung electrons reach farther; the energy in all voxels together is the same."""
    lung = cube(4.8, largest=(3, 3, 3), medium_name="lung")
    soft = cube(4.8, largest=(3, 3, 3))
    assert lung.electron_kev[0, 0, 0] < 0.85 * soft.electron_kev[0, 0, 0]
    assert whole_sum(lung.electron_kev) == pytest.approx(whole_sum(soft.electron_kev))
    bone = cube(4.8, largest=(3, 3, 3), medium_name="bone")
    assert bone.photon_kev[0, 0, 0] > 1.3 * soft.photon_kev[0, 0, 0]  # photoelectric, 1.4 g/cm³


@pytest.mark.parametrize(("mass_g", "published"), SPHERES)
def test_spheres(mass_g, published) -> None:
    assert sum(self_dose(mass_g)) == pytest.approx(published, rel=0.015)


@pytest.mark.parametrize("name", ORGANS)
def test_organs(name) -> None:
    mass_g, published, axes = ORGANS[name]
    as_ellipsoid, as_sphere = sum(self_dose(mass_g, axes)), sum(self_dose(mass_g))
    assert as_ellipsoid == pytest.approx(published, rel=0.015)
    assert as_sphere == pytest.approx(published, rel=0.015)
    assert as_ellipsoid < as_sphere  # a sphere keeps more of its photons


@pytest.mark.parametrize(
    ("shape", "published"),
    [((932.0,), 2.65e-5), ((1799.8, (16.0, 8.0, 6.0)), 1.3713e-5)],
    ids=["932 g sphere", "liver"],
)
def test_the_photon_part(shape, published) -> None:
    electrons, photons = self_dose(*shape)
    assert photons == pytest.approx(published - electrons, rel=0.15)


def test_command(tmp_path, command) -> None:
    out = tmp_path / "K.nii.gz"
    ended = command("kernel", "--nuclide", "Lu-177", "--voxel-mm", "4.8,4.8,6", "--out", out)
    assert ended.status == 0, ended.err
    image = nib.load(out)
    values = image.get_fdata()
    told = json.loads((tmp_path / "K.json").read_text())
    assert told["density_g_per_cm3"] == SOFT
    assert told["shape"] == list(values.shape)
    assert all(n % 2 == 1 for n in values.shape)
    assert image.header.get_zooms() == pytest.approx((4.8, 4.8, 6.0))
    energy = told["energy_kev_per_decay"]
    in_values_kev = values.sum() * told["voxel_g"] * KEV_PER_MGY_G_PER_MBQ_S
    assert in_values_kev == pytest.approx(energy["absorbed"], rel=1e-5)
    emitted = energy["emitted_electrons"] + energy["emitted_photons"]
    assert energy["absorbed"] + energy["escaped"] == pytest.approx(emitted, rel=1e-12)
    assert energy["escaped"] < 0.01 * emitted
    assert told["self_mgy_per_mbq_s"] == pytest.approx(values.max(), rel=1e-6)
    centre = image.affine @ [*(n // 2 for n in values.shape), 1]
    assert np.allclose(centre[:3], 0, atol=1e-3)  # mm; NIfTI stores float32


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--voxel-mm", "4.8,4.8"), "three numbers"),
        (("--voxel-mm", "a,b,c"), "three numbers"),
        (("--voxel-mm", "4.8,0,4.8"), "0.5 to 50 mm"),
        (("--voxel-mm", "nan,4,4"), "0.5 to 50 mm"),
        (("--voxel-mm", "0.4,0.6,0.6"), "0.5 to 50 mm"),
        (("--voxel-mm", "4,4,4", "--nuclide", "Lu177"), "Did you mean Lu-177"),
        (("--voxel-mm", "4,4,4", "--medium", "cheese"), "one of soft, water, lung, bone"),
    ],
)
def test_bad_input(arguments, sentence, tmp_path, command) -> None:
    ended = command("kernel", *arguments, "--out", tmp_path / "K.nii.gz")
    refused(ended, sentence)
    assert list(tmp_path.iterdir()) == []
