"""Slices become a RAS+ grid: every voxel stays where its header puts it."""

import numpy as np
import pytest
from helpers.commands import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_dosimetry.dicom.slices import find_grid, repeated_positions

OBLIQUE = tuple(np.round([0.96, 0.28, 0.0, -0.2688, 0.9216, 0.28], 6))


def check_every_voxel(series, suv) -> None:
    """Look every stored value up at its position in the patient."""
    slices, rows, columns = series.stored.shape
    k, row, column = np.meshgrid(*map(np.arange, (slices, rows, columns)), indexing="ij")
    along_row, along_column = np.array(series.cosines[:3]), np.array(series.cosines[3:])
    lps = (
        np.array(series.origin_mm)
        + column[..., None] * series.spacing_mm[1] * along_row
        + row[..., None] * series.spacing_mm[0] * along_column
        + k[..., None] * series.step_mm * np.cross(along_row, along_column)
    )
    ras = np.concatenate([lps * [-1, -1, 1], np.ones((*k.shape, 1))], axis=-1)
    index = ras @ np.linalg.inv(suv.volume.affine).T
    np.testing.assert_allclose(index, index.round(), atol=1e-3)
    i, j, k_ras, _ = np.moveaxis(index.round().astype(int), -1, 0)
    expected = series.stored * np.float64(series.slope) * suv.factor.factor[0]
    np.testing.assert_allclose(suv.volume.data[i, j, k_ras], expected, rtol=1e-6)
    assert suv.volume.data.shape[suv.slice_axis] == slices


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spacing_mm": (4.0, 2.5)},
        {"step_mm": -3.0},
        {"cosines": OBLIQUE},
        {"cosines": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)},  # coronal
        {"cosines": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)},  # sagittal
        {"cosines": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)},  # prone
        {"cosines": (0.0, 1.0, 0.0, -1.0, 0.0, 0.0), "spacing_mm": (1.5, 2.5)},
    ],
)
def test_voxels_stay_where_they_are(change, pet_series, convert_series) -> None:
    series = pet_series(**change)
    suv = convert_series(series)
    check_every_voxel(series, suv)
    assert suv.volume.axis_codes == "RAS"


def test_spacing_is_of_rows_then_of_columns(pet_series, convert_series) -> None:
    suv = convert_series(pet_series(spacing_mm=(4.0, 2.5)))
    assert suv.volume.data.shape == (6, 5, 4)
    assert suv.volume.spacing_mm == pytest.approx((2.5, 4.0, 3.0))


def test_factors_follow_the_slices(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        dataset.add_new((0x7053, 0x1000), "DS", str(index + 1))

    # Coronal slices run from back to front in RAS; here they are written front to back.
    cosines = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    for step_mm in (3.0, -3.0):
        series = pet_series(set={"Units": "CNTS"}, change=change, cosines=cosines, step_mm=step_mm)
        suv = convert_series(series)
        assert suv.slice_axis == 1
        maxima = suv.volume.data.max(axis=(0, 2))
        stored = np.array([(series.stored[int(f) - 1] * 2).max() for f in suv.factor.factor])
        np.testing.assert_allclose(maxima, stored * np.array(suv.factor.factor))


def test_a_slope_for_each_slice_and_an_empty_first_slice(pet_series, convert_series) -> None:
    stored = np.zeros((3, 4, 4), dtype=np.int16)
    stored[1:] = 30_000
    suv = convert_series(pet_series(stored=stored, slope=[1.0, 2.5, 100.0]))
    values = suv.volume.data[0, 0] / suv.factor.factor[0]
    np.testing.assert_allclose(values, [0.0, 75_000.0, 3_000_000.0], rtol=1e-6)
    assert suv.volume.data.dtype == np.float32


def test_missing_slice(pet_series, tmp_path, command) -> None:
    folder = pet_series(stored=np.ones((8, 4, 4), np.int16)).write(tmp_path / "in")
    next(path for path in folder.iterdir() if path.stem.endswith("_3")).unlink()
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    refused(ended, "1 of 6 distances differ (3.000 to 6.000 mm): slices are missing")


def test_missing_last_slice(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match=r"\(0054,0081\) tells 9 slices, and the series has 4"):
        convert_series(pet_series(set={"NumberOfSlices": 9}))


def test_gantry_tilt(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.5 * index, z]

    with pytest.raises(BadInput, match=r"shift by 1\.50 mm in their plane \(gantry tilt\)"):
        convert_series(pet_series(change=change))


def test_steps_of_a_real_scanner_are_even_enough(pet_series, convert_series) -> None:
    def change(dataset, index) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(z) + (0.08 if index == 3 else 0.0)]

    assert convert_series(pet_series(change=change)).volume.spacing_mm[2] == pytest.approx(
        3.0267, abs=1e-3
    )


DIFFERING = {
    "ImageOrientationPatient": ([1, 0, 0, 0, 0, -1], r"\(0020,0037\) must be the same.*localizer"),
    "PixelSpacing": ([4, 5], r"Pixel Spacing \(0028,0030\) must be above 0 mm and the same"),
    "FrameOfReferenceUID": ("1.2.3", r"\(0020,0052\) must be the same in all 4 slices"),
    "ImagePositionPatient": (None, r"\(0020,0032\) must be 3 finite numbers .* in 1 of 4"),
    "NumberOfFrames": ("3", r"Number of Frames \(0028,0008\) must be 1"),
}


@pytest.mark.parametrize("keyword", DIFFERING)
def test_one_slice_differs(keyword, pet_series, convert_series) -> None:
    value, message = DIFFERING[keyword]

    def change(dataset, index) -> None:
        if index == 2:
            setattr(dataset, keyword, value) if value is not None else delattr(dataset, keyword)

    with pytest.raises(BadInput, match=message):
        convert_series(pet_series(change=change))


def test_directions_that_are_no_directions(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match="two unit vectors at a right angle"):
        convert_series(pet_series(set={"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}))


IMPLAUSIBLE = {
    "wide pixels": ({"PixelSpacing": ["1e300", "1e300"]}, r"\(0028,0030\) must be 0.1 to 50 mm"),
    "narrow pixels": ({"PixelSpacing": ["1e-30", "1e-30"]}, r"\(0028,0030\) must be 0.1 to 50"),
    "far away": ({"ImagePositionPatient": ["0", "0", "1e308"]}, r"\(0020,0032\) must be -100000"),
    "directions": ({"ImageOrientationPatient": ["1e308"] * 6}, r"\(0020,0037\) must be -2 to 2"),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_implausible_places(case, pet_series, convert_series) -> None:
    changes, message = IMPLAUSIBLE[case]
    with pytest.raises(BadInput, match=message):
        convert_series(pet_series(set=changes))


def test_slices_too_near(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match=r"must stand 0\.1 to 50 mm apart, got 0\.01 mm"):
        convert_series(pet_series(step_mm=0.01))


def test_one_slice_alone(pet_series, convert_series) -> None:
    with pytest.raises(BadInput, match="at least 2 slices, got 1"):
        convert_series(pet_series(stored=np.ones((1, 4, 4), np.int16)))


def test_several_frames(pet_series, tmp_path, command) -> None:
    folder = tmp_path / "in"

    def second(dataset, index) -> None:
        dataset.SOPInstanceUID += ".7"
        dataset.FrameReferenceTime = "450000"

    pet_series().write(folder / "a")
    pet_series(change=second).write(folder / "b")
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    refused(ended, "4 positions hold several that differ: the series has several frames")


def test_copies_of_a_slice_count_once(pet_series, tmp_path, command) -> None:
    folder = tmp_path / "in"
    for name in "ab":
        pet_series().write(folder / name)
    ended = command("suv", folder, tmp_path / "out.nii.gz")
    assert ended.status == 0
    assert "4 of 8 files are copies; each was used once" in ended.err


@settings(max_examples=25, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    spacing_mm=st.tuples(st.floats(0.5, 8), st.floats(0.5, 8)),
    step_mm=st.floats(0.5, 8),
    seed=st.integers(0, 1000),
)
def test_any_grid_is_found(angles, spacing_mm, step_mm, seed, pet_series) -> None:
    a, b, c = angles
    turn = np.eye(3)
    for angle, (p, q) in ((a, (0, 1)), (b, (1, 2)), (c, (0, 1))):
        one = np.eye(3)
        one[p, p] = one[q, q] = np.cos(angle)
        one[p, q], one[q, p] = -np.sin(angle), np.sin(angle)
        turn = turn @ one
    series = pet_series(cosines=tuple(turn[:2].ravel()), spacing_mm=spacing_mm, step_mm=step_mm)
    headers = series.slices()
    np.random.default_rng(seed).shuffle(headers)
    grid = find_grid(headers)
    order = [int(headers[index].InstanceNumber) for index in grid.order]
    assert order == [1, 2, 3, 4]
    lengths_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    np.testing.assert_allclose(lengths_mm, (spacing_mm[1], spacing_mm[0], step_mm), rtol=1e-4)
    normal = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    assert abs(normal @ grid.affine[:3, 2]) == pytest.approx(np.prod(lengths_mm), rel=1e-4)
    assert repeated_positions(headers) == []
