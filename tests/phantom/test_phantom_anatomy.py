from itertools import pairwise

import numpy as np
import pytest
from rpt_cohort import BadInput
from rpt_cohort.labels import LIVER, REMAINING_BODY
from rpt_phantom import VirtualCycle, torso_grid, virtual_cycle
from rpt_phantom.anatomy import LIVER_ANCHOR_MM, LIVER_VOLUME_ML, _in_liver
from rpt_phantom.lesions import MOST, draw_lesions, uptake_of_first
from rpt_phantom.spine import is_vertebra, vertebra_levels_mm
from scipy.ndimage import binary_erosion

TISSUE_G_PER_ML = 1.05  # ICRP 89: liver, spleen and kidney


@pytest.mark.parametrize(
    ("organ", "least_g", "most_g"),
    # The ORNL/MIRD-5 adult: liver about 1,800 g, kidneys 280–310 g, spleen 150–180 g;
    # 10 % more on either side for the spread of 20 patients and for whole voxels.
    [("liver", 1_620, 1_980), ("kidney", 252, 341), ("spleen", 135, 198)],
)
def test_mean_mass_is_the_published(organ_images, organ, least_g, most_g) -> None:
    mean_ml = np.mean([image.volume_ml for image in organ_images[organ]])
    assert least_g <= mean_ml * TISSUE_G_PER_ML <= most_g


def test_masses_vary_between_patients(organ_images) -> None:
    for images in organ_images.values():
        volumes_ml = [image.volume_ml for image in images]
        assert 0.04 < np.std(volumes_ml) / np.mean(volumes_ml) < 0.3


def test_liver_lies_right_and_spleen_left_in_the_world(organ_images) -> None:
    """RAS+: x points to the patient's right."""
    assert all(image.centre_x_mm > 30 for image in organ_images["liver"])
    assert all(image.centre_x_mm < -60 for image in organ_images["spleen"])


def test_grid_is_ras_and_centred() -> None:
    affine = torso_grid(64).affine
    assert np.array_equal(np.diag(affine), [4.8, 4.8, 4.8, 1.0])
    centre = affine @ [63.5, 63.5, 31.5, 1.0]
    assert centre == pytest.approx([0, 0, 0, 1])


def test_liver_constant_is_the_volume_of_its_solid() -> None:
    axis = np.arange(-200.0, 200.0, 4.0) + 2.0
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    local = tuple(p - a for p, a in zip((x, y, z), LIVER_ANCHOR_MM, strict=True))
    assert _in_liver(local).sum() * 64 / 1000 == pytest.approx(LIVER_VOLUME_ML, rel=0.005)


def test_labels_are_of_the_contract(one_cycle: VirtualCycle) -> None:
    found = set(np.unique(one_cycle.organs).tolist())
    assert {0, 1, 2, 3, LIVER, 29, 30, 31, 32, REMAINING_BODY} <= found
    assert found <= {0, 1, 2, 3, LIVER, *vertebra_levels_mm(), REMAINING_BODY}


def test_lesions_lie_in_bone_or_soft_tissue(one_cycle: VirtualCycle) -> None:
    hosts = one_cycle.organs[one_cycle.lesions > 0]
    assert hosts.size
    assert np.all(is_vertebra(hosts) | (hosts == REMAINING_BODY))


def test_medulla_takes_up_less_than_cortex(one_cycle: VirtualCycle) -> None:
    """The mean over a kidney's core, far from its edge, is below that of its shell."""
    kidney = np.isin(one_cycle.organs, (2, 3))
    dose = one_cycle.true_dose_gy_per_gbq[kidney]
    core = anatomy_core(kidney)
    assert dose[core].mean() < 0.75 * dose[~core].mean()


def anatomy_core(kidney: np.ndarray) -> np.ndarray:
    return binary_erosion(kidney, iterations=2)[kidney]


def test_vertebrae_are_stacked_without_a_gap() -> None:
    levels = sorted(vertebra_levels_mm().values())
    assert all(low[1] == high[0] for low, high in pairwise(levels))


def test_few_slices_cut_the_organs_but_keep_them() -> None:
    made = virtual_cycle(seed=0, patient=1, slices=16)
    assert {2, 3, LIVER} <= set(np.unique(made.organs).tolist())
    assert made.pet_suv.shape == (128, 128, 16)


@pytest.mark.parametrize("slices", [-1, 0, 15, 141])
def test_slices_out_of_range(slices: int) -> None:
    with pytest.raises(BadInput, match=f"slices must be 16 to 140 of 4.8 mm, got {slices}"):
        torso_grid(slices)


def test_lesions_are_within_their_bounds() -> None:
    for seed in range(200):
        lesions = draw_lesions(np.random.default_rng(seed))
        assert 1 <= len(lesions) <= MOST
        assert all(5 <= lesion.suv_g_per_ml <= 40 for lesion in lesions)
        assert all(1 <= lesion.dose_gy_per_gbq <= 5 for lesion in lesions)


def test_later_cycles_take_up_less() -> None:
    """The I&T population model: 73, 50 and 44 % in cycles 2, 3 and 4–7."""
    assert [uptake_of_first(cycle) for cycle in range(1, 8)] == [1, 0.73, 0.5] + [0.44] * 4
    with pytest.raises(ValueError, match="cycle must be 1 or above, got 0"):
        uptake_of_first(0)
