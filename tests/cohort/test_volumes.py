"""A volume has one place in one unit of length, told by its header and not by a library."""

import logging
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rpt_cohort import BadInput, read_volume

SHAPE = (6, 5, 4)
AFFINE = np.array([[4.8, 0, 0, -12], [0, 4.8, 0, -10], [0, 0, 5, -300], [0, 0, 0, 1.0]])
VALUES = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def image_of(affine: np.ndarray = AFFINE, kind: type = nib.Nifti1Image) -> nib.Nifti1Image:
    image = kind(VALUES, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    return image


def save(image: nib.Nifti1Image, folder: Path) -> Path:
    nib.save(image, folder / "v.nii.gz")
    return folder / "v.nii.gz"


def moved(*, x_mm: float = 0.0) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += x_mm
    return affine


@pytest.mark.parametrize("form", ["sform", "qform"])
def test_one_form_is_enough(form: str, tmp_path: Path) -> None:
    image = image_of()
    (image.set_qform if form == "sform" else image.set_sform)(None, code="unknown")
    found = read_volume(save(image, tmp_path))
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(found.data, VALUES)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_no_form_is_refused(kind: type, tmp_path: Path) -> None:
    image = image_of(kind=kind)
    image.set_sform(None, code="unknown")
    image.set_qform(None, code="unknown")
    with pytest.raises(BadInput, match=r"The dose must tell where it lies.*neither sform nor qf"):
        read_volume(save(image, tmp_path), name="The dose")


@pytest.mark.parametrize("turned", [moved(x_mm=3.0), np.diag([-1, 1, 1, 1.0]) @ AFFINE])
def test_two_places_are_refused_with_their_distance(turned: np.ndarray, tmp_path: Path) -> None:
    image = image_of()
    image.set_qform(turned, code="aligned")
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(SHAPE) - 1)
    shift = turned - AFFINE
    apart_mm = np.linalg.norm(corners @ shift[:3, :3].T + shift[:3, 3], axis=1).max()
    with pytest.raises(BadInput, match=rf"tells two: .* {re.escape(f'{apart_mm:.3g}')} mm"):
        read_volume(save(image, tmp_path))


def test_a_small_difference_is_told_and_the_sform_taken(tmp_path: Path, caplog) -> None:
    image = image_of()
    image.set_qform(moved(x_mm=0.48), code="aligned")
    with caplog.at_level(logging.WARNING, logger="rpt_cohort"):
        found = read_volume(save(image, tmp_path), name="The SPECT")
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)
    (record,) = caplog.records
    assert "The SPECT: by its qform a corner lies 0.48 mm (0.1 voxels)" in record.getMessage()


def test_what_a_quaternion_rounds_is_no_second_place(tmp_path: Path, caplog) -> None:
    """Near half a turn, where float32 quaternions are worst: b² + c² + d² is 1 to its last bit."""
    angle = np.pi - 9e-4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.diag([0.98, 0.98, 1.5, 1.0])
    affine[:2, :2] = 0.98 * turn
    image = nib.Nifti1Image(np.zeros((1024, 1024, 1), np.uint8), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    apart = (image.get_qform() - affine)[:3, :3] @ [1023, 1023, 0]
    assert np.abs(apart).max() > 0.5
    np.testing.assert_allclose(read_volume(save(image, tmp_path)).affine, affine, atol=1e-5)
    assert "voxels" in caplog.text


def test_a_qform_that_is_none_leaves_the_sform(tmp_path: Path, caplog) -> None:
    image = image_of()
    image.header["quatern_b"] = 5.0
    np.testing.assert_allclose(read_volume(save(image, tmp_path)).affine, AFFINE, atol=1e-5)
    assert "qform that cannot be read" in caplog.text


@pytest.mark.parametrize(("unit", "mm"), [("meter", 1e3), ("micron", 1e-3), ("mm", 1), (0, 1)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_the_stated_unit_of_length_becomes_mm(unit, mm: float, kind: type, tmp_path: Path) -> None:
    stored = AFFINE.copy()
    stored[:3] /= mm
    image = image_of(stored, kind)
    image.header.set_xyzt_units(unit, "sec")
    found = read_volume(save(image, tmp_path))
    np.testing.assert_allclose(found.affine, AFFINE, rtol=1e-6)
    np.testing.assert_array_equal(found.data, VALUES)


@pytest.mark.parametrize(
    ("code", "words"), [(1, r"4800 × 4800 × 5000 mm"), (3, r"0\.0048"), (5, "unknown code 5")]
)
def test_a_unit_that_cannot_be_is_refused(code: int, words: str, tmp_path: Path) -> None:
    image = image_of()
    image.header["xyzt_units"] = code
    with pytest.raises(BadInput, match=words):
        read_volume(save(image, tmp_path))


def test_one_volume_in_four_dimensions_is_one_volume_and_two_are_refused(tmp_path: Path) -> None:
    one = save(nib.Nifti1Image(VALUES[..., None], AFFINE), tmp_path)
    found = read_volume(one)
    np.testing.assert_array_equal(found.data, VALUES)
    np.testing.assert_allclose(found.affine, AFFINE, rtol=1e-6)
    two = save(nib.Nifti1Image(np.stack([VALUES, VALUES], axis=3), AFFINE), tmp_path)
    with pytest.raises(BadInput, match=r"must be 3D, got shape \(6, 5, 4, 2\)"):
        read_volume(two)
