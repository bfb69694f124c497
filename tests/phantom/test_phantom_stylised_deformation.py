"""The patient's own change of shape: smooth, invertible, of the size that is asked for."""

import numpy as np
import pytest
from rpt_phantom.stylised.deformation import (
    LATTICE,
    RMS_MM,
    Deformation,
    draw_deformation,
    draw_velocity_mm,
    flow_mm,
)
from scipy.ndimage import map_coordinates

SPACING_MM = LATTICE.spacing_mm[0]


def jacobian(displacement_mm: np.ndarray, spacing_mm: float) -> np.ndarray:
    gradient = np.stack([np.stack(np.gradient(part, spacing_mm)) for part in displacement_mm])
    matrix = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
    return np.linalg.det(matrix)


@pytest.mark.parametrize("seed", range(5))
def test_jacobian_is_positive_everywhere(seed: int) -> None:
    determinant = jacobian(draw_deformation(np.random.default_rng(seed)).origin_mm, SPACING_MM)
    assert determinant.min() > 0.2
    assert determinant.std() > 0.02  # it does change shapes


def test_jacobian_is_positive_between_the_nodes() -> None:
    axes = [np.arange(-150.0, 150.0, 4.0), np.arange(-100.0, 100.0, 4.0), np.arange(-200, 200.0, 4)]
    fine = draw_deformation(np.random.default_rng(1)).on_axes(*axes)
    assert jacobian(fine, 4.0).min() > 0.2


def test_a_strong_flow_folds_as_displacement_but_not_as_flow() -> None:
    """What the integration is for: the velocity itself, taken as displacement, folds."""
    velocity = draw_velocity_mm(np.random.default_rng(2), rms_mm=50.0)
    assert jacobian(velocity, SPACING_MM).min() < 0
    assert jacobian(flow_mm(velocity), SPACING_MM).min() > 0


def test_negative_velocity_flows_back() -> None:
    velocity = draw_velocity_mm(np.random.default_rng(3), rms_mm=8.0)
    forth, back = flow_mm(velocity), flow_mm(-velocity)
    at = np.indices(LATTICE.shape) + forth / SPACING_MM
    returned = forth + np.stack([map_coordinates(part, at, order=1) for part in back])
    core = np.s_[:, 6:-6, 6:-6, 6:-6]
    assert np.abs(returned[core]).max() < 0.3


def test_size_is_as_asked() -> None:
    lengths2 = [
        (draw_deformation(np.random.default_rng(seed)).origin_mm ** 2).sum(axis=0).mean()
        for seed in range(10)
    ]
    assert RMS_MM[0] < np.sqrt(np.mean(lengths2)) < RMS_MM[1]


def test_velocity_has_the_variance_asked_for() -> None:
    parts = [draw_velocity_mm(np.random.default_rng(seed), rms_mm=6.0) for seed in range(12)]
    assert np.sqrt((np.stack(parts) ** 2).sum(axis=1).mean()) == pytest.approx(6.0, rel=0.1)


def test_interpolation_hits_the_nodes_and_is_linear_between() -> None:
    field = np.random.default_rng(4).normal(size=(3, *LATTICE.shape)).astype(np.float32)
    deformation = Deformation(field)
    x, y, z = (LATTICE.positions_mm(axis) for axis in range(3))
    at = deformation.on_axes(x[10:12], y[7:8], np.array([z[3], (z[3] + z[4]) / 2]))
    assert at[:, :, 0, 0] == pytest.approx(field[:, 10:12, 7, 3], abs=1e-5)
    assert at[:, 0, 0, 1] == pytest.approx(field[:, 10, 7, 3:5].mean(axis=1), abs=1e-5)


def test_beyond_the_lattice_the_edge_goes_on() -> None:
    deformation = draw_deformation(np.random.default_rng(5))
    far = deformation.on_axes(np.array([9e3]), np.array([9e3]), np.array([9e3]))
    assert far[:, 0, 0, 0] == pytest.approx(deformation.origin_mm[:, -1, -1, -1], abs=1e-5)
