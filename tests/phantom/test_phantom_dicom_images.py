"""PET and CT series of virtual patients, read back by ``rpt_dosimetry``."""

import json
from datetime import timedelta

import nibabel as nib
import numpy as np
import pytest
from helpers.commands import runner
from helpers.virtual_dicom import GRIDS, SHAPE, farthest_mm, in_ras, visit
from rpt_cohort import BadInput, Volume
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.__main__ import app
from rpt_dosimetry.concentration import read_ct
from rpt_dosimetry.dicom.series import choose_ct
from rpt_dosimetry.radiation.nuclide import half_life_s
from rpt_phantom.dicom import PetTiming, VirtualPatient
from rpt_phantom.dicom.header import pet_injection, save_series
from rpt_phantom.dicom.images import ct_series, pet_series

INJECTION = pet_injection(1)
TIMING = PetTiming("68Ga-PSMA-11", injected_mbq=151.7, time_min=63.25, duration_s=180.0)
BEGIN = TIMING.begin(INJECTION)


def suv(grid: np.ndarray) -> Volume:
    """Slices of very different height, one empty, some values below 0."""
    values = np.random.default_rng(2).normal(1.0, 1.0, SHAPE)
    values *= np.array([0.0, 1e-3, 1.0, 7.0, 90.0])
    return Volume(values.astype(np.float32), grid)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_suv_comes_back(grid, tmp_path) -> None:
    volume = suv(grid)
    objects = pet_series(volume, TIMING, visit(), injection=INJECTION)
    save_series(objects, tmp_path / "pet")
    read = convert(choose_pet(find_series(tmp_path / "pet"), None))
    written = in_ras(volume)
    assert read.volume.data.shape == written.data.shape
    assert farthest_mm(read.volume, written) < 1e-3
    assert read.slice_axis == 2
    half_step = [float(one.RescaleSlope) * read.factor.factor[0] / 2 for one in objects]
    off = np.abs(read.volume.data.astype(np.float64) - written.data).max(axis=(0, 1))
    assert len(set(half_step)) == 5  # a slope for each slice
    # float32 holds 24 bits.
    assert (off <= np.array(half_step) * (1 + 1e-6) + 6e-8 * np.abs(written.data).max()).all()


def test_suv_uses_the_sixteen_bits(tmp_path) -> None:
    objects = pet_series(suv(GRIDS["cubes"]), TIMING, visit(), injection=INJECTION)
    largest = [np.abs(one.pixel_array.astype(int)).max() for one in objects]
    assert largest == [0, 32767, 32767, 32767, 32767]


@pytest.mark.parametrize("tracer", ["68Ga-PSMA-11", "18F-PSMA-1007", "18F-DCFPyL", "18F-FDG"])
def test_tracer_times_and_activity(tracer, tmp_path) -> None:
    timing = PetTiming(tracer, 251.3, 90.4, 150.0)
    save_series(
        pet_series(suv(GRIDS["cubes"]), timing, visit(), injection=INJECTION), tmp_path / "pet"
    )
    read = convert(choose_pet(find_series(tmp_path / "pet"), None))
    assert read.radiopharmaceutical.tracer == tracer
    assert read.mid_scan_s == pytest.approx(90.4 * 60, abs=1e-5)
    assert read.scan_start_s == pytest.approx(90.4 * 60 - 75, abs=1e-5)
    assert read.injection.activity_bq == pytest.approx(251.3e6, rel=1e-12)
    assert (read.patient.weight_kg, read.patient.height_cm) == (81.3, 176)
    nuclide = "Ga-68" if tracer.startswith("68Ga") else "F-18"
    left_bq = 251.3e6 * 2 ** (-(90.4 * 60 - 75) / half_life_s(nuclide))
    assert read.factor.factor[0] == pytest.approx(81300 / left_bq, rel=1e-9)
    (warning,) = read.warnings
    assert "SUV below 0" in warning


def test_decay_factor_and_frame_reference_time() -> None:
    """Of a frame as long as a half-life the mean is 1/(2 ln 2) of the begin: 0.7213."""
    life_s = half_life_s("Ga-68")
    timing = PetTiming("68Ga-PSMA-11", 150.0, 120.0, life_s)
    one = pet_series(suv(GRIDS["cubes"]), timing, visit(), injection=INJECTION)[0]
    assert float(one.DecayFactor) == pytest.approx(2 * np.log(2), rel=1e-9)
    average_s = float(one.FrameReferenceTime) / 1000
    assert 2 ** (-average_s / life_s) == pytest.approx(0.5 / np.log(2), rel=1e-9)


def test_the_command_suv(tmp_path, monkeypatch, capfd) -> None:
    volume = suv(GRIDS["anisotropic"])
    save_series(pet_series(volume, TIMING, visit(), injection=INJECTION), tmp_path / "pet")
    run = runner("rpt_dosimetry", app, monkeypatch, capfd)
    ended = run("suv", tmp_path / "pet", tmp_path / "suv.nii.gz")
    assert ended.status == 0, ended.err
    told = json.loads((tmp_path / "suv.json").read_text())
    assert told["tracer"] == "68Ga-PSMA-11"
    assert told["branch"] == "BQML, START: series date and time"
    read = nib.Nifti1Image.from_filename(tmp_path / "suv.nii.gz").get_fdata()
    assert np.abs(read - volume.data).max() < 90 * 5 / 32767


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_hu_come_back_exactly(grid, tmp_path) -> None:
    values = np.random.default_rng(3).integers(-1024, 3072, SHAPE).astype(np.int16)
    values[0, 0, :2] = -32768, 32767
    save_series(ct_series(Volume(values, grid), visit(), begin=BEGIN), tmp_path / "ct")
    read = read_ct(choose_ct(find_series(tmp_path / "ct"), None)).volume
    written = in_ras(Volume(values, grid))
    assert np.array_equal(read.data, written.data)
    assert farthest_mm(read, written) < 1e-3


def test_who_and_when_is_fictitious_and_the_same_for_a_seed() -> None:
    first, again, other = (
        ct_series(
            Volume(np.zeros(SHAPE, dtype=np.int16), GRIDS["cubes"]),
            visit(seed=seed),
            begin=BEGIN,
        )[0]
        for seed in ("a", "a", "b")
    )
    assert first == again
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert first.FrameOfReferenceUID != other.FrameOfReferenceUID
    assert (first.PatientName, first.PatientID) == ("Virtual^P001", "VIRTUAL-P001")
    assert (first.PatientBirthDate, first.PatientAge) == ("", "071Y")
    assert first.Manufacturer == "rpt-dosegan"
    for told in (first.SeriesDescription, first.StudyDescription, first.ImageComments):
        assert told.startswith("VIRTUAL")
    assert first.AcquisitionDate == "20000110"
    assert first.ContentQualification == "RESEARCH"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VirtualPatient("Doe^Jane", 80.0), "letters, digits"),
        (lambda: VirtualPatient("P001", 8.0), "20 to 400 kg, got 8.0 kg"),
        (lambda: PetTiming("unknown", 1.0, 60.0, 60.0).administered(INJECTION), "tracer must be"),
        (lambda: PetTiming("18F-FDG", 1.0, 1.0, 180.0).begin(INJECTION), "30 s before"),
        (lambda: PetTiming("18F-FDG", 1.0, 60.0, 0.0001).begin(INJECTION), "whole milliseconds"),
        (lambda: PetTiming("18F-FDG", -1.0, 60.0, 60.0).administered(INJECTION), "above 0"),
        (lambda: one_ct(np.full(SHAPE, 0.5)), "HU must be whole"),
        (lambda: one_ct(np.full(SHAPE, 40000)), "HU must be whole"),
        (lambda: one_ct(np.full(SHAPE, np.nan)), "in 315 of 315 it is not"),
        (lambda: one_ct(np.zeros((4, 4, 1))), "2 voxels or more"),
        (lambda: one_ct(np.zeros(SHAPE), shear=1.0), "right angles"),
    ],
)
def test_refusals(make, message) -> None:
    with pytest.raises(BadInput, match=message):
        make()


def one_ct(values: np.ndarray, *, shear: float = 0.0) -> None:
    grid = GRIDS["cubes"].copy()
    grid[0, 1] = shear
    ct_series(Volume(values, grid), visit(), begin=BEGIN - timedelta(minutes=3))
