"""The Jacobian of known deformations; itk-elastix where it is installed."""

import json
import sys
from dataclasses import asdict

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume, nifti_bytes
from rpt_dosimetry.registration import deformable
from rpt_dosimetry.registration.deformable import (
    deform,
    find_displacement_mm,
    jacobian,
    jacobian_report,
)
from rpt_dosimetry.registration.guides import Guide, guide
from rpt_dosimetry.registration.pair import Scan
from rpt_dosimetry.registration.resampling import resample_emission
from rpt_dosimetry.registration.transform import grid_of, shifted
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings
from scipy import ndimage
from scipy.spatial.transform import Rotation

# itk's own, once for each of its types.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type [sS]wig")


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
    still = jacobian_report(np.ones((2, 2, 2)), np.ones((2, 2, 2), dtype=bool))
    assert asdict(still) == {"least": 1.0, "largest": 1.0, "folded_share": 0.0}


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


def needs_elastix() -> None:
    itk = pytest.importorskip("itk")
    if not hasattr(itk, "elastix_registration_method"):
        pytest.skip("itk-elastix is not installed: pip install itk-elastix")


@pytest.mark.slow
def test_nothing_to_deform(blob, tmp_path, monkeypatch) -> None:
    """Noise without a patient's edges, in voxels of 4 mm: what elastix makes of nothing."""
    needs_elastix()
    monkeypatch.chdir(tmp_path)
    found, told = deform(blob, blob, shifted(np.zeros(3)))
    off_mm = np.linalg.norm(found.displacement_mm, axis=-1)[blob.body]
    assert np.sqrt((off_mm**2).mean()) < 1.5
    assert 0.8 < told.least <= told.largest < 1.25
    assert not list(tmp_path.iterdir())  # elastix leaves nothing behind


@pytest.fixture(scope="module")
def breathing():
    """A trunk, and the same squeezed and pushed smoothly by up to 15 mm: scans and displacement."""
    made = make_cycle(CohortSettings(seed=1, slices=72), patient=1)
    affine = made.grid.affine
    rng = np.random.default_rng(3)
    waves = [
        ndimage.gaussian_filter(rng.standard_normal(made.grid.shape), 10, mode="wrap")
        for _ in range(3)
    ]
    displacement_mm = np.stack(waves, axis=-1)
    displacement_mm *= 12.0 / np.abs(displacement_mm).max()
    at = np.moveaxis(np.indices(made.grid.shape), 0, -1)
    # The moving world y = x + displacement(x): the moving image at y is the fixed one at x.
    back_mm = np.zeros_like(displacement_mm)
    for _ in range(8):
        places = np.moveaxis(at + back_mm / 4.8, -1, 0)
        back_mm = -np.stack(
            [
                ndimage.map_coordinates(displacement_mm[..., k], places, order=1, mode="nearest")
                for k in range(3)
            ],
            axis=-1,
        )
    places = np.moveaxis(at + back_mm / 4.8, -1, 0)
    ct = ndimage.map_coordinates(made.ct_hu.astype(float), places, order=1, mode="nearest")
    activity = ndimage.map_coordinates(made.pet_suv.astype(float), places, order=1, mode="nearest")
    # Squeezed tissue holds more activity a millilitre.
    activity *= jacobian(back_mm, affine)
    crop = (slice(14, -14), slice(24, -24), slice(11, -11))
    where = affine.copy()
    where[:3, 3] += affine[:3, :3] @ [14, 24, 11]

    def volume(data) -> Volume:
        return Volume(np.ascontiguousarray(data[crop], dtype=np.float32), where)

    fixed = Scan(volume(made.pet_suv), volume(made.ct_hu))
    return fixed, Scan(volume(activity), volume(ct)), displacement_mm[crop]


@pytest.fixture(scope="module")
def found(breathing):
    """What is found of it: the fixed guide, the deformation and its report."""
    needs_elastix()
    guides = [guide(scan.ct, kind="CT", name="It") for scan in breathing[:2]]
    return guides[0], *deform(*guides, shifted(np.zeros(3)))


@pytest.mark.slow
def test_a_known_deformation_of_a_virtual_ct(found, breathing) -> None:
    fixed, deformation, told = found
    off_mm = np.linalg.norm(deformation.displacement_mm - breathing[2], axis=-1)[fixed.body]
    was_mm = np.linalg.norm(breathing[2], axis=-1)[fixed.body]
    assert np.sqrt((off_mm**2).mean()) < 0.5 * np.sqrt((was_mm**2).mean())
    assert 0.5 < told.least < 1.0 < told.largest < 1.6


@pytest.mark.slow
def test_deformed_activity_is_kept_and_comes_nearer(found, breathing) -> None:
    fixed, moving, _ = breathing
    grid, still = grid_of(fixed.emission), shifted(np.zeros(3))
    rigid = resample_emission(moving.emission, grid, still, name="It")
    bent = resample_emission(moving.emission, grid, still, name="It", deformation=found[1])
    assert abs(bent.change_share) < 0.02
    hot = fixed.emission.data > 3
    off = [np.abs(one.data - fixed.emission.data)[hot].mean() for one in (bent, rigid)]
    assert off[0] < 0.6 * off[1]


@pytest.mark.slow
def test_the_command(breathing, command, tmp_path) -> None:
    needs_elastix()
    names = {}
    for role, scan in (("fixed", breathing[0]), ("moving", breathing[1])):
        for kind, one, dtype in (("", scan.emission, np.float32), ("_ct", scan.ct, np.float32)):
            names[role + kind] = tmp_path / f"{role}{kind}.nii.gz"
            names[role + kind].write_bytes(nifti_bytes(one.data, one.affine, dtype=dtype))
    cts = ["--fixed-ct", names["fixed_ct"], "--moving-ct", names["moving_ct"]]
    out = tmp_path / "out"
    ended = command(
        *("register", names["fixed"], names["moving"], *cts, "--deformable", "--out", out)
    )
    assert ended.status == 0, ended.err
    assert "Volumes in the body change by factors of" in ended.err
    told = json.loads((out / "registration.json").read_text())
    assert 0 < told["jacobian_in_body"]["least"] < 1 < told["jacobian_in_body"]["largest"]
    assert told["jacobian_in_body"]["folded_share"] == 0
    assert abs(told["activity"]["moving"]["change_by_interpolation_pct"]) < 2
    displacement = nib.Nifti1Image.from_filename(out / "displacement_mm.nii.gz")
    assert displacement.shape == (*breathing[0].ct.data.shape, 3)
    assert (out / "jacobian.nii.gz").is_file()


def test_a_folded_space_is_refused(blob, monkeypatch) -> None:
    folded = np.zeros((*blob.values.shape, 3))
    folded[10:20, ..., 0] = -2 * 4.0 * np.arange(10)[:, None, None]
    monkeypatch.setattr(deformable, "find_displacement_mm", lambda *_: folded)
    with pytest.raises(BadInput, match=r"the Jacobian must be above 0 .* space folds over itself"):
        deform(blob, blob, shifted(np.zeros(3)))
