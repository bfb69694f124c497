"""The histogram: closed forms, laws, and two treatment planning programs."""

import csv
import gzip
import json
import math
from functools import cache
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from helpers.planar_contours import Contour, contour_dvh, structure_points
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_cohort.volumes import turned_to_ras
from rpt_dosimetry.dose.rows import dose_statistics
from rpt_eval.dvh import (
    Dvh,
    choose_supersampling,
    dealt_shifts,
    doses_at,
    dvh_r2,
    mask_dvh,
    on_dose_grid,
    sub_points,
)

BASE_DOSE, SLOPE_PER_MM = 2.0, 0.03
RADII = np.linspace(-1.0, 1.0, 401)


def ramp_dvh_pct(u: np.ndarray) -> np.ndarray:
    """V(≥D)/V of a sphere in D = D0 + g·x, u = (D − D0)/(gR), %."""
    return 100 * (2 - 3 * u + u**3) / 4


def grid_mm(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def centred(shape: tuple[int, ...], axes: np.ndarray, at_mm: np.ndarray) -> np.ndarray:
    """An affine whose grid has its middle at a position."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = at_mm - axes @ ((np.array(shape) - 1) / 2)
    return affine


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    return about_z @ about_y @ about_x


def ramp(direction: tuple[float, float, float], at_mm: np.ndarray, edge_mm: float) -> Volume:
    """A dose map of D0 + g·x along a direction, D0 at a position."""
    shape = (26, 24, 28)
    affine = centred(shape, np.diag([edge_mm] * 3), at_mm + np.array([0.7, -1.1, 0.4]))
    along = np.array(direction) / np.linalg.norm(direction)
    distance_mm = (grid_mm(shape, affine) - at_mm) @ along
    return Volume(BASE_DOSE + SLOPE_PER_MM * distance_mm, affine)


def sphere(radius_mm: float, axes: np.ndarray, at_mm: np.ndarray) -> Volume:
    """A mask whose voxel centres are within a sphere."""
    edges = np.linalg.norm(axes, axis=0)
    shape = tuple(int(n) for n in 2 * np.ceil(radius_mm / edges) + 4)
    affine = centred(shape, axes, at_mm + 0.3 * edges)
    return Volume(np.linalg.norm(grid_mm(shape, affine) - at_mm, axis=-1) <= radius_mm, affine)


def deviation_pct(found: Dvh, radius_mm: float) -> float:
    levels = BASE_DOSE + SLOPE_PER_MM * radius_mm * RADII
    return float(np.abs(found.volume_pct_at(levels) - ramp_dvh_pct(RADII)).max())


CENTRE_MM = np.array([-31.0, 12.5, 207.0])
MASK_GRIDS = {
    "as the dose": np.diag([4.0, 4.0, 4.0]),
    "finer": np.diag([1.5, 1.5, 1.5]),
    "anisotropic": np.diag([1.5, 2.0, 4.5]),
    "rotated": rotation((31, -17, 8)) @ np.diag([2.0, 1.5, 2.5]),
    "LPS": np.diag([-2.0, -2.0, 2.5]),
    "other order": np.array([[0.0, 0, -2], [2, 0, 0], [0, -2.5, 0]]),
}


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (1, 1, 1), (2, -1, 3)])
@pytest.mark.parametrize("grid", MASK_GRIDS)
def test_sphere_in_a_ramp(grid: str, direction: tuple[float, float, float]) -> None:
    radius_mm = 40.0
    dose, axes = ramp(direction, CENTRE_MM, 4.0), MASK_GRIDS[grid]
    mask = turned_to_ras(sphere(radius_mm, axes, CENTRE_MM))
    cells = choose_supersampling(
        int(mask.data.sum()), spacing_mm=mask.spacing_mm, dose_spacing_mm=dose.spacing_mm
    )
    found = mask_dvh(dose, mask, supersampling=cells)
    assert deviation_pct(found, radius_mm) < 0.5
    assert found.mean == pytest.approx(BASE_DOSE, rel=2e-3)
    assert found.dose_at_pct(50) == pytest.approx(BASE_DOSE, rel=3e-3)
    assert found.volume_ml == pytest.approx(4 / 3 * math.pi * 64, rel=5e-3)
    assert found.volume_ml == pytest.approx(mask.data.sum() * abs(np.linalg.det(axes)) / 1000)
    assert found.outside_ml == 0


def test_shifted_points_beat_a_lattice() -> None:
    radius_mm = 20.0
    mask = sphere(radius_mm, np.diag([2.0] * 3), CENTRE_MM)
    lattice = np.stack(np.meshgrid(*[np.array([-1, 0, 1]) / 3] * 3), -1).reshape(-1, 3)
    index = (np.argwhere(mask.data)[:, None] + lattice).reshape(-1, 3)
    positions_mm = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    for direction in ((1, 0, 0), (0, 0, 1), (1, 1, 1), (2, -1, 3)):
        dose = ramp(direction, CENTRE_MM, 4.0)
        ours = mask_dvh(dose, mask, supersampling=(3, 3, 3))
        assert deviation_pct(ours, radius_mm) < 0.5
        if direction.count(0) == 2:
            regular = Dvh.of(doses_at(dose, positions_mm), volume_ml=1.0)
            assert deviation_pct(regular, radius_mm) > 2 * deviation_pct(ours, radius_mm)


@given(st.tuples(*[st.integers(1, 7)] * 3))
def test_sub_points_are_one_in_each_sub_cell_and_even_over_the_shifts(
    cells: tuple[int, int, int],
) -> None:
    points = sub_points(cells, np.arange(31))
    number = math.prod(cells)
    assert points.shape == (31, number, 3)
    for voxel in points:
        assert len(np.unique(np.floor((voxel + 0.5) * cells), axis=0)) == number
    for axis in range(3):
        planes = (np.arange(31 * cells[axis]) + 0.5) / (31 * cells[axis]) - 0.5
        np.testing.assert_allclose(np.unique(points[..., axis].round(12)), planes, atol=1e-11)
        assert points[..., axis].mean() == pytest.approx(0, abs=1e-12)


@given(st.integers(1, 500))
def test_shifts_are_dealt_out_evenly(voxels: int) -> None:
    dealt = dealt_shifts(voxels)
    assert dealt.shape == (voxels,)
    for start in range(0, voxels - 30, 31):
        assert sorted(dealt[start : start + 31]) == list(range(31))


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "dose_mm", "expected"),
    [
        (15_000, (4.8, 4.8, 4.8), (4.8, 4.8, 4.8), (3, 3, 3)),
        (50_000, (1.0, 1.0, 1.0), (4.8, 4.8, 4.8), (3, 3, 3)),
        (50_000, (2.0, 2.0, 8.0), (3.0, 2.0, 4.0), (3, 3, 8)),
        (20, (4.8, 4.8, 4.8), (4.8, 4.8, 4.8), (18, 18, 18)),
    ],
)
def test_supersampling_follows_its_rule(
    voxels: int,
    spacing_mm: tuple[float, float, float],
    dose_mm: tuple[float, float, float],
    expected: tuple[int, int, int],
) -> None:
    assert choose_supersampling(voxels, spacing_mm=spacing_mm, dose_spacing_mm=dose_mm) == expected


@given(st.integers(20, 200_000_000), st.floats(0.2, 20), st.floats(0.2, 20))
def test_samples_are_bounded(voxels: int, edge_mm: float, dose_mm: float) -> None:
    cells = choose_supersampling(voxels, spacing_mm=(edge_mm,) * 3, dose_spacing_mm=(dose_mm,) * 3)
    assert min(cells) >= 1
    assert voxels * math.prod(cells) <= max(10_000_000, voxels)
    assert voxels * math.prod(cells) >= 100_000


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dose = rng.gamma(2.0, 1.0, (9, 8, 7)).astype(np.float32)
    mask = rng.uniform(size=dose.shape) < 0.4
    axes = rotation((20, 10, -15)) @ np.diag([2.0, 3.0, 4.0])
    return dose, mask, centred(dose.shape, axes, CENTRE_MM)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_order_of_the_stored_axes_changes_nothing(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    dose, mask, affine = random_case(1)
    first = mask_dvh(Volume(dose, affine), Volume(mask, affine), supersampling=(2, 3, 4))
    turned_mask = turned(mask, affine, order, signs)
    turned_dose = turned(dose, affine, order, signs)
    assert turned_to_ras(turned_mask).axis_codes == "RAS"
    np.testing.assert_allclose(turned_to_ras(turned_mask).affine, affine, atol=1e-9)
    for stored in (turned_dose, Volume(dose, affine)):
        again = mask_dvh(stored, turned_to_ras(turned_mask), supersampling=(2, 3, 4))
        np.testing.assert_allclose(again.doses, first.doses, atol=1e-9)


samples = st.lists(st.floats(0, 1e3, width=32), min_size=1, max_size=60).map(np.array)


@given(samples)
def test_laws_of_a_histogram(values: np.ndarray) -> None:
    found = Dvh.of(values, volume_ml=12.0)
    levels = np.linspace(0, found.maximum * 1.1, 301)
    volumes = found.volume_pct_at(levels)
    assert volumes[0] == 100
    assert (np.diff(volumes) <= 0).all()
    percents = np.linspace(0.5, 100, 200)
    doses = np.array([found.dose_at_pct(float(pct)) for pct in percents])
    assert (np.diff(doses) <= 0).all()
    assert doses[-1] == found.minimum == values.min()
    assert found.dose_at_pct(1e-6) == found.maximum == values.max()
    assert (found.volume_pct_at(doses) >= percents - 1e-9).all()
    edges = np.concatenate([[0], found.doses])
    integral = (np.diff(edges) * np.arange(len(values), 0, -1) / len(values)).sum()
    assert found.mean == pytest.approx(integral, rel=1e-9, abs=1e-9)


@given(samples, st.floats(0.01, 100))
def test_scaled_dose_scales_the_metrics(values: np.ndarray, factor: float) -> None:
    first, scaled = Dvh.of(values, volume_ml=1.0), Dvh.of(values * factor, volume_ml=1.0)
    for pct in (2.0, 50.0, 98.0):
        assert scaled.dose_at_pct(pct) == pytest.approx(factor * first.dose_at_pct(pct))
    assert scaled.mean == pytest.approx(factor * first.mean)


def test_dx_and_vx_of_ten_parts() -> None:
    ten = Dvh.of(np.arange(10.0, 0.0, -1.0), volume_ml=20.0)
    assert [ten.dose_at_pct(pct) for pct in (10, 10.01, 50, 100)] == [10, 9, 6, 1]
    assert ten.dose_at_ml(2.0) == 10
    assert ten.dose_at_ml(20.0) == 1
    assert ten.volume_pct_at(np.array([0.0, 1.0, 5.5, 10.0, 10.1])).tolist() == [
        100,
        100,
        50,
        10,
        0,
    ]


def test_doses_of_float32_reach_their_own_level() -> None:
    stored = Dvh.of(np.full(4, 0.7, dtype=np.float32), volume_ml=1.0)
    assert stored.doses[0] < 0.7
    assert stored.volume_pct_at(np.array([0.7, 0.71])).tolist() == [100, 0]


@pytest.mark.parametrize("pct", [0.0, -1.0, 100.1, math.nan])
def test_no_such_part_of_the_volume(pct: float) -> None:
    with pytest.raises(ValueError, match="volume_pct must be above 0"):
        Dvh.of(np.ones(3), volume_ml=1.0).dose_at_pct(pct)
    with pytest.raises(ValueError, match="volume_ml must be above 0"):
        Dvh.of(np.ones(3), volume_ml=1.0).dose_at_ml(pct)


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_no_histogram_of_nothing(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite and at least one"):
        Dvh.of(np.array(values), volume_ml=1.0)
    with pytest.raises(ValueError, match="must ascend"):
        Dvh(np.array([2.0, 1.0]), 1.0)


def test_r2_about_the_identity_line() -> None:
    rng = np.random.default_rng(2)
    true = rng.gamma(4.0, 1.0, 5000)
    reference = Dvh.of(true, volume_ml=1.0)
    assert dvh_r2(reference, reference) == 1
    predicted = Dvh.of(1.2 * true, volume_ml=1.0)
    levels = np.arange(200) * true.max() / 199
    v_true = np.array([100 * np.mean(true >= level) for level in levels])
    v_predicted = np.array([100 * np.mean(1.2 * true >= level) for level in levels])
    expected = 1 - ((v_true - v_predicted) ** 2).sum() / ((v_true - v_true.mean()) ** 2).sum()
    assert dvh_r2(reference, predicted) == pytest.approx(expected, abs=1e-3)
    assert 0 < expected < 0.99
    nothing = Dvh.of(np.zeros(10), volume_ml=1.0)
    assert dvh_r2(reference, nothing) < 0
    assert math.isnan(dvh_r2(nothing, reference))
    assert math.isnan(dvh_r2(Dvh.of(np.full(9, 2.0), volume_ml=1.0), reference))


# A mask on the dose's own grid


@pytest.mark.parametrize("half_mm", [(28.0, 25.0, 52.0), (10.2, 10.2, 10.2)])
def test_a_uniform_structure_has_its_own_dose_to_the_edge(half_mm: tuple[float, ...]) -> None:
    affine = np.diag([4.8, 4.8, 4.8, 1.0])
    inside = np.linalg.norm((grid_mm((40,) * 3, affine) - 96.0) / half_mm, axis=-1) <= 1
    dose = Volume(np.where(inside, 2.55, 0.1), affine)
    found = mask_dvh(dose, Volume(inside, affine), supersampling=None)
    assert found.doses.size == np.count_nonzero(inside)
    assert found.minimum == found.dose_at_pct(98) == found.maximum == 2.55
    assert found.mean == pytest.approx(2.55)
    assert found.volume_ml == pytest.approx(np.count_nonzero(inside) * 0.110592)


def turned(
    data: np.ndarray, affine: np.ndarray, order: tuple[int, ...], signs: tuple[int, ...]
) -> Volume:
    """Store a volume with its axes in another order and direction."""
    turn, flipped = np.eye(4), tuple(axis for axis in range(3) if signs[axis] < 0)
    for axis in flipped:
        turn[axis, axis], turn[axis, 3] = -1, data.shape[axis] - 1
    return Volume(np.flip(data, flipped).transpose(order), (affine @ turn)[:, [*order, 3]])


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_own_voxels_count_however_either_file_is_stored(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    dose, mask, affine = random_case(4)
    stored = turned(mask, affine, order, signs)
    stored.affine[:3, 3] += 0.01  # a header of few digits
    assert on_dose_grid(Volume(dose, affine), stored)
    found = mask_dvh(Volume(dose, affine), stored, supersampling=None)
    np.testing.assert_array_equal(found.doses, np.sort(dose[mask]))


def test_own_voxels_of_a_cut_out_mask_and_of_one_that_ends_later() -> None:
    dose, mask, affine = random_case(5)
    cut = affine.copy()
    cut[:3, 3] = affine[:3, :3] @ [2, 1, 3] + affine[:3, 3]
    inner = Volume(mask[2:, 1:, 3:], cut)
    assert on_dose_grid(Volume(dose, affine), inner)
    found = mask_dvh(Volume(dose, affine), inner, supersampling=None)
    np.testing.assert_array_equal(found.doses, np.sort(dose[2:, 1:, 3:][mask[2:, 1:, 3:]]))
    outer = mask_dvh(Volume(dose[2:, 1:, 3:], cut), Volume(mask, affine), supersampling=None)
    np.testing.assert_array_equal(outer.doses, found.doses)
    assert outer.volume_ml + outer.outside_ml == pytest.approx(mask.sum() * 0.024)


def test_the_dose_table_has_the_same_statistics() -> None:
    dose, mask, affine = random_case(7)
    found = mask_dvh(Volume(dose, affine), Volume(mask, affine), supersampling=None)
    table = dose_statistics(dose[mask].astype(np.float64))
    assert found.mean == pytest.approx(table.mean_gy)
    own = [found.dose_at_pct(pct) for pct in (2, 50, 98)]
    assert own == [table.d2_gy, table.d50_gy, table.d98_gy]


@pytest.mark.parametrize(
    "change",
    [
        np.diag([0.5, 1.0, 1.0, 1.0]),
        np.diag([1.0, 1.0, 2.0, 1.0]),
        np.block([[rotation((2, 0, 0)), np.zeros((3, 1))], [np.zeros((1, 3)), 1]]),
        np.eye(4) + np.eye(4, k=3) * 0.5,  # half a voxel along x
    ],
)
def test_another_grid_is_told(change: np.ndarray) -> None:
    dose, mask, affine = random_case(6)
    assert not on_dose_grid(Volume(dose, affine), Volume(mask, affine @ change))


def test_dose_ends_at_the_outer_faces() -> None:
    dose = Volume(np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1), np.diag([10.0, 10.0, 10.0, 1.0]))
    x_mm = np.array([-5.1, -4.9, 0.0, 5.0, 15.0, 24.9, 25.1])
    found = doses_at(dose, np.column_stack([x_mm, np.zeros((7, 2))]))
    np.testing.assert_allclose(found, [math.nan, 1, 1, 1.5, 3, 4, math.nan])


def test_mask_half_outside() -> None:
    dose = Volume(np.full((4, 4, 4), 2.0), np.diag([5.0, 5.0, 5.0, 1.0]))
    mask = np.eye(4)
    mask[0, 3] = 10.0
    affine = mask @ np.diag([5.0, 5.0, 5.0, 1.0])
    found = mask_dvh(dose, Volume(np.ones((4, 4, 4), bool), affine), supersampling=(3, 3, 3))
    assert found.volume_ml == pytest.approx(4.0)
    assert found.outside_ml == pytest.approx(4.0)
    np.testing.assert_allclose(found.doses, 2.0)
    affine[0, 3] = 100.0
    with pytest.raises(BadInput, match="wholly outside"):
        mask_dvh(dose, Volume(np.ones((4, 4, 4), bool), affine), supersampling=(1, 1, 1))
    with pytest.raises(BadInput, match="is empty"):
        mask_dvh(dose, Volume(np.zeros((4, 4, 4), bool), affine), supersampling=(1, 1, 1))


def test_a_large_mask_shows_its_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rpt_eval.dvh.CHUNK_SAMPLES", 100)
    dose, mask, affine = random_case(3)
    found = mask_dvh(Volume(dose, affine), Volume(mask, affine), supersampling=(3, 3, 3))
    assert "dose in mask" in capsys.readouterr().err
    monkeypatch.undo()
    whole = mask_dvh(Volume(dose, affine), Volume(mask, affine), supersampling=(3, 3, 3))
    np.testing.assert_array_equal(found.doses, whole.doses)
    assert capsys.readouterr().err == ""


# Contours


def circle(radius_mm: float, z_mm: float, centre_mm: tuple[float, float] = (3.0, -8.0)) -> Contour:
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    vertices = np.column_stack([np.cos(angle), np.sin(angle)])
    return Contour(z_mm, np.array(centre_mm) + radius_mm * vertices)


def test_contours_of_a_cylinder_with_a_hole_and_a_point() -> None:
    contours = []
    for z_mm in (20.0, 10.0, 12.5, 15.0, 17.5):
        contours += [circle(20.0, z_mm), circle(8.0, z_mm + 1e-3)]
    contours.append(Contour(90.0, np.array([[0.0, 0.0]])))
    points = structure_points(contours)
    assert points.volume_ml == pytest.approx(math.pi * (400 - 64) * 12.5 / 1000, rel=2e-3)
    x, y, z = points.positions_mm.T
    assert z.min() == pytest.approx(8.75, abs=0.01)  # half a spacing below the lowest plane
    assert z.max() == pytest.approx(21.25, abs=0.01)
    radius_mm = np.hypot(x - -3.0, y - 8.0)  # LPS to RAS: x and y change sign
    assert radius_mm.min() == pytest.approx(8.0, abs=0.05)
    assert radius_mm.max() == pytest.approx(20.0, abs=0.05)


def test_planes_reach_half_way_to_their_neighbours() -> None:
    points = structure_points([circle(20.0, 0.0), circle(10.0, 4.0), circle(20.0, 10.0)])
    z_mm = points.positions_mm[:, 2]
    share = [np.mean((low < z_mm) & (z_mm < high)) for low, high in ((-2, 2), (2, 7), (7, 13))]
    areas_mm3 = np.array([400 * 4, 100 * 5, 400 * 6])
    np.testing.assert_allclose(share, areas_mm3 / areas_mm3.sum(), atol=1e-3)


def test_sphere_of_contours_in_a_ramp() -> None:
    radius_mm = 30.0
    centre_mm = np.array([-3.0, 8.0, 100.0])  # RAS
    planes_mm = np.arange(-29.0, 30.0, 2.0)
    contours = [circle(math.sqrt(radius_mm**2 - z**2), 100 + z) for z in planes_mm]
    for direction in ((1, 0, 0), (0, 0, 1), (1, 2, -1)):
        found = contour_dvh(ramp(direction, centre_mm, 4.0), contours)
        assert deviation_pct(found, radius_mm) < 0.5
        assert found.mean == pytest.approx(BASE_DOSE, rel=1e-3)


@pytest.mark.parametrize(
    ("contours", "fault"),
    [
        ([], "at least two planes, got 0"),
        ([circle(5.0, 1.0)], "at least two planes, got 1"),
        ([circle(5.0, 1.0), circle(math.nan, 2.0)], "must be finite"),
        ([circle(5.0, 1.0), circle(5.0, math.inf)], "must be finite"),
        ([Contour(z, np.array([[0.0, 0], [1, 0], [2, 0]])) for z in (0.0, 1.0)], "enclose none"),
        ([Contour(z, np.array([[0.0, 0], [1, 1], [2, 2]])) for z in (0.0, 1.0)], "enclose none"),
    ],
)
def test_contours_that_are_no_structure(contours: list[Contour], fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        structure_points(contours)


# Eclipse and SlicerRT

NAMES = {
    "Bladder": ("Bladder", "Bladder"),
    "Femoral_Head_Lt": ("FemoralHeadLt", "Femoral Head Lt"),
    "Femoral_Head_Rt": ("FemoralHeadRT", "Femoral Head RT"),
    "PTV": ("PTV", "PTV"),
    "Rectum": ("Rectum", "Rectum"),
}
ECLIPSE_CORRUPT = 774  # row 776 of the file, of 1: its dose is 0.00035604 Gy


def read_nrrd_dose(path: Path) -> Volume:
    """Read the one NRRD file: gzip, float, axes along LPS at 2.5 mm."""
    header, values = path.read_bytes().split(b"\n\n", 1)
    fields = dict(line.split(": ", 1) for line in header.decode().splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    assert fields["space directions"] == "(2.5,0,0) (0,2.5,0) (0,0,2.5)"
    shape = tuple(map(int, fields["sizes"].split()))
    data = np.frombuffer(gzip.decompress(values), "<f4").reshape(shape[::-1]).T
    affine = np.diag([-2.5, -2.5, 2.5, 1.0])
    origin_mm = np.array([float(x) for x in fields["space origin"].strip("()").split(",")])
    affine[:3, 3] = origin_mm * [-1, -1, 1]
    return Volume(np.ascontiguousarray(data), affine)


def published(path: Path, heading: str) -> tuple[np.ndarray, np.ndarray]:
    """Return doses (Gy) and volumes (%) of one structure of a table."""
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    column = rows[0].index(heading)
    pairs = np.array([[float(row[column]), float(row[column + 1])] for row in rows[1:]])
    return pairs[:, 0], pairs[:, 1]


@cache
def prostate(folder: Path) -> dict[str, Dvh]:
    content = json.loads((folder / "contours_lps_mm.json").read_text())
    dose = read_nrrd_dose(folder / "EclipseProstate_Dose.nrrd")
    return {
        name: contour_dvh(dose, [Contour(p["z_mm"], np.array(p["xy_mm"])) for p in polygons])
        for name, polygons in content["structures"].items()
    }


@pytest.mark.parametrize("structure", NAMES)
def test_agrees_with_eclipse(structure: str, testdata: Path) -> None:
    folder = testdata / "dvh_prostate"
    table = folder / "EclipseProstate_DvhTable_Eclipse.csv"
    levels, volumes = published(table, f"{NAMES[structure][0]}_DvhArray Dose (Gy)")
    assert levels[ECLIPSE_CORRUPT] == 0.00035604
    levels, volumes = (np.delete(values, ECLIPSE_CORRUPT) for values in (levels, volumes))
    assert len(levels) > 1000
    found = prostate(folder)[structure].volume_pct_at(levels)
    assert np.abs(found - volumes).max() < 1


@pytest.mark.parametrize("structure", NAMES)
def test_agrees_with_slicer(structure: str, testdata: Path) -> None:
    folder = testdata / "dvh_prostate"
    heading = f"{NAMES[structure][1]} Dose (GY)"
    levels, volumes = published(folder / "EclipseProstate_DvhTable_SlicerRT.csv", heading)
    assert len(levels) > 200
    found = prostate(folder)[structure]
    assert np.abs(found.volume_pct_at(levels) - volumes).max() < 1
    with (folder / "EclipseProstate_DvhMetrics_SlicerRT.csv").open() as stream:
        rows = {row["Structure"]: row for row in csv.DictReader(stream)}
    metrics = {
        name: float(value)
        for name, value in rows[NAMES[structure][1]].items()
        if name != "Structure"
    }
    assert found.mean == pytest.approx(metrics["Mean dose (GY)"], rel=2e-3)
    half_bin_gy = 0.1  # its histogram has steps of 0.2 Gy
    assert found.dose_at_pct(5) == pytest.approx(metrics["D5% (GY)"], abs=half_bin_gy)
    assert found.dose_at_pct(10) == pytest.approx(metrics["D10% (GY)"], abs=half_bin_gy)
    assert found.dose_at_ml(2.0) == pytest.approx(metrics["D2cc (GY)"], abs=half_bin_gy)
    assert found.dose_at_ml(5.0) == pytest.approx(metrics["D5cc (GY)"], abs=half_bin_gy)
    # Its end caps are shorter than half a spacing.
    assert found.volume_ml == pytest.approx(metrics["Volume (cc)"], rel=0.015)
