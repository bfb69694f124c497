"""A patient's own body: size, fat, organs' volumes, and that chance is the generator's alone."""

from dataclasses import replace

import numpy as np
import pytest
from rpt_phantom.stylised import (
    AxisGrid,
    Pose,
    Tissue,
    draw_stylised_body,
    ids,
    reference_body,
    voxelise,
)
from rpt_phantom.stylised.body import SIDE_LOG_STD, VOLUME_LOG_STD, draw_poses, sized_body
from rpt_phantom.stylised.outline import TRUNK_HALF_AXES_CM

COARSE = AxisGrid((64, 44, 66), (8.0, 8.0, 8.0), (-252.0, -172.0, -300.0))


def drawn(seed: int, *, weight_kg: float = 79.0, height_cm: float = 177.0):
    return draw_stylised_body(np.random.default_rng(seed), weight_kg=weight_kg, height_cm=height_cm)


def organ_ml(body, organ: int, grid: AxisGrid = COARSE) -> float:
    return float((voxelise(body, (), grid).organs == organ).sum() * grid.voxel_ml)


def test_the_same_generator_gives_the_same_body() -> None:
    one, other = (voxelise(drawn(5), (), COARSE).organs for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, voxelise(drawn(6), (), COARSE).organs)


def test_reference_size_gives_the_standard_adult() -> None:
    body = sized_body(weight_kg=73.0, height_cm=179.0)
    assert (body.width, body.height) == (1.0, 1.0)
    assert body.fat_cm == pytest.approx(reference_body().fat_cm)


@pytest.mark.parametrize("weight_kg", [60.0, 79.0, 100.0, 130.0])
def test_cross_section_follows_weight_per_height(weight_kg: float) -> None:
    a, b = TRUNK_HALF_AXES_CM

    def section(weight_kg: float, height_cm: float) -> float:
        body = sized_body(weight_kg=weight_kg, height_cm=height_cm)
        return body.width**2 * (a + body.fat_cm) * (b + body.fat_cm)

    expected = weight_kg / 73.0 / (170.0 / 179.0)
    assert section(weight_kg, 170.0) / section(73.0, 179.0) == pytest.approx(expected)


def test_taller_is_longer_and_heavier_is_fatter() -> None:
    tall, short = (sized_body(weight_kg=79.0, height_cm=height) for height in (195.0, 160.0))
    assert tall.height / short.height == pytest.approx(195 / 160)
    light, heavy = (sized_body(weight_kg=weight, height_cm=177.0) for weight in (65.0, 95.0))
    assert heavy.fat_cm > 1.5 * light.fat_cm
    assert heavy.width > light.width


@pytest.fixture(scope="module")
def poses() -> list[dict[str, Pose]]:
    return [draw_poses(np.random.default_rng(seed)) for seed in range(300)]


@pytest.mark.parametrize("group", ["liver", "spleen", "kidney_left", "parotid_right"])
def test_organ_volumes_are_log_normal_about_the_standard(poses, group: str) -> None:
    logs = [np.log(of_patient[group].volume_factor) for of_patient in poses]
    name, _, side = group.partition("_")
    expected = np.hypot(VOLUME_LOG_STD[name], SIDE_LOG_STD if side else 0.0)
    assert np.mean(logs) == pytest.approx(0.0, abs=4 * expected / np.sqrt(len(poses)))
    assert np.std(logs) == pytest.approx(expected, rel=0.15)


def test_a_pair_shares_most_of_its_volume(poses) -> None:
    left = [np.log(pose["kidney_left"].volume_factor) for pose in poses]
    right = [np.log(pose["kidney_right"].volume_factor) for pose in poses]
    assert np.corrcoef(left, right)[0, 1] > 0.7
    drop = [p["kidney_right"].shift_cm[2] - p["kidney_left"].shift_cm[2] for p in poses]
    assert np.mean(drop) == pytest.approx(-1.0, abs=0.2)


def test_volume_factor_is_the_organs_volume() -> None:
    grid = AxisGrid((100, 70, 100), (4.0, 4.0, 4.0), (-198.0, -138.0, -150.0))
    bigger = replace(
        reference_body(), poses={"spleen": Pose(1.3, (0.0, 0.0, 0.0), (5.0, 5.0, 0.0))}
    )
    ratio = organ_ml(bigger, ids.SPLEEN, grid) / organ_ml(reference_body(), ids.SPLEEN, grid)
    assert ratio == pytest.approx(1.3, rel=0.04)


def test_shift_is_in_the_reports_directions() -> None:
    """x to the patient's left, y to the back, z up; the world is RAS+."""
    moved = replace(reference_body(), poses={"spleen": Pose(1.0, (-1.0, -1.0, 2.0))})
    grid = AxisGrid((100, 70, 100), (4.0, 4.0, 4.0), (-198.0, -138.0, -150.0))

    def centre_mm(body) -> np.ndarray:
        where = np.argwhere(voxelise(body, (), grid).organs == ids.SPLEEN).mean(axis=0)
        return where * 4.0

    step = centre_mm(moved) - centre_mm(reference_body())
    assert step == pytest.approx([10.0, 10.0, 20.0], abs=1.0)


def test_setup_moves_the_whole_patient() -> None:
    moved = replace(reference_body(), setup_mm=(8.0, -8.0, 16.0))
    still = voxelise(reference_body(), (), COARSE).organs
    assert np.array_equal(voxelise(moved, (), COARSE).organs[1:, :-1, 2:], still[:-1, 1:, :-2])


def test_every_patient_keeps_all_organs() -> None:
    for seed in range(4):
        anatomy = voxelise(drawn(seed, weight_kg=62.0 + 12 * seed), (), COARSE)
        found = set(np.unique(anatomy.organs).tolist())
        assert {*ids.LUNGS, 1, 2, 3, 5, 6, 18, 20, 21, 25, 51, 77, 78, 199} <= found
        assert anatomy.where(Tissue.FAT).any()


@pytest.mark.parametrize(
    ("weight_kg", "height_cm", "message"),
    [
        (79.0, 1.77, "height_cm must be an adult's, 140.0 to 210.0 cm, got 1.77 cm"),
        (7.9, 177.0, "weight_kg must be an adult's"),
        (float("nan"), 177.0, "weight_kg must be an adult's"),
    ],
)
def test_sizes_that_no_adult_has(weight_kg, height_cm, message) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(0, weight_kg=weight_kg, height_cm=height_cm)
