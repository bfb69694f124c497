"""The stylised patient on a grid: sides, numbers, tissues, materials, and what a field cuts."""

import numpy as np
import pytest
from rpt_dosimetry.dose.density import mass_density_g_per_ml
from rpt_phantom.stylised import (
    AxisGrid,
    StylisedAnatomy,
    Tissue,
    draw_stylised_body,
    ids,
    organs_cut,
    reference_body,
    voxelise,
)
from rpt_phantom.stylised.tissues import HU_AND_DENSITY, SCLEROTIC_G_PER_ML, SCLEROTIC_HU
from scipy.ndimage import binary_erosion

LONG = AxisGrid((104, 70, 310), (4.0, 4.0, 4.0), (-206.0, -138.0, -580.0))


@pytest.fixture(scope="module")
def adult() -> StylisedAnatomy:
    return voxelise(reference_body(), (), LONG)


@pytest.fixture(scope="module")
def patient() -> StylisedAnatomy:
    body = draw_stylised_body(np.random.default_rng(2), weight_kg=88.0, height_cm=174.0)
    return voxelise(body, (), LONG)


def centre_mm(anatomy: StylisedAnatomy, organ: int) -> np.ndarray:
    where = np.argwhere(anatomy.organs == organ).mean(axis=0)
    return where * anatomy.grid.spacing_mm + anatomy.grid.first_mm


@pytest.mark.parametrize("which", ["adult", "patient"])
def test_right_is_right_front_is_front_up_is_up(which, request) -> None:
    """RAS+: x grows to the patient's right, y to the front, z upward."""
    anatomy = request.getfixturevalue(which)
    assert centre_mm(anatomy, ids.LIVER)[0] > 30
    assert centre_mm(anatomy, ids.SPLEEN)[0] < -60
    assert centre_mm(anatomy, ids.STOMACH)[0] < -40
    for right, left in (
        (ids.KIDNEY_RIGHT, ids.KIDNEY_LEFT),
        (ids.HIP_RIGHT, ids.HIP_LEFT),
        (ids.LUNG_LOWER_RIGHT, ids.LUNG_LOWER_LEFT),
        (ids.RIB_RIGHT_1 + 5, ids.RIB_LEFT_1 + 5),
        (ids.PAROTID_RIGHT, ids.PAROTID_LEFT),
    ):
        assert centre_mm(anatomy, right)[0] > 15 > -15 > centre_mm(anatomy, left)[0]
    assert centre_mm(anatomy, ids.STERNUM)[1] > 50 > -30 > centre_mm(anatomy, ids.T12)[1]
    heights = [
        centre_mm(anatomy, organ)[2]
        for organ in (ids.URINARY_BLADDER, ids.KIDNEY_LEFT, ids.HEART, ids.PAROTID_LEFT, ids.BRAIN)
    ]
    assert heights == sorted(heights)


def test_vertebrae_are_stacked_in_order(adult) -> None:
    heights = [centre_mm(adult, organ)[2] for organ in (ids.SACRUM, *ids.SPINE)]
    assert heights == sorted(heights)
    t12 = np.argwhere(adult.organs == ids.T12)[:, 2].min() * 4.0 + LONG.first_mm[2]
    assert t12 == pytest.approx(1.0, abs=4.0)  # the origin is the border of T12 and L1


def test_every_voxel_knows_its_organ_and_tissue(patient) -> None:
    air = patient.organs == 0
    assert np.array_equal(air, patient.where(Tissue.AIR))
    rest = patient.organs == ids.REMAINING_BODY
    assert np.array_equal(rest, patient.where(Tissue.FAT, Tissue.MUSCLE))
    bone = np.isin(patient.organs, ids.BONES)
    assert np.array_equal(bone, patient.where(Tissue.SPONGIOSA, Tissue.CORTICAL_BONE))
    kidney = np.isin(patient.organs, (2, 3))
    parts = (Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.KIDNEY_PELVIS)
    assert np.array_equal(kidney, patient.where(*parts))
    assert np.array_equal(np.isin(patient.organs, ids.LUNGS), patient.where(Tissue.LUNG))
    numbers = set(np.unique(patient.organs).tolist())
    assert numbers <= {*range(118), *range(150, 156), 199}
    assert {*range(150, 156), ids.BRAIN, ids.SKULL, ids.THYROID, *ids.SPINE} <= numbers


def test_body_is_one_piece_without_holes(adult) -> None:
    """No air inside the trunk: every slice of it is filled."""
    k = int((0.0 - LONG.first_mm[2]) / 4.0)
    row = adult.organs[:, LONG.shape[1] // 2, k] > 0
    assert row.sum() * 4.0 == pytest.approx(2 * (175 + 12), abs=8)
    assert np.diff(np.flatnonzero(row)).max() == 1


def test_fat_lies_outside_organs_inside(adult) -> None:
    inside = adult.organs[:, :, 70:225] > 0
    edge = inside & ~binary_erosion(inside, np.ones((3, 3, 1)))
    assert adult.where(Tissue.FAT)[:, :, 70:225][edge].mean() > 0.99


@pytest.mark.parametrize(
    ("organ", "coarse"),
    [(ids.LIVER, 0.03), (ids.SPLEEN, 0.05), (ids.KIDNEY_LEFT, 0.10), (ids.PANCREAS, 0.20)],
)
def test_volumes_converge_with_the_spacing(organ: int, coarse: float) -> None:
    body = draw_stylised_body(np.random.default_rng(9), weight_kg=80.0, height_cm=178.0)

    def organ_ml(spacing_mm: float) -> float:
        shape = tuple(round(n / spacing_mm) for n in (400, 260, 260))
        grid = AxisGrid(shape, (spacing_mm,) * 3, (-200.0, -130.0, -120.0))
        return float((voxelise(body, (), grid).organs == organ).sum() * grid.voxel_ml)

    finest = organ_ml(2.0)
    assert organ_ml(4.0) == pytest.approx(finest, rel=0.02)
    assert organ_ml(8.0) == pytest.approx(finest, rel=coarse)


def test_an_anisotropic_grid_sees_the_same_patient() -> None:
    body = draw_stylised_body(np.random.default_rng(9), weight_kg=80.0, height_cm=178.0)
    fine = voxelise(body, (), AxisGrid((100, 70, 60), (4.0, 4.0, 2.0), (-198.0, -138.0, -60.0)))
    thick = voxelise(body, (), AxisGrid((100, 70, 12), (4.0, 4.0, 10.0), (-198.0, -138.0, -60.0)))
    assert np.array_equal(thick.organs, fine.organs[:, :, ::5])


def test_a_cut_grid_is_a_part_of_the_whole(patient) -> None:
    body = draw_stylised_body(np.random.default_rng(2), weight_kg=88.0, height_cm=174.0)
    first = (LONG.first_mm[0] + 40.0, LONG.first_mm[1], LONG.first_mm[2] + 400.0)
    cut = voxelise(body, (), AxisGrid((60, 70, 80), (4.0, 4.0, 4.0), first))
    for name in ("organs", "tissue", "hu"):
        assert np.array_equal(getattr(cut, name), getattr(patient, name)[10:70, :, 100:180])


def test_a_grid_beyond_the_patient_is_air() -> None:
    away = voxelise(reference_body(), (), AxisGrid((4, 4, 4), (5.0, 5.0, 5.0), (900.0, 0.0, 0.0)))
    assert not away.organs.any()
    assert (away.hu == -1000).all()


@pytest.mark.parametrize("tissue", [one for one in Tissue if one is not Tissue.AIR])
def test_density_agrees_with_the_curve_that_reads_the_ct(tissue: Tissue) -> None:
    """Schneider 2000; lung within the curve's coarseness between air and fat."""
    hu, g_per_ml = HU_AND_DENSITY[tissue]
    from_ct = float(mass_density_g_per_ml(np.full((1, 1, 1), hu))[0, 0, 0])
    assert g_per_ml == pytest.approx(from_ct, rel=0.03)


def test_sclerosis_agrees_with_the_curve_too() -> None:
    from_ct = float(mass_density_g_per_ml(np.full((1, 1, 1), SCLEROTIC_HU))[0, 0, 0])
    assert pytest.approx(from_ct, rel=0.01) == SCLEROTIC_G_PER_ML


def test_materials_follow_tissues(patient) -> None:
    for tissue in (Tissue.FAT, Tissue.LUNG, Tissue.CORTICAL_BONE):
        here = patient.where(tissue)
        assert (patient.hu[here] == HU_AND_DENSITY[tissue][0]).all()
        assert np.allclose(patient.density_g_per_ml[here], HU_AND_DENSITY[tissue][1])
    assert (patient.hu[patient.organs == ids.LIVER] == 58).all()


def test_active_marrow_is_in_spongiosa_only(adult) -> None:
    """Mass of the order of ICRP's 1,120–1,170 g in all; the trunk holds most of it."""
    marrow = adult.active_marrow()
    assert not marrow[~adult.where(Tissue.SPONGIOSA)].any()
    assert marrow.max() == pytest.approx(0.7 * 0.85)
    assert 600 < marrow.sum() * adult.grid.voxel_ml < 1_500


def test_a_field_of_view_cuts_what_lies_across_its_ends(adult) -> None:
    """From 14 to 39.5 cm above the trunk's base."""
    cut = organs_cut(adult, low_mm=-210.0, high_mm=45.0)
    across_top = {ids.LIVER, ids.SPLEEN, ids.STOMACH, ids.AORTA}
    across_bottom = {ids.HIP_LEFT, ids.HIP_RIGHT, ids.COLON, ids.SACRUM}
    whole = {ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT, ids.SMALL_BOWEL, ids.DUODENUM, ids.L1}
    unseen = {ids.URINARY_BLADDER, ids.BRAIN, ids.FEMUR_LEFT, ids.T1}
    assert across_top | across_bottom <= cut
    assert not cut & (whole | unseen | {0, ids.REMAINING_BODY})


def test_a_field_longer_than_the_body_cuts_only_the_legs(adult) -> None:
    assert organs_cut(adult, low_mm=-550.0, high_mm=700.0) == set()
    assert organs_cut(adult, low_mm=-400.0, high_mm=700.0) == {ids.FEMUR_LEFT, ids.FEMUR_RIGHT}


def test_an_organ_at_the_grids_end_counts_as_cut() -> None:
    half = AxisGrid((104, 70, 20), (4.0, 4.0, 4.0), (-206.0, -138.0, -30.0))
    anatomy = voxelise(reference_body(), (), half)
    assert ids.LIVER in organs_cut(anatomy, low_mm=-100.0, high_mm=200.0)


def test_a_field_must_have_its_ends_in_order(adult) -> None:
    with pytest.raises(ValueError, match=r"low_mm must be below high_mm, got 10\.0 mm"):
        organs_cut(adult, low_mm=10.0, high_mm=-10.0)


def test_grid_of_an_image() -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = [-10.0, -20.0, -30.0]
    grid = AxisGrid.from_affine((5, 6, 7), affine)
    assert np.array_equal(grid.affine, affine)
    assert grid.voxel_ml == pytest.approx(0.024)
    assert AxisGrid.centred((3, 3, 4), 2.0).first_mm == (-2.0, -2.0, -3.0)
    for wrong in (np.diag([-2.0, 3.0, 4.0, 1.0]), affine + np.eye(4, k=1)):
        with pytest.raises(ValueError, match="along the patient's axes and RAS"):
            AxisGrid.from_affine((5, 6, 7), wrong)
    with pytest.raises(ValueError, match="at least 1 voxel of more than 0 mm"):
        AxisGrid((0, 1, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
