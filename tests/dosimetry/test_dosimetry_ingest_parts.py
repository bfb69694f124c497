"""The parts of ``ingest``: one grid for all, masks on it, the field of view, NM, spreading."""

import errno
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from helpers.clinic import Clinic, write_study
from helpers.dicom import NmObject
from helpers.pictures import brightest_place, drawn_figures, letters, patient_axes
from hypothesis import given
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume, nifti_bytes
from rpt_dosimetry.ingest import job
from rpt_dosimetry.ingest.alignment import (
    STAYS,
    CohortGrid,
    align,
    cohort_grid,
    cycle_grid,
    field_of_view,
    nearest,
    with_body,
)
from rpt_dosimetry.ingest.calibrating import Camera
from rpt_dosimetry.ingest.cohort_folder import locked
from rpt_dosimetry.ingest.cycle_files import dose_png
from rpt_dosimetry.ingest.job import spread
from rpt_dosimetry.ingest.scans import read_spect
from rpt_dosimetry.ingest.sources import find_scan
from rpt_dosimetry.ingest.study import FixedGrid, SpectSource
from rpt_dosimetry.masks.labels import organ_labels
from rpt_dosimetry.masks.names import read_organ_table
from rpt_dosimetry.registration.pair import Scan
from rpt_dosimetry.registration.resampling import resample_emission
from rpt_dosimetry.registration.transform import GridMm, grid_of, one_grid, shifted

pytestmark = pytest.mark.filterwarnings("ignore:The value length")


def volume(shape, voxel_mm=(5.0, 5.0, 5.0), origin_mm=(0.0, 0.0, 0.0)) -> Volume:
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = origin_mm
    return Volume(np.zeros(shape, dtype=np.float32), affine)


def middle_mm(grid: GridMm) -> np.ndarray:
    return grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + grid.affine[:3, 3]


@given(
    slices=st.lists(st.integers(4, 40), min_size=1, max_size=4),
    slice_mm=st.floats(3.0, 6.0),
)
def test_the_longest_spect_fits_the_cohorts_grid(slices, slice_mm) -> None:
    scans = [volume((16, 16, n), (5.0, 5.0, slice_mm)) for n in slices]
    own = [one_grid(scan, slice_voxels=16) for scan in scans]
    cohort = cohort_grid(own, slice_voxels=16, fixed=None)
    assert cohort.shape == (16, 16, max(slices))
    for scan, first in zip(scans, own, strict=True):
        grid = cycle_grid(scan, cohort, [])
        assert grid.shape == cohort.shape
        # Whole voxels are added, so that no SPECT is resampled.
        moved = np.linalg.solve(first.affine, grid.affine[:, 3])[:3]
        np.testing.assert_allclose(moved, np.rint(moved), atol=1e-9)
        added = cohort.shape[2] - len(scan.data[0, 0])
        assert round(moved[2]) in (-(added // 2), -((added + 1) // 2))


def test_another_cameras_voxels_go_about_the_same_middle() -> None:
    scan = volume((16, 16, 10), (4.42, 4.42, 4.42), (-30.0, 10.0, 7.0))
    cohort = CohortGrid((16, 16, 12), (4.8, 4.8, 4.8))
    told: list[str] = []
    grid = cycle_grid(scan, cohort, told)
    assert grid.spacing_mm == pytest.approx(cohort.voxel_mm)
    np.testing.assert_allclose(middle_mm(grid), middle_mm(grid_of(scan)), atol=1e-9)
    assert told == []


def test_a_fixed_grid_cuts_and_tells() -> None:
    fixed = FixedGrid(slices=10, voxel_mm=[5.0, 5.0, 5.0])
    cohort = cohort_grid([], slice_voxels=16, fixed=fixed)
    told: list[str] = []
    cycle_grid(volume((16, 16, 20)), cohort, told)
    assert told == ["The SPECT is 50 mm longer than the grid; its ends are cut off."]


@given(shift=st.tuples(*[st.integers(-3, 3)] * 3))
def test_labels_move_by_whole_voxels(shift) -> None:
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[3:5, 3:5, 3:5] = 7
    moved = nearest(
        Volume(labels, np.eye(4)),
        GridMm((8, 8, 8), np.eye(4)),
        shifted(np.array(shift, dtype=np.float64)),
    )
    np.testing.assert_array_equal(np.argwhere(moved == 7).min(axis=0), 3 - np.array(shift))
    assert (moved == 7).sum() == 8


def test_the_body_is_filled_and_the_couch_is_not_of_it() -> None:
    hu = np.full((30, 30, 6), -1000.0)
    hu[5:25, 8:25] = 20.0
    hu[10:15, 12:18] = -800.0  # lung
    hu[3:27, 3] = 300.0  # couch, a voxel thick
    organs = np.zeros(hu.shape, dtype=np.uint8)
    organs[6:9, 10:13] = 5
    found = with_body(organs, hu)
    assert (found[5:25, 8:25] > 0).mean() > 0.98  # the opening rounds the corners
    assert (found[10:15, 12:18, 1:-1] == 199).all()
    assert not found[:, 3].any()
    assert (found[6:9, 10:13] == 5).all()
    with pytest.raises(BadInput, match="The CT must show a body"):
        with_body(None, np.full(hu.shape, -1000.0))


def test_field_of_view_is_what_all_scans_see() -> None:
    first, later = volume((20, 20, 12)), volume((20, 20, 12))
    ct = volume((40, 40, 9), (2.5, 2.5, 5.0), (-1.25, -1.25, 0.0))
    up = shifted(np.array([0.0, 0.0, 15.0]))  # the later scan begins three slices lower
    known = field_of_view([(first, STAYS), (later, up)], ct, grid_of(first))
    assert known[10, 10].tolist() == [True] * 9 + [False] * 3
    in_slice = known[:, :, 4]
    assert not in_slice[0, 0]
    assert in_slice.sum() == pytest.approx(np.pi * 10**2, rel=0.03)


def test_scans_without_a_field_in_common() -> None:
    first, away = volume((20, 20, 12)), shifted(np.array([0.0, 0.0, 90.0]))
    with pytest.raises(BadInput, match="must have a field in common"):
        field_of_view([(first, STAYS), (first, away)], first, grid_of(first))


def test_a_later_spect_without_ct_goes_by_emission(pet_series, tmp_path) -> None:
    clinic, shift_mm = Clinic(pet_series, tmp_path), (9.0, -7.0, 6.0)
    scans = []
    for number, shift in enumerate([(0.0, 0.0, 0.0), shift_mm], start=1):
        clinic.spect(number, 24.0, shift)
        source = SpectSource(folder=f"Doe_Jane_spect_{number}")
        scans.append(
            read_spect(find_scan(source, tmp_path, need_ct=True), source, Camera(tmp_path))
        )
    first, later = scans
    grid = one_grid(first.bq_per_ml, slice_voxels=40)
    still = resample_emission(first.bq_per_ml, grid, STAYS, name="")
    found = align(
        Scan(first.bq_per_ml, first.ct), still, Scan(later.bq_per_ml), grid, start="world"
    )
    assert found.story["registered_by"] == "emission"
    # LPS to RAS: x and y change sign.
    moved_mm = found.rigid.moved_mm(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(moved_mm, np.array(shift_mm) * [-1, -1, 1], atol=1.0)


def test_nifti_masks_and_chosen_regions(tmp_path) -> None:
    labels = np.zeros((6, 6, 6), dtype=np.uint8)
    labels[2:4] = 52
    path = tmp_path / "organs.nii.gz"
    path.write_bytes(nifti_bytes(labels, np.eye(4), dtype=np.uint8))
    scan, table = volume((3, 3, 3)), read_organ_table()
    found = organ_labels(path, scan, frame_uid="", table=table, regions=None, warnings=[])
    np.testing.assert_array_equal(found.volume.data, labels)


def test_region_that_is_not_there(tmp_path, pet_series) -> None:
    Clinic(pet_series, tmp_path).contours()
    path = tmp_path / "Doe_Jane_organs" / "Doe_Jane.dcm"
    frame = "1.2.826.0.1.3680043.10.999.9.1"
    with pytest.raises(
        BadInput, match="must be one of the file, and name 2 fits none of its 3 regions"
    ):
        organ_labels(
            path,
            volume((3, 3, 3)),
            frame_uid=frame,
            table=read_organ_table(),
            regions=["Liver", "Spleen"],
            warnings=[],
        )


@pytest.fixture
def nm(tmp_path):
    counts = np.random.default_rng(0).poisson(50, (8, 12, 12)).astype(np.uint16)
    NmObject(counts).write(tmp_path / "nm" / "Doe.dcm")
    factor = {
        "quantity": "SPECT calibration factor, cps/MBq",
        "cps_per_mbq": 20.0,
        "relative_sd_pct": {"known": 2.0},
    }
    (tmp_path / "camera.json").write_text(json.dumps(factor))
    return tmp_path, float(counts.sum())


def test_counts_become_activity(nm) -> None:
    root, counts = nm
    source = SpectSource(folder="nm", calibration="camera.json", heads=2)
    spect = read_spect(find_scan(source, root, need_ct=False), source, Camera(root))
    # 60 views of 25 s by two heads in turn: 750 s, from 4 h after the administration on.
    voxel_ml = 4.8 * 4.8 * 5.0 / 1000
    total_mbq = spect.bq_per_ml.data.sum(dtype=float) * voxel_ml / 1e6
    assert total_mbq == pytest.approx(counts / 750 / 20, rel=1e-5)
    assert spect.time_h == pytest.approx(4 + 375 / 3600)
    assert spect.told_mbq == 7400
    assert spect.ct is None


def test_counts_without_a_calibration(nm) -> None:
    root, _ = nm
    source = SpectSource(folder="nm")
    with pytest.raises(BadInput, match="A SPECT in counts must have a calibration"):
        read_spect(find_scan(source, root, need_ct=False), source, Camera(root))


def test_a_full_disk_fails_one_cycle(tmp_path, pet_series, monkeypatch) -> None:
    study = write_study(tmp_path / "STUDY.yaml", [Clinic(pet_series, tmp_path).write()])

    def full(plan, folder):
        (folder / "pet.nii.gz").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", "/data/Doe_Jane")

    monkeypatch.setattr(job, "build_cycle", full)
    (outcome,) = job.ingest(study, tmp_path / "out", workers=1)
    assert outcome.how == "failed"
    assert outcome.faults == ("A file could not be read or written: No space left on device.",)
    assert not (tmp_path / "out").exists()


def test_one_run_at_a_time(tmp_path) -> None:
    out = tmp_path / "out"
    with (
        locked(out),
        pytest.raises(BadInput, match="one run at a time"),
        locked(out),
    ):
        pass
    assert not out.exists()


def test_dask_gets_the_cycles(monkeypatch) -> None:
    """A stand-in for Dask's client, which is asked as its documentation has it."""

    class Client:
        def __init__(self, address: str) -> None:
            if address == "nowhere":
                raise OSError("timed out")

        def __enter__(self) -> "Client":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def map(self, function, items, *, pure: bool):
            assert not pure
            return [lambda item=item: function(item) for item in items]

        def gather(self, futures):
            return [future() for future in futures]

    module = ModuleType("dask.distributed")
    module.Client, module.KilledWorker = Client, RuntimeError
    monkeypatch.setitem(sys.modules, "dask", ModuleType("dask"))
    monkeypatch.setitem(sys.modules, "dask.distributed", module)
    options = {"description": "", "workers": None}
    assert spread(abs, [-1, 2], dask="tcp://here:8786", **options) == [1, 2]
    with pytest.raises(BadInput, match="--dask must be the address of a running scheduler"):
        spread(abs, [1], dask="nowhere", **options)
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(BadInput, match="--dask needs Dask"):
        spread(abs, [1], dask="tcp://here:8786", **options)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_the_dose_of_the_page_has_the_patient_s_right_on_the_left(signs, monkeypatch) -> None:
    figures = drawn_figures(monkeypatch)
    shape, marked = (20, 24, 28), (16, 19, 24)  # right, front, head
    dose_gy = np.zeros(shape)
    dose_gy[marked] = 5.0
    flipped = [axis for axis in range(3) if signs[axis] < 0]
    affine = np.diag([4.0 * signs[0], 4.0 * signs[1], 5.0 * signs[2], 1.0])
    stored = np.flip(dose_gy, flipped)
    dose_png(np.zeros(shape), stored, body=np.ones(shape, bool), affine=affine)
    (figure,) = figures
    coronal, sagittal, axial = patient_axes(figure)
    assert [letters(ax) for ax in (coronal, sagittal, axial)] == ["RL", "AP", "RL"]
    for ax in (coronal, sagittal, axial):
        from_left, from_top = brightest_place(ax)
        assert from_left < 0.25
        assert from_top < 0.25
