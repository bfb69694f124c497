"""The Jacobian of known deformations; itk-elastix where it is installed."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.registration.deformable import find_displacement_mm, jacobian, jacobian_report
from rpt_dosimetry.registration.guides import Guide, guide
from rpt_dosimetry.registration.rigid import shifted
from scipy import ndimage
from scipy.spatial.transform import Rotation


def positions_mm(shape, affine) -> np.ndarray:
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


@given(
    stretch=st.tuples(*[st.floats(0.5, 1.8)] * 3),
    turn_deg=st.tuples(*[st.floats(-60, 60)] * 3),
)
@settings(max_examples=20)
def test_a_linear_map_has_its_determinant(stretch, turn_deg) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix() @ np.diag([2, 3, 4])
    at_mm = positions_mm((5, 6, 7), affine)
    linear = Rotation.from_rotvec(turn_deg[::-1], degrees=True).as_matrix() @ np.diag(stretch)
    found = jacobian(at_mm @ linear.T - at_mm, affine)
    assert found == pytest.approx(np.prod(stretch))


def test_a_fold_is_told() -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    at_mm = positions_mm((20, 8, 8), affine)
    displacement = np.zeros_like(at_mm)
    displacement[8:14, ..., 0] = -2 * (at_mm[8:14, ..., 0] - at_mm[8, ..., 0])  # mirrored
    told = jacobian_report(jacobian(displacement, affine), np.ones((20, 8, 8), dtype=bool))
    assert told.least < 0
    assert 0 < told.folded_share < 0.5
    still = jacobian_report(np.ones((2, 2, 2)), np.ones((2, 2, 2), dtype=bool)).told()
    assert still == {"least": 1.0, "largest": 1.0, "folded_share": 0.0}


@pytest.fixture(scope="module")
def blob() -> Guide:
    noise = np.random.default_rng(0).random((40, 36, 32))
    data = ndimage.gaussian_filter(noise, 3) - 0.45
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    return guide(Volume(np.clip(data, 0, None), affine), kind="emission", name="It")


def test_without_itk_elastix(blob, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "itk", None)
    with pytest.raises(BadInput, match=r"needs itk-elastix, .* pip install itk-elastix"):
        find_displacement_mm(blob, blob, shifted(np.zeros(3)))


def test_nothing_to_deform(blob) -> None:
    itk = pytest.importorskip("itk")
    if not hasattr(itk, "elastix_registration_method"):
        pytest.skip("itk-elastix is not installed: pip install itk-elastix")
    found = find_displacement_mm(blob, blob, shifted(np.zeros(3)))
    assert np.abs(found[blob.body]).max() < 1.0
    told = jacobian_report(jacobian(found, blob.affine), blob.body)
    assert 0.9 < told.least <= told.largest < 1.1
