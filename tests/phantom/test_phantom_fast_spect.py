import numpy as np
import pytest
from rpt_phantom.anatomy import Body, shipped_atlas
from rpt_phantom.grid import torso_grid
from rpt_phantom.imaging import FAST, fast_mean, field_of_view, recovered, with_noise
from rpt_phantom.patient import VirtualCycle
from rpt_phantom.truth import averaged_by_volume, patient_box

BOX = patient_box(Body(shipped_atlas("man")), slices=20)


def test_nothing_is_seen_of_nothing() -> None:
    nothing = np.zeros(BOX.coarse.shape, np.float32)
    assert not fast_mean(recovered(nothing, BOX), BOX).any()


def test_even_activity_is_seen_as_it_is() -> None:
    even = np.full(BOX.coarse.shape, 1e5, np.float32)
    seen = fast_mean(recovered(even, BOX), BOX)
    assert seen[64, 64] == pytest.approx(1e5, rel=1e-4)


def test_activity_is_kept() -> None:
    sphere = np.zeros(BOX.coarse.shape, np.float32)
    middle = tuple(n // 2 for n in sphere.shape)
    sphere[tuple(slice(m - 3, m + 3) for m in middle)] = 1e6
    seen = fast_mean(recovered(sphere, BOX), BOX)
    # The trough, 80 mm wide, falls off the slices, and is cut off where nothing is.
    assert seen.sum(dtype=np.float64) == pytest.approx(sphere.sum(dtype=np.float64), rel=0.06)


@pytest.mark.parametrize("bq_per_ml", [3e2, 1e5])
def test_noise_keeps_the_mean_and_has_the_variance(bq_per_ml: float) -> None:
    grid = torso_grid(32)
    flat = np.full(grid.shape, bq_per_ml, np.float32)
    noisy = with_noise(flat, grid, np.random.default_rng(0)).astype(np.float64)
    assert noisy.min() >= 0
    # A heavy tail at low counts: a few percent over 10⁵ independent cells.
    assert noisy.mean() == pytest.approx(bq_per_ml, rel=0.03)
    assert noisy.var() == pytest.approx(FAST.noise_bq_per_ml * bq_per_ml, rel=0.25)


def test_field_of_view_leaves_out_both_ends_and_the_corners(one_cycle: VirtualCycle) -> None:
    fov = field_of_view(one_cycle.grid)
    assert not fov[:, :, :2].any()
    assert not fov[:, :, -2:].any()
    assert fov[0, 0].max() == 0
    assert fov[64, 64, 2:-2].all()
    assert not one_cycle.dose_gy_per_gbq[fov == 0].any()


def test_kidney_recovery_is_that_of_spect(one_cycle: VirtualCycle) -> None:
    """Published for 10–12 mm FWHM: 0.77–0.85."""
    truth = one_cycle.truth
    activity = averaged_by_volume(truth.activity_bq_per_ml(time_h=24.0, administered_mbq=7300.0))
    seen = fast_mean(recovered(activity, truth.box), truth.box)
    kidney = np.isin(one_cycle.organs, (2, 3))
    recovery = seen[kidney].mean() / truth.box.on_case(activity)[kidney].mean()
    assert 0.75 < recovery < 0.90
