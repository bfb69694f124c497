"""Whole-body views, read back as the dosimetry reads a scanner's."""

from pathlib import Path

import numpy as np
import pytest
from helpers.dicom import NmObject
from rpt_dosimetry.calibration.counts import choose_windows
from rpt_dosimetry.dicom.nm import WHOLE_BODY, read_nm
from rpt_dosimetry.dicom.planar import read_planar
from rpt_phantom.spect import LU177_ME, PlanarScan, scan_planar

SPACING_MM, SHAPE = 4.8, (48, 48, 60)
AT = (14, 30, 45)


@pytest.fixture(scope="module")
def scan() -> PlanarScan:
    """A source left of the middle, in front and near the head, in a trunk of water."""
    x, y, _ = ((np.arange(n) - (n - 1) / 2) * SPACING_MM for n in SHAPE)
    trunk = ((x[:, None] / 95) ** 2 + (y[None, :] / 70) ** 2 <= 1)[..., None]
    mu = np.where(trunk & np.ones(SHAPE, bool), 0.1351, 0.0).astype(np.float32)
    activity = np.zeros(SHAPE, np.float32)
    activity[AT] = 100e6 / (SPACING_MM**3 / 1000)
    return scan_planar(activity, mu, np.random.default_rng(5), spacing_mm=SPACING_MM)


def test_both_views_run_to_the_right_and_to_the_head(scan):
    for view in scan.counts[0]:
        brightest = np.unravel_index(np.argmax(view), view.shape)
        assert np.abs(np.array(brightest) - (AT[0], AT[2])).max() <= 1


def test_the_nearer_view_counts_more(scan):
    anterior, posterior = scan.counts[0].sum(axis=(1, 2))
    assert anterior > 1.5 * posterior


def test_a_row_is_seen_for_the_detectors_length(scan):
    assert scan.exposure_s == LU177_ME.detector_length_mm / 2.5
    assert scan.duration_s == pytest.approx((60 * 4.8 + 400) / 2.5)


def test_geometric_mean_knows_the_activity_whatever_its_depth(scan):
    """√(A P) e^(μL/2) over sensitivity and exposure, primary alone by the TEW: within 8 %."""
    peak, lower, upper = scan.counts.sum(axis=(2, 3)).astype(float)
    primary = peak - (lower + upper) / 12.6 * 41.6 / 2
    x_mm = (AT[0] - 23.5) * SPACING_MM
    through_cm = 2 * 70 * np.sqrt(1 - (x_mm / 95) ** 2) / 10
    mean_cps = np.sqrt(primary.prod()) / scan.exposure_s * np.exp(0.1351 * through_cm / 2)
    per_head = LU177_ME.sensitivity_cps_per_mbq / LU177_ME.heads
    assert mean_cps / per_head == pytest.approx(100.0, rel=0.08)


def test_dosimetry_reads_the_views_back(scan, tmp_path: Path):
    windows = [(one.lower_kev, one.upper_kev) for one in LU177_ME.windows]
    pixel_mm = (scan.pixel_mm, scan.pixel_mm)
    seen = scan.counts.copy()
    seen[:, 0] = seen[:, 0, ::-1]  # as a person who stands there sees the patient
    frames = seen.reshape(-1, *seen.shape[2:])[:, :, ::-1].swapaxes(1, 2).astype(np.uint16)
    made = NmObject(frames, kind="WHOLE BODY", windows=windows, pixel_mm=pixel_mm)
    planar = read_planar(read_nm(made.write(tmp_path / "planar.dcm"), kind=WHOLE_BODY))
    chosen = choose_windows([one.window for one in planar.planes], photon_kev=208.4)
    for number, window in enumerate((chosen.peak, chosen.lower, chosen.upper)):
        for side, view in enumerate(("anterior", "posterior")):
            np.testing.assert_array_equal(
                planar.plane(view, window).counts, scan.counts[number, side]
            )


def test_a_scan_moves(scan):
    zeros = np.zeros((8, 8, 4), np.float32)
    with pytest.raises(ValueError, match="velocity_mm_per_s must be above 0 mm/s"):
        scan_planar(zeros, zeros, np.random.default_rng(0), spacing_mm=4.8, velocity_mm_per_s=0.0)
