"""Parametric maps: known maps again, agreement with region fits, flags, and files."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rpt_kinetics import dynamic, parametric
from rpt_kinetics.basis import Scan
from rpt_kinetics.curves import RegionCurve
from rpt_kinetics.dynamic import map_files, read_dynamic
from rpt_kinetics.errors import BadInput
from rpt_kinetics.fit_problem import K1, K2, K3, VB
from rpt_kinetics.fitting import fit_model
from rpt_kinetics.frames import Frames
from rpt_kinetics.inputs import feng
from rpt_kinetics.parametric import FITTED, frame_deviation, parametric_values
from rpt_kinetics.rates import Rates

WIDTHS = np.array([0.25] * 8 + [0.5] * 4 + [1.0] * 4 + [2.0] * 4 + [5.0] * 8)
END = np.cumsum(WIDTHS)
SCAN = Scan.of(Frames(END - WIDTHS, END), feng(), half_life_min=109.77)
AFFINE = np.array(
    [[0.0, -3.0, 0.0, 40.0], [2.0, 0.0, 0.3, -20.0], [0.0, 0.1, 4.0, 7.0], [0, 0, 0, 1.0]]
)


def rates(n: int, *, seed: int, binding: bool = False) -> Rates:
    rng = np.random.default_rng(seed)
    return Rates(
        k1_ml_per_min_per_ml=rng.uniform(0.05, 1.0, n),
        k2_per_min=rng.uniform(0.03, 1.0, n),
        k3_per_min=rng.uniform(0.02, 0.3, n) if binding else 0.0,
        vb=rng.uniform(0.01, 0.3, n),
    )


@pytest.mark.parametrize("vb_is_known", [False, True])
def test_maps_of_one_tissue_are_found_again(vb_is_known: bool) -> None:
    true = rates(500, seed=1)
    if vb_is_known:
        true = Rates(
            k1_ml_per_min_per_ml=true.k1_ml_per_min_per_ml, k2_per_min=true.k2_per_min, vb=0.07
        )
    found = parametric_values(SCAN.pet(true), SCAN, vb=0.07 if vb_is_known else None)
    assert np.all(found.flag == FITTED)
    # What is left is the parabola between the grid's rates; noise is ten times that and more.
    assert found.maps["k1"] == pytest.approx(true.k1_ml_per_min_per_ml, rel=3e-3)
    assert found.maps["k2"] == pytest.approx(true.k2_per_min, rel=3e-3)
    assert found.maps["vb"] == pytest.approx(true.vb, abs=3e-3)
    volume = true.k1_ml_per_min_per_ml / true.k2_per_min
    assert found.maps["vt"] == pytest.approx(volume, rel=3e-3)


def test_maps_of_irreversible_binding_are_found_again() -> None:
    true = rates(500, seed=2, binding=True)
    found = parametric_values(SCAN.pet(true), SCAN, model="2tcm_irreversible")
    assert np.all(found.flag == FITTED)
    k1, k2, k3, _, vb = true.in_a_row()
    for name, value in (("k1", k1), ("k2", k2), ("k3", k3), ("ki", k1 * k3 / (k2 + k3))):
        assert found.maps[name] == pytest.approx(value, rel=5e-3)
    assert found.maps["vb"] == pytest.approx(vb, abs=3e-3)


@pytest.mark.parametrize("model", ["1tcm", "2tcm_irreversible"])
def test_a_noisy_voxel_is_fitted_as_a_region_is(model: str) -> None:
    true = rates(4, seed=3, binding=model == "2tcm_irreversible")
    exact = SCAN.pet(true)
    deviation = frame_deviation(SCAN) * 0.02 * exact.max()
    noisy = exact + np.random.default_rng(4).normal(size=exact.shape) * deviation
    found = parametric_values(noisy, SCAN, model=model, standard_deviation=deviation)
    for index, activity in enumerate(noisy):
        curve = RegionCurve(
            frames=SCAN.frames, activity=activity, standard_deviation=deviation, unit="uCi/mL"
        )
        fit = fit_model(curve, SCAN, model=model)
        for name, key in (("k1", K1), ("k2", K2), ("k3", K3), ("vb", VB)):
            if name in found.maps and key in fit.free:
                # The grid's parabola against a descent to the bottom: within a twentieth of
                # what noise leaves open.
                off = found.maps[name][index] - fit.estimates[key]
                assert abs(off) < 0.05 * fit.standard_errors[key]
        assert found.misfit[index] == pytest.approx(
            fit.chi_square / fit.degrees_of_freedom, rel=1e-3
        )


def test_the_mean_over_noisy_voxels_is_the_truth() -> None:
    one = Rates(k1_ml_per_min_per_ml=0.4, k2_per_min=0.15, vb=0.1)
    exact = SCAN.pet(one)
    deviation = frame_deviation(SCAN) * 0.01 * exact.max()
    noise = np.random.default_rng(5).normal(size=(2000, len(exact))) * deviation
    found = parametric_values(exact + noise, SCAN)
    for name, value in (("k1", 0.4), ("k2", 0.15), ("vb", 0.1)):
        of_mean = found.maps[name].std() / np.sqrt(2000)
        assert abs(found.maps[name].mean() - value) < 3.0 * of_mean
    # The weighted mean square of m residuals is that of the noise, less three parameters' share.
    inverse = deviation.min() / deviation
    expected = deviation.min() ** 2 * (len(deviation) - 3) / np.sum(inverse**2)
    assert np.mean(found.misfit**2) == pytest.approx(expected, rel=3.0 * np.sqrt(2 / 25 / 2000))


def test_the_misfit_tells_a_wrong_model_from_a_right_one() -> None:
    kept = rates(200, seed=9, binding=True)
    exact = SCAN.pet(kept)
    deviation = frame_deviation(SCAN) * 0.005 * exact.max()
    noisy = exact + np.random.default_rng(10).normal(size=exact.shape) * deviation
    right = parametric_values(noisy, SCAN, model="2tcm_irreversible", standard_deviation=deviation)
    wrong = parametric_values(noisy, SCAN, model="1tcm", standard_deviation=deviation)
    fitted = right.flag == FITTED
    assert right.misfit[fitted].mean() == pytest.approx(1.0, abs=3.0 * np.sqrt(2 / 24 / 150))
    assert np.nanmedian(wrong.misfit) > 2.0
    assert np.isnan(right.misfit[~fitted]).all()


def test_voxels_do_not_depend_on_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    activity = SCAN.pet(rates(40, seed=6))
    together = parametric_values(activity, SCAN)
    monkeypatch.setattr(parametric, "NUMBERS", 1)
    alone = parametric_values(activity, SCAN)
    for name, values in together.maps.items():
        assert alone.maps[name] == pytest.approx(values, rel=1e-9)


def test_voxels_that_cannot_be_fitted_are_flagged_and_never_0() -> None:
    blood, flow = SCAN.blood(), SCAN.bases(np.array([0.1]))[0]
    activity = np.stack(
        [
            np.zeros(len(blood)),  # nothing
            np.full(len(blood), 7.0),  # no change
            0.3 * blood - 0.01 * flow,  # a vessel's share, no uptake
            -flow,  # noise below zero
            SCAN.bases(np.zeros(1))[0],  # nothing ever leaves
            0.5 * flow + 1.2 * blood,  # more blood than fits
            0.3 * flow,
        ]
    )
    found = parametric_values(activity, SCAN)
    assert found.flag.tolist() == [2, 2, 3, 3, 4, 5, FITTED]
    for values in found.maps.values():
        assert np.isnan(values[:6]).all()
        assert np.isfinite(values[6])
    kept = parametric_values(activity[4:5], SCAN, model="2tcm_irreversible")
    assert kept.flag.tolist() == [6]


def test_bad_requests_are_refused() -> None:
    activity = SCAN.pet(rates(3, seed=7))
    broken = activity.copy()
    broken[1, [4, 9]] = np.nan
    with pytest.raises(BadInput, match=r"1e\+15 in every voxel of the mask, and 5, 10"):
        parametric_values(broken, SCAN)
    with pytest.raises(BadInput, match="Maps can be made of 1tcm or 2tcm_irreversible, got '2tcm'"):
        parametric_values(activity, SCAN, model="2tcm")
    with pytest.raises(BadInput, match="vb must be at least 0 and below 1"):
        parametric_values(activity, SCAN, vb=1.0)
    with pytest.raises(BadInput, match="one column for each of 28 frames"):
        parametric_values(activity[:, :5], SCAN)
    two = Scan.of(Frames(np.array([0.0, 5.0]), np.array([5.0, 10.0])), feng())
    with pytest.raises(BadInput, match="3 free parameters needs at least 4 frames, got 2"):
        parametric_values(np.ones((1, 2)), two)


# --- files ---


def dynamic_files(folder: Path, *, mask: np.ndarray | None = None) -> tuple[Path, Path, Rates]:
    true = rates(3 * 4 * 2, seed=8)
    data = SCAN.pet(true).reshape(3, 4, 2, -1)
    if mask is None:
        mask = np.ones((3, 4, 2), dtype=np.uint8)
        mask[0, 0, 0] = mask[2, 3, 1] = 0
        data[0, 0, 0] = np.nan
    nib.Nifti1Image(data, AFFINE).to_filename(folder / "dynamic.nii.gz")
    nib.Nifti1Image(mask, AFFINE).to_filename(folder / "mask.nii.gz")
    return folder / "dynamic.nii.gz", folder / "mask.nii.gz", true


def mapped(image: dynamic.Dynamic) -> tuple[dict[str, bytes], dict[int, int]]:
    return map_files(
        image,
        SCAN,
        list(image.batches()),
        model="1tcm",
        vb=None,
        factor=np.ones(len(WIDTHS)),
        standard_deviation=None,
    )


def test_maps_lie_on_the_images_grid_with_nan_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mask_path, true = dynamic_files(tmp_path)
    image = read_dynamic(path, mask_path, frames=len(WIDTHS))
    files, counts = mapped(image)
    assert counts == {0: 2, 1: 22, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    names = ("k1", "k2", "vt", "vb", "rms_residual", "flag")
    assert set(files) == {f"{name}.nii.gz" for name in names}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    k1 = nib.load(tmp_path / "k1.nii.gz")
    assert k1.affine == pytest.approx(AFFINE, abs=1e-5)
    values, mask = k1.get_fdata(), nib.load(mask_path).get_fdata() > 0
    expected = true.k1_ml_per_min_per_ml.reshape(3, 4, 2)
    assert values[mask] == pytest.approx(expected[mask], rel=3e-3)
    assert np.isnan(values[~mask]).all()
    flag = nib.load(tmp_path / "flag.nii.gz").get_fdata()
    assert np.array_equal(flag, mask.astype(float))
    # Little memory makes several passes, and the same maps.
    monkeypatch.setattr(dynamic, "BUDGET_BYTES", 5 * 8 * len(WIDTHS))
    assert len(list(image.batches())) == 5
    again, _ = mapped(image)
    assert again == files


def test_a_mask_of_voxels_without_uptake_is_refused(tmp_path: Path) -> None:
    path, mask_path, _ = dynamic_files(tmp_path)
    nib.Nifti1Image(np.zeros((3, 4, 2, len(WIDTHS))), AFFINE).to_filename(path)
    with pytest.raises(BadInput, match=r"none is: .*same value \(22 voxels\)"):
        mapped(read_dynamic(path, mask_path, frames=len(WIDTHS)))


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path, mask_path, _ = dynamic_files(tmp_path)
    with pytest.raises(BadInput, match="one frame for each of 27 rows"):
        read_dynamic(path, mask_path, frames=27)
    with pytest.raises(BadInput, match="must have four dimensions"):
        read_dynamic(mask_path, mask_path, frames=28)
    with pytest.raises(BadInput, match="must be on the grid"):
        read_dynamic(path, path, frames=28)
    moved = AFFINE.copy()
    moved[0, 3] += 1.0
    nib.Nifti1Image(np.ones((3, 4, 2), dtype=np.uint8), moved).to_filename(mask_path)
    with pytest.raises(BadInput, match="corner voxels lie 1 mm off"):
        read_dynamic(path, mask_path, frames=28)
    _, mask_path, _ = dynamic_files(tmp_path, mask=np.zeros((3, 4, 2), dtype=np.uint8))
    with pytest.raises(BadInput, match="has nothing inside"):
        read_dynamic(path, mask_path, frames=28)
    (tmp_path / "not.nii").write_text("no image")
    with pytest.raises(BadInput, match=r"not\.nii must be a whole NIfTI"):
        read_dynamic(tmp_path / "not.nii", mask_path, frames=28)
    whole = path.read_bytes()
    path, mask_path, _ = dynamic_files(tmp_path, mask=np.ones((3, 4, 2), dtype=np.uint8))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"dynamic\.nii\.gz must be a whole NIfTI"):
        mapped(read_dynamic(path, mask_path, frames=28))
    with pytest.raises(BadInput, match=r"none\.nii must be a whole NIfTI"):
        read_dynamic(tmp_path / "none.nii", mask_path, frames=28)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sform_code": 0, "qform_code": 0}, "must tell where it lies"),
        ({"qform_code": 1, "qoffset_x": 90.0}, "tells two"),
        ({"xyzt_units": 1}, "must be in mm"),
    ],
)
def test_an_image_that_does_not_tell_one_place_is_refused(change, words, tmp_path: Path) -> None:
    path, mask_path, _ = dynamic_files(tmp_path)
    for spoilt in (path, mask_path):
        image = nib.load(spoilt)
        values = np.asanyarray(image.dataobj)
        for key, value in change.items():
            image.header[key] = value
        whole = nib.Nifti1Image(values, None, image.header)
        kept = spoilt.read_bytes()
        whole.to_filename(spoilt)
        with pytest.raises(BadInput, match=rf"{spoilt.name} {words}|{spoilt.name} .*{words}"):
            read_dynamic(path, mask_path, frames=len(WIDTHS))
        spoilt.write_bytes(kept)


def test_what_a_quaternion_rounds_is_no_second_place(tmp_path: Path) -> None:
    """Near half a turn, where float32 quaternions are worst."""
    angle = np.pi - 9e-4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.diag([0.98, 0.98, 1.5, 1.0])
    affine[:2, :2] = 0.98 * turn
    image = nib.Nifti1Image(np.ones((1024, 1024, 1, 1), np.float32), affine)
    mask = nib.Nifti1Image(np.ones((1024, 1024, 1), np.uint8), affine)
    for one, path in ((image, tmp_path / "image.nii.gz"), (mask, tmp_path / "mask.nii.gz")):
        one.set_sform(affine, code="scanner")
        one.set_qform(affine, code="scanner")
        one.to_filename(path)
    apart = (image.get_qform() - affine)[:3, :3] @ [1023, 1023, 0] / 0.98
    assert np.abs(apart).max() > 0.5
    found = read_dynamic(tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", frames=1)
    np.testing.assert_allclose(found.affine, affine, atol=1e-5)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    path, mask_path, _ = dynamic_files(tmp_path)
    first = nib.load(path)
    nib.Nifti2Image(np.asanyarray(first.dataobj), first.affine).to_filename(path)
    assert read_dynamic(path, mask_path, frames=len(WIDTHS)).image.shape == first.shape
