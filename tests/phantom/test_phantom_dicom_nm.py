"""Virtual SPECT and whole-body views as NM objects, read back by ``rpt_dosimetry``."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.virtual_dicom import GRIDS, SHAPE, farthest_mm, in_ras, views, visit
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.dicom.nm import RECON_TOMO, WHOLE_BODY, read_nm
from rpt_dosimetry.dicom.planar import read_planar
from rpt_dosimetry.dicom.spect import Tomogram, read_tomogram
from rpt_phantom.dicom import SpectTiming
from rpt_phantom.dicom.header import Administered, infusion_begin, save
from rpt_phantom.dicom.nm import LU_177_LOWER, LU_177_PEAK, LU_177_UPPER, tomogram, whole_body

LU = Administered("177Lu-PSMA-617", "Lu-177", 7389.5, infusion_begin(1))
TIMING = SpectTiming(time_h=23.4567, duration_s=1500.0)


def read_back(counts: Volume, timing: SpectTiming, path) -> Tomogram:
    save(tomogram(counts, timing, visit(), administered=LU), path / "spect.dcm")
    return read_tomogram(read_nm(path, kind=RECON_TOMO), heads=timing.heads)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("largest", [3.7, 9e5])
def test_counts_and_place_come_back(grid, largest, tmp_path) -> None:
    counts = np.random.default_rng(4).random(SHAPE) * largest
    read = read_back(Volume(counts, grid), TIMING, tmp_path)
    written = in_ras(Volume(counts, grid))
    assert (read.scaling.quantity, read.scaling.branch) == ("counts", "real world value mapping")
    half_step = counts.max() / 65535 / 2
    assert np.abs(read.volume.data - written.data).max() <= half_step * (1 + 1e-3)
    # Rounding does not add up.
    assert read.volume.data.sum(dtype=np.float64) == pytest.approx(counts.sum(), rel=1e-5)
    assert farthest_mm(read.volume, written) < 1e-3
    assert read.warnings == []


def test_whole_counts_are_stored_as_they_are(tmp_path) -> None:
    counts = np.random.default_rng(4).integers(0, 65536, SHAPE)
    read = read_back(Volume(counts, GRIDS["cubes"]), TIMING, tmp_path)
    assert np.array_equal(read.volume.data, counts)
    assert read.scaling.slope == 1.0


@pytest.mark.parametrize(("heads", "stops"), [(1, 60), (2, 60), (2, 48), (3, 40)])
def test_times_and_therapy(heads, stops, tmp_path) -> None:
    timing = replace(TIMING, heads=heads, stops=stops, duration_s=1440.0)
    read = read_back(Volume(np.ones(SHAPE), GRIDS["cubes"]), timing, tmp_path)
    assert read.times.duration_s == pytest.approx(1440.0, abs=1e-9)
    assert read.injection_to_mid_scan_s == pytest.approx(23.4567 * 3600, abs=1e-5)
    assert read.administration.nuclide == "Lu-177"
    assert read.administration.activity_mbq == 7389.5
    assert read.windows == (LU_177_PEAK,)


def test_whole_body_views_come_back(tmp_path) -> None:
    written = views()
    save(whole_body(written, visit("C1/planar"), administered=LU), tmp_path / "views.dcm")
    read = read_planar(read_nm(tmp_path, kind=WHOLE_BODY))
    assert len(read.planes) == 6
    for index, window in enumerate((LU_177_PEAK, LU_177_LOWER, LU_177_UPPER)):
        for view, planes in (("anterior", written.anterior), ("posterior", written.posterior)):
            plane = read.plane(view, window)
            assert np.array_equal(plane.counts, planes[index])
            assert plane.pixel_mm == (4.8, 4.0)
    assert read.velocity_mm_per_s == 2.0
    assert read.times.duration_s == 1000.0
    assert read.injection_to_mid_scan_s == pytest.approx(3600.0, abs=1e-5)
    assert (read.administration.nuclide, read.administration.activity_mbq) == ("Lu-177", 7389.5)
    assert read.warnings == []


@pytest.mark.parametrize("drop", ["ImageOrientationPatient", "ViewCodeSequence"])
def test_views_are_told_twice(drop, tmp_path) -> None:
    """By code and by orientation, and both tell the same."""
    dataset = whole_body(views(), visit("C1/planar"), administered=LU)
    for detector in dataset.DetectorInformationSequence:
        delattr(detector, drop)
    save(dataset, tmp_path / "views.dcm")
    read = read_planar(read_nm(tmp_path, kind=WHOLE_BODY))
    for view, planes in (("anterior", views().anterior), ("posterior", views().posterior)):
        assert np.array_equal(read.plane(view, LU_177_UPPER).counts, planes[2])


def test_the_head_is_on_top_and_the_right_side_on_the_left_from_in_front() -> None:
    anterior, posterior = np.zeros((2, 3, 20, 50))
    anterior[0, -1, -1] = 9  # right and head
    posterior[0, -1, -1] = 7
    dataset = whole_body(
        replace(views(), anterior=anterior, posterior=posterior),
        visit("C1/planar"),
        administered=LU,
    )
    frames = dataset.pixel_array
    assert frames.shape == (6, 50, 20)
    assert (frames[0, 0, 0], frames[1, 0, -1]) == (9, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectTiming(24.0, 1000.001).stop_ms(), "over 60 stops must be whole ms"),
        (lambda: SpectTiming(0.1, 1200.0).begin(LU.begin), "240 s before"),
        (lambda: SpectTiming(24.0, 1200.0, heads=0).stop_ms(), "heads must be 1 to 16"),
        (lambda: tomogram_of(np.full(SHAPE, -1.0)), "0 or above"),
        (lambda: tomogram_of(np.zeros(SHAPE)), "somewhere above 0"),
        (lambda: replace(views(), windows=(LU_177_PEAK,)), "a plane for each of 1 win"),
        (lambda: replace(views(), velocity_mm_per_s=0.0), "velocity_mm_per_s must be above 0"),
        (lambda: Administered("I-131", "I-131", 1.0, LU.begin), "nuclide must be one of"),
    ],
)
def test_refusals(make, message) -> None:
    with pytest.raises(BadInput, match=message.replace("ms", "m")):
        make()


def tomogram_of(counts: np.ndarray) -> None:
    tomogram(Volume(counts, GRIDS["cubes"]), TIMING, visit(), administered=LU)
