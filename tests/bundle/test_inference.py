"""Inference: grids, windows, outputs, tracers, and input that cannot be used."""

import ast
import hashlib
import itertools
import json
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from rpt_cohort import BadInput as CohortBadInput
from rpt_cohort import file_sha256, read_prediction, read_volume
from rpt_cohort.schema import Tracer
from rpt_dosimetry.nifti import voxels_sha256 as voxels_sha256_there
from scripts.cases import require_cases
from scripts.checks import check_inference_case, read_suv, tracer_of, voxels_sha256
from scripts.command_line import refuse_unknown
from scripts.errors import BadInput, bad_input_behind
from scripts.fingerprints import fingerprint, kept_hash, seen_in, write_model_json
from scripts.transforms import averaged

Run = Callable[..., ConfigWorkflow]


def dose_of(run: Run, image: Path, out: Path, **options: Any) -> nib.Nifti1Image:
    run("inference", image=image, output_dir=out, **options)
    return nib.Nifti1Image.from_filename(out / "dose.nii.gz")


def values(image: nib.Nifti1Image) -> np.ndarray:
    return np.asanyarray(image.dataobj)


@pytest.fixture(scope="session")
def prediction(run: Run, cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights' prediction of the small cohort."""
    out = tmp_path_factory.mktemp("prediction") / "out"
    run("inference", dataset_dir=cohort, output_dir=out)
    return out


def test_cohort_prediction_is_what_the_contract_says(
    prediction: Path, cohort: Path, bundle: Path
) -> None:
    info = read_prediction(prediction)
    assert info.method == "rpt_dosegan"
    assert info.weights_sha256 == {"model.pt": file_sha256(bundle / "models" / "model.pt")}
    assert set(info.fold) == {
        path.parent.relative_to(cohort).as_posix() for path in cohort.glob("*/*/pet.nii.gz")
    }
    assert str(cohort) not in (prediction / "prediction.json").read_text()
    pet = nib.Nifti1Image.from_filename(cohort / "P001/C1/pet.nii.gz")
    dose = nib.Nifti1Image.from_filename(prediction / "P001/C1/dose.nii.gz")
    assert dose.get_data_dtype() == np.float32
    assert dose.shape == pet.shape
    np.testing.assert_array_equal(dose.affine, pet.affine)
    assert values(dose).min() >= 0


def test_the_end_says_where_the_map_is_what_it_holds_and_what_it_is(
    run: Run, pet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        dose = values(dose_of(run, pet, tmp_path / "out"))
    (said,) = [r.getMessage() for r in caplog.records if r.name == "scripts.outputs"]
    assert said.startswith(f"dose.nii.gz in {tmp_path / 'out'}, {dose.min():.4g} to ")
    assert f" {dose.max():.4g} Gy per GBq administered. Predicted before therapy" in said
    assert "research only" in said
    assert "virtual" in said


@pytest.fixture
def knowing(cohort: Path, bundle: Path, tmp_path: Path) -> Path:
    """Weights that say that they were trained on P001/C1 and chosen by another patient."""
    weights = Path(shutil.copy(bundle / "models" / "model.pt", tmp_path / "model.pt"))

    def hash_of(name: str) -> str:
        return kept_hash(fingerprint(read_suv(str(cohort / name / "pet.nii.gz"))))

    pets = {"training": [hash_of("P001/C1")], "validation": [hash_of("P002/C1")]}
    write_model_json(weights, pets)
    return weights


def test_pets_that_the_weights_have_seen_are_told(
    run: Run, knowing: Path, cohort: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    run("inference", dataset_dir=cohort, output_dir=out, weights_path=knowing)
    assert "1 of " in caplog.text
    assert "TRAINED ON: their maps are NO TEST" in caplog.text
    seen = read_prediction(out).pet_seen_in
    assert seen is not None
    assert seen.pop("P001/C1") == "training"
    assert seen.pop("P002/C1") == "validation"
    assert set(seen.values()) == {None}


def test_single_pet_that_was_trained_on_is_told_saved_again_in_whatever_way(
    run: Run, knowing: Path, pet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    # Turned, and as integers whose scale nibabel finds when it saves them.
    turned = nib.Nifti1Image(np.array(values(image)), image.affine).as_reoriented(
        np.array([[1, -1], [0, 1], [2, -1]])
    )
    again = nib.Nifti1Image(np.asanyarray(turned.dataobj), turned.affine)
    again.header.set_data_dtype(np.int16)
    nib.save(again, pet)
    dose_of(run, pet, tmp_path / "out", weights_path=knowing)
    assert "1 of 1 PETs" in caplog.text
    assert json.loads((tmp_path / "out" / "dose.json").read_text())["pet_seen_in"] == "training"


def test_pet_is_known_again_to_a_twentieth_of_a_percent_and_not_beyond(cohort: Path) -> None:
    image = read_suv(str(cohort / "P001/C1/pet.nii.gz"))
    pets = {"training": [kept_hash(fingerprint(image))], "validation": []}
    rng = np.random.default_rng(0)

    def seen(data: np.ndarray) -> str | None:
        return seen_in(fingerprint(nib.Nifti1Image(data, image.affine)), pets)

    for factor in (1 - 1e-4, 1.0, 1 + 1e-4):  # 4 × 1e-4 in the fourth power
        assert seen(values(image) * factor) == "training"
    noise = 1 + 1e-6 * rng.standard_normal(image.shape)  # another processor's rounding
    assert seen(values(image) * noise) == "training"
    assert seen(np.pad(values(image), 8)) == "training"
    for factor in (0.99, 1.01):
        assert seen(values(image) * factor) is None
    other = read_suv(str(cohort / "P001/C1/pet.nii.gz").replace("P001", "P002"))
    assert seen_in(fingerprint(other), pets) is None


@pytest.mark.parametrize("spoil", ["missing", "other weights", "not JSON", "not of this kind"])
def test_weights_that_do_not_tell_what_they_have_seen_are_told(
    run: Run, knowing: Path, pet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    beside = knowing.with_name("model.json")
    told = json.loads(beside.read_text())
    beside.unlink()
    if spoil == "other weights":
        beside.write_text(json.dumps({**told, "weights_sha256": "0" * 64}))
    elif spoil != "missing":
        beside.write_text("{" if spoil == "not JSON" else "[]")
    dose_of(run, pet, tmp_path / "out", weights_path=knowing)
    assert "model.json beside the weights does not tell" in caplog.text
    assert "pet_seen_in" not in json.loads((tmp_path / "out" / "dose.json").read_text())


def test_evaluation_tells_of_cases_that_were_trained_on(
    run: Run, cohort: Path, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = Path(shutil.copy(bundle / "models" / "model.pt", tmp_path / "model.pt"))
    case = json.loads((cohort / "datalist.json").read_text())["testing"][0]
    own = kept_hash(fingerprint(read_suv(str(cohort / case["image"]))))
    write_model_json(weights, {"training": [own], "validation": []})
    options = {"weights_path": weights, "output_dir": tmp_path / "out", "dataset_dir": cohort}
    run("train+evaluate", **options)
    assert "TRAINED ON" in caplog.text


def test_shipped_weights_know_their_own_cohort_and_say_so(bundle: Path) -> None:
    """P001/C1 of seed 0 is of that cohort: its fingerprint, as it was measured."""
    told = json.loads((bundle / "models" / "model.json").read_text())
    assert told["weights_sha256"] == file_sha256(bundle / "models" / "model.pt")
    assert len(told["training"]) + len(told["validation"]) == 300
    baseline = (10785.00328, 13395.30331, 17054.62083, 20946.53678)
    assert seen_in(baseline, told) in ("training", "validation")


def test_single_file_gives_the_cohort_s_map_and_says_what_it_is(
    run: Run, pet: Path, prediction: Path, tmp_path: Path
) -> None:
    dose = dose_of(run, pet, tmp_path / "out")
    expected = nib.Nifti1Image.from_filename(prediction / "P001/C1/dose.nii.gz")
    np.testing.assert_allclose(values(dose), values(expected), rtol=1e-5, atol=1e-7)
    content = json.loads((tmp_path / "out" / "dose.json").read_text())
    assert content["unit"] == "Gy/GBq"
    assert content["tracer"] == "68Ga-PSMA-11"
    assert "virtual" in content["notice"]
    assert content["provenance"]["inputs"] == {"suv.nii.gz": file_sha256(pet)}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dose.json",
        "dose.nii.gz",
    ]


def test_a_fold_s_weights_predict_that_fold_only(run: Run, cohort: Path, tmp_path: Path) -> None:
    run("inference", dataset_dir=cohort, output_dir=tmp_path / "out", fold=0)
    listed = json.loads((cohort / "datalist.json").read_text())["training"]
    expected = {f"{c['patient']}/C{c['cycle']}": 0 for c in listed if c["fold"] == 0}
    assert read_prediction(tmp_path / "out").fold == expected


@pytest.mark.parametrize("axes", ["LPS", "SAR", "PIR"])
def test_orientation_of_the_file_does_not_matter(
    run: Run, pet: Path, prediction: Path, tmp_path: Path, axes: str
) -> None:
    ras = nib.Nifti1Image.from_filename(pet)
    change = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(ras.affine), nib.orientations.axcodes2ornt(axes)
    )
    turned = ras.as_reoriented(change)
    nib.save(turned, pet)
    dose = dose_of(run, pet, tmp_path / "out")
    assert dose.shape == turned.shape
    np.testing.assert_allclose(dose.affine, turned.affine)
    expected = nib.Nifti1Image.from_filename(prediction / "P001/C1/dose.nii.gz")
    back = nib.as_closest_canonical(dose)
    np.testing.assert_allclose(values(back), values(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("voxel_mm", [(2.0, 2.0, 3.0), (5.47, 5.47, 3.27), (7.0, 6.0, 5.0)])
def test_map_is_on_the_pet_s_own_grid_whatever_its_voxels(
    run: Run, tmp_path: Path, voxel_mm: tuple[float, ...]
) -> None:
    """A warm ball: its total dose times volume must not depend on the grid."""
    totals = []
    for number, spacing in enumerate([(4.8, 4.8, 4.8), voxel_mm]):
        shape = [int(240 / mm) | 1 for mm in spacing]  # odd: not divisible by the strides
        axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
        x, y, z = np.meshgrid(*axes, indexing="ij")
        suv = (1.0 + 9.0 / (1.0 + np.exp((np.sqrt(x**2 + y**2 + z**2) - 40.0) / 6.0))).astype("f4")
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = [axis[0] for axis in axes]
        path = tmp_path / f"suv{number}.nii.gz"
        nib.save(nib.Nifti1Image(suv, affine), path)
        dose = dose_of(run, path, tmp_path / f"out{number}", allow_other_tracer=True)
        assert list(dose.shape) == shape
        np.testing.assert_allclose(dose.affine, affine)
        ball = np.sqrt(x**2 + y**2 + z**2) < 50
        totals.append(values(dose)[ball].sum() * np.prod(spacing))
    assert totals[1] == pytest.approx(totals[0], rel=0.05)


def test_oblique_affine_is_kept(run: Run, pet: Path, tmp_path: Path) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    angle = np.deg2rad(10)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight = values(dose_of(run, pet, tmp_path / "straight"))
    nib.save(nib.Nifti1Image(np.array(values(image)), turn @ image.affine), pet)
    dose = dose_of(run, pet, tmp_path / "out")
    assert dose.shape == image.shape
    np.testing.assert_allclose(dose.affine, turn @ image.affine, atol=1e-4)
    np.testing.assert_allclose(values(dose), straight, atol=1e-4 * straight.max())


def stripes(voxel_mm: float, suv: float, every: int, axis: int) -> nib.Nifti1Image:
    """SUV in every so manieth layer along an axis, none between."""
    shape = [int(336 / voxel_mm) if n == axis else 20 for n in range(3)]
    data = np.zeros(shape, np.float32)
    np.moveaxis(data, axis, 0)[::every] = suv
    sizes = [voxel_mm if n == axis else 4.8 for n in range(3)]
    return nib.Nifti1Image(data, np.diag([*sizes, 1.0]))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("voxel_mm", "every"), [(1.6, 3), (2.4, 2), (1.2, 4)])
def test_a_finer_pet_is_averaged_and_not_sampled(
    run: Run, tmp_path: Path, voxel_mm: float, every: int, axis: int
) -> None:
    """Stripes of a period of 4.8 mm have the dose of their mean, not of whatever layer is hit."""
    expected = []
    for name, image in {
        "stripes": stripes(voxel_mm, 6.0, every, axis),
        "mean": stripes(voxel_mm, 6.0 / every, 1, axis),
    }.items():
        nib.save(image, tmp_path / f"{name}.nii.gz")
        path = tmp_path / f"{name}.nii.gz"
        dose = values(dose_of(run, path, tmp_path / name, allow_other_tracer=True))
        inside = dose.take(dose.shape[axis] // 2, axis)  # beyond what the ends reach
        expected.append(inside[8:12, 8:12].mean())
    assert expected[0] == pytest.approx(expected[1], rel=0.01)


def test_averaging_is_over_one_voxel_of_the_network_and_leaves_coarse_axes_alone() -> None:
    rng = np.random.default_rng(0)
    suv = rng.random((12, 9, 10), dtype=np.float32)
    fine = averaged(nib.Nifti1Image(suv, np.diag([1.6, 3.0, 4.8, 1.0])), "a", [4.8] * 3)
    middle = (suv[:-2] + suv[1:-1] + suv[2:]) / 3
    np.testing.assert_allclose(fine.numpy()[1:-1], middle, rtol=1e-5)
    # Each file axis by the voxel of the axis of the body that it runs along.
    turned = np.array([[0, 0, 2.0, 0], [4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 0, 1]])
    other = averaged(nib.Nifti1Image(suv, turned), "a", [4.0, 9.0, 9.0])
    middle = (suv[..., :-2] / 2 + suv[..., 1:-1] + suv[..., 2:] / 2) / 2
    np.testing.assert_allclose(other.numpy()[..., 1:-1], middle, rtol=1e-5)


def test_each_pet_is_read_once(
    run: Run, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def read_bytes(path: Path) -> bytes:
        opened.append(str(path))
        with path.open("rb") as stream:
            return stream.read()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("another reading")

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    monkeypatch.setattr("nibabel.load", never)
    monkeypatch.setattr("monai.transforms.LoadImage.__call__", never)
    run("inference", dataset_dir=cohort, output_dir=tmp_path / "out")
    assert sorted(opened) == sorted(map(str, cohort.glob("*/*/pet.nii.gz")))


def test_air_has_no_dose_and_the_body_the_uncropped_volume_s(
    run: Run, pet: Path, tmp_path: Path
) -> None:
    suv = np.array(values(nib.Nifti1Image.from_filename(pet)))
    cropped = values(dose_of(run, pet, tmp_path / "cropped"))
    whole = values(dose_of(run, pet, tmp_path / "whole", body_suv=0.0))
    body = suv > 0.3
    assert (cropped == 0).mean() > 0.5 > (whole == 0).mean()
    assert cropped[body].mean() == pytest.approx(whole[body].mean(), rel=1e-3)
    assert abs(cropped - whole)[body].max() < 0.01 * whole.max()


def test_a_pet_without_a_body_is_refused(run: Run, pet: Path, tmp_path: Path) -> None:
    change_image(pet, lambda suv: suv * (0.09 / suv.max()))
    sentence = refused(run, image=pet, output_dir=tmp_path / "out")
    assert "must hold a body, SUV above 0.1 g/mL, got 0.09 at most" in sentence
    assert not (tmp_path / "out").exists()


def test_windows_agree_with_the_whole_volume_as_far_as_their_context(
    run: Run, pet: Path, tmp_path: Path
) -> None:
    """Trap 3: small windows see less context; the difference is real and bounded."""
    whole = values(dose_of(run, pet, tmp_path / "whole"))
    wide = values(dose_of(run, pet, tmp_path / "wide", roi_size=[96, 96, 24]))
    small = values(dose_of(run, pet, tmp_path / "small", roi_size=[32, 32, 24]))

    def difference(windowed: np.ndarray) -> float:
        return float(np.linalg.norm(windowed - whole) / np.linalg.norm(whole))

    assert difference(wide) < 0.05
    assert difference(wide) <= difference(small) < 0.25


def test_size_63_gives_63(run: Run, pet: Path, tmp_path: Path) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    nib.save(nib.Nifti1Image(values(image)[32:95, :63, :23], image.affine), pet)
    assert dose_of(run, pet, tmp_path / "out").shape == (63, 63, 23)


def refused(run: Run, **options: Any) -> str:
    """Run inference that must fail, and return the sentence behind."""
    with pytest.raises(RuntimeError) as caught:
        run("inference", **options)
    cause = bad_input_behind(caught.value)
    assert cause is not None, caught.value
    return str(cause)


def change_image(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = nib.Nifti1Image.from_filename(path)
    nib.save(nib.Nifti1Image(change(values(image).copy()), image.affine), path)


def with_nan(data: np.ndarray) -> np.ndarray:
    data[3, 4, 5] = np.nan
    return data


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.unlink(), "and there is none. Check the path"),
        (lambda p: p.write_bytes(p.read_bytes()[:5000]), "whole NIfTI file"),
        (lambda p: p.write_bytes(b"no image"), "whole NIfTI file"),
        (lambda p: change_image(p, with_nan), "NaN or infinity in 1 voxels"),
        (lambda p: change_image(p, lambda d: d - 5), "0 g/mL or more"),
        (lambda p: change_image(p, lambda d: d * 0), "0 everywhere"),
        (lambda p: change_image(p, lambda d: d * 3000), "looks like Bq/mL"),
        (lambda p: p.write_bytes(b""), "whole NIfTI file"),
        (lambda p: change_image(p, lambda d: np.stack([d, d], axis=3)), "one 3D volume"),
    ],
)
def test_pet_that_cannot_be_used_is_refused_and_nothing_is_written(
    run: Run, pet: Path, tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(pet)
    sentence = refused(run, image=pet, output_dir=tmp_path / "out")
    assert sentence.startswith("suv.nii.gz must")
    assert words in sentence
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def replace_affine(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = nib.Nifti1Image.from_filename(path)
    nib.save(nib.Nifti1Image(values(image), change(image.affine.copy())), path)


def place(path: Path, **forms: tuple[float, int]) -> None:
    """Write sform and qform, each shifted along x by mm and with a code."""
    image = nib.Nifti1Image.from_filename(path)
    for name, (shift_mm, code) in forms.items():
        affine = image.affine.copy()
        affine[0, 3] += shift_mm
        getattr(image, f"set_{name}")(affine, code=code, update_affine=False)
    nib.save(nib.Nifti1Image(values(image), None, image.header), path)


def sheared(affine: np.ndarray) -> np.ndarray:
    affine[:3, 1] += 0.1 * affine[:3, 0]
    return affine


def scaled(*factors: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda affine: np.diag([*factors, 1.0]) @ affine


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: replace_affine(p, scaled(1e-3, 1e-3, 1e-3)), "0.6 to 20 mm, got 0.0048 ×"),
        (lambda p: replace_affine(p, scaled(0.1, 0.1, 0.1)), "0.6 to 20 mm, got 0.48 ×"),
        (lambda p: replace_affine(p, scaled(1, 1, 1e-3)), "0.6 to 20 mm"),
        (lambda p: replace_affine(p, scaled(21, 21, 21)), "0.6 to 20 mm"),
        (lambda p: replace_affine(p, scaled(4, 4, 4)), "field of view of at most 2500 L"),
        (lambda p: replace_affine(p, sheared), "perpendicular axes, and two of them are 5.71°"),
        (lambda p: place(p, sform=(0, 0), qform=(0, 0)), "neither sform nor qform"),
        (lambda p: place(p, sform=(0, 1), qform=(-30, 1)), "lie up to 30 mm apart"),
        (lambda p: place(p, sform=(3, 2), qform=(0, 1)), "lie up to 3 mm apart"),
    ],
)
def test_impossible_place_is_refused_and_nothing_is_written(
    run: Run, pet: Path, tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(pet)
    sentence = refused(run, image=pet, output_dir=tmp_path / "out")
    assert sentence.startswith("suv.nii.gz must")
    assert words in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "forms",
    [
        {"sform": (0, 1), "qform": (0, 0)},
        {"sform": (0, 0), "qform": (0, 1)},
        {"sform": (0, 1), "qform": (0, 1)},
        {"sform": (0, 1), "qform": (0.2, 1)},  # 0.04 voxels
        {"sform": (0, 1), "qform": (1.44, 1)},  # 0.3 voxels
        {"sform": (0, 1), "qform": (2.0, 1)},  # less than half a voxel
        {"sform": (0, 1), "qform": (30, 1)},
        {"sform": (0, 0), "qform": (0, 0)},
    ],
)
def test_place_of_a_file_is_taken_or_refused_as_the_contract_does(
    pet: Path, forms: dict[str, tuple[float, int]], caplog: pytest.LogCaptureFixture
) -> None:
    """Parity: the bundle has no rpt_cohort, and must refuse the same files."""
    place(pet, **forms)
    as_the_contract_does(pet, caplog)


def as_the_contract_does(pet: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hold the bundle's reading of a file against the contract's: refusal, place, warnings."""
    caplog.clear()
    try:
        expected = read_volume(pet, name="suv.nii.gz")
    except CohortBadInput:
        with pytest.raises(BadInput):
            read_suv(str(pet))
        return
    told = [record.getMessage() for record in caplog.records]
    caplog.clear()
    image = read_suv(str(pet))
    np.testing.assert_allclose(image.affine, expected.affine, atol=1e-6)
    np.testing.assert_array_equal(values(image), expected.data)
    assert [record.getMessage() for record in caplog.records] == told


def test_two_places_a_third_of_a_voxel_apart_are_told(
    pet: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place(pet, sform=(0, 1), qform=(1.44, 1))
    read_suv(str(pet))
    (record,) = caplog.records
    assert "by its qform a corner lies 1.44 mm (0.3 voxels) from where" in record.getMessage()


def test_a_qform_that_is_none_leaves_the_sform_as_in_the_contract(
    pet: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    image.header["quatern_b"] = 5.0
    nib.save(nib.Nifti1Image(values(image), None, image.header), pet)
    as_the_contract_does(pet, caplog)
    assert "qform that cannot be read" in caplog.text


def with_unit(path: Path, code: int, mm: float = 1.0) -> None:
    """Write the affine in units of so many mm, and the code of one in the header."""
    image = nib.Nifti1Image.from_filename(path)
    again = nib.Nifti1Image(values(image), scaled(1 / mm, 1 / mm, 1 / mm)(image.affine))
    again.header["xyzt_units"] = code
    nib.save(again, path)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 10, 11])
def test_unit_of_an_affine_in_mm_is_taken_or_refused_as_the_contract_does(
    pet: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with_unit(pet, code)
    as_the_contract_does(pet, caplog)


@pytest.mark.parametrize(
    ("code", "mm", "words"),
    [
        (1, 1.0, "states m as"),
        (1, 1e3, "states m as"),
        (3, 1.0, "states µm as"),
        (3, 1e-3, "states µm as"),
        (5, 1.0, "states no known unit as"),
    ],
)
def test_a_unit_that_is_not_mm_is_refused_in_one_sentence(
    pet: Path, code: int, mm: float, words: str
) -> None:
    """Also where the affine agrees with it: the loader of the images knows mm alone."""
    with_unit(pet, code, mm)
    with pytest.raises(BadInput, match=rf"^suv\.nii\.gz must be in mm, and its header {words}"):
        read_suv(str(pet))


@pytest.mark.parametrize("more", [(1,), (2,), (1, 1), (1, 2)])
def test_more_axes_are_taken_or_refused_as_the_contract_does(
    pet: Path, more: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    suv = values(image).reshape(image.shape + (1,) * len(more))
    nib.save(nib.Nifti1Image(np.tile(suv, (1, 1, 1, *more)), image.affine), pet)
    as_the_contract_does(pet, caplog)
    if more == (1,):
        assert read_suv(str(pet)).shape == image.shape


@pytest.mark.parametrize(("largest", "told"), [(0.97, True), (0.004, True), (1.03, False)])
def test_a_pet_too_cold_to_be_one_is_told(
    pet: Path, largest: float, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    change_image(pet, lambda suv: suv * (largest / suv.max()))
    check_inference_case(str(pet))
    messages = [record.getMessage() for record in caplog.records]
    assert [
        f"the largest SUV is {largest:g} g/mL, and no PSMA PET is so cold" in one
        for one in messages
    ] == [True] * told


def test_what_a_quaternion_rounds_is_no_second_place(tmp_path: Path) -> None:
    """Near half a turn, where float32 quaternions are worst."""
    angle = np.pi - 9e-4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.diag([0.98, 0.98, 1.5, 1.0])
    affine[:2, :2] = 0.98 * turn
    image = nib.Nifti1Image(np.ones((1024, 1024, 1), np.uint8), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    apart_mm = (image.get_qform() - affine)[:3, :3] @ [1023, 1023, 0]
    assert np.linalg.norm(apart_mm) > 0.5 * 0.98
    nib.save(image, tmp_path / "suv.nii.gz")
    np.testing.assert_allclose(read_suv(str(tmp_path / "suv.nii.gz")).affine, affine, atol=1e-5)
    image.header["qoffset_x"] += 3.0
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), tmp_path / "suv.nii.gz")
    with pytest.raises(BadInput, match="must tell one place"):
        read_suv(str(tmp_path / "suv.nii.gz"))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"quantity": "activity concentration at mid-scan, Bq/mL"}, "tells of 'activity"),
        ({"quantity": "CT number, HU"}, "tells of 'CT number"),
        ({"quantity": "absorbed dose, Gy"}, "tells of 'absorbed dose"),
        ({"quantity": "SUV, lean body mass, g/mL"}, "tells of 'SUV, lean body mass"),
        ({"quantity": None}, "tells of None"),
        ({"voxels_sha256": "0" * 64}, "its voxels_sha256 is of others"),
        ({"voxels_sha256": 1}, "its voxels_sha256 is of others"),
        ({"unit": "Bq/mL"}, "tells of 'Bq/mL'"),
        ({"Units": "kBq/cc", "quantity": "SUV, body weight, g/mL"}, "tells of 'kBq/cc'"),
        ({"units": "BQML"}, "tells of 'BQML'"),
        ({"UNIT": "uCi/mL"}, "tells of 'uCi/mL'"),
    ],
)
def test_sidecar_of_something_else_is_refused(
    run: Run, pet: Path, tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    pet.with_name("suv.json").write_text(json.dumps({"tracer": "68Ga-PSMA-11", **told}))
    sentence = refused(run, image=pet, output_dir=tmp_path / "out", allow_other_tracer=True)
    assert sentence.startswith("suv.nii.gz must hold")
    assert words in sentence
    assert "suv.json" in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("factors", [(1, 1, 1.02), (0.5, 0.5, 0.5), (1, 1, -2), (0, 1, 1), (1, 1)])
def test_sidecar_of_another_voxel_size_is_refused(pet: Path, factors: tuple[float, ...]) -> None:
    size_mm = nib.Nifti1Image.from_filename(pet).header.get_zooms()

    def check(*spacing_mm: float) -> None:
        told = {"tracer": "68Ga-PSMA-11", "unit": "g/mL", "spacing_mm": list(spacing_mm)}
        pet.with_name("suv.json").write_text(json.dumps(told))
        check_inference_case(str(pet))

    check(*(float(mm) for mm in size_mm))
    check(*(float(mm) * 1.003 for mm in size_mm))
    with pytest.raises(BadInput, match=r"suv\.nii\.gz must have voxels of the size that suv\.json"):
        check(*(float(mm) * factor for mm, factor in zip(size_mm, factors, strict=False)))


def test_sidecar_of_this_very_volume_is_taken_in_whatever_type_it_is_stored(
    run: Run, pet: Path, tmp_path: Path
) -> None:
    image = nib.Nifti1Image.from_filename(pet)
    plain = np.ascontiguousarray(values(image), dtype="<f4")
    digest = hashlib.sha256(plain.tobytes()).hexdigest()
    told = {"tracer": "68Ga-PSMA-11", "quantity": "SUV, body weight, g/mL", "voxels_sha256": digest}
    pet.with_name("suv.json").write_text(json.dumps(told))
    dose_of(run, pet, tmp_path / "out")
    for again in (plain.astype(np.float64), np.asfortranarray(plain), plain[..., None]):
        assert voxels_sha256(nib.Nifti1Image(again, image.affine)) == digest


def test_a_reoriented_volume_keeps_its_hash_here_and_in_rpt_dosimetry(tmp_path: Path) -> None:
    """Parity: the bundle has no rpt_dosimetry, and must know the same volumes."""
    tilt, mm = np.radians(10.0), np.diag([4.0, 3.0, 2.0, 1.0])
    mm[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]] @ mm[:2, :2]
    suv = np.random.default_rng(3).random((4, 3, 5), dtype=np.float32)
    image = nib.Nifti1Image(suv, mm)
    digest = hashlib.sha256(suv.tobytes()).hexdigest()
    path = tmp_path / "suv.nii.gz"
    told = {"tracer": "68Ga-PSMA-11", "voxels_sha256": digest}
    path.with_name("suv.json").write_text(json.dumps(told))
    for order, flips in itertools.product(
        itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)
    ):
        turned = image.as_reoriented(np.array(list(zip(order, flips, strict=True))))
        turned.to_filename(path)
        assert voxels_sha256(turned) == voxels_sha256_there(read_volume(path)) == digest
        check_inference_case(str(path))
    mirrored = nib.Nifti1Image(suv[::-1], mm)  # voxels that moved are others
    mirrored.to_filename(path)
    assert voxels_sha256(mirrored) == voxels_sha256_there(read_volume(path)) != digest


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(
    run: Run, pet: Path, bundle: Path, tmp_path: Path, value: float
) -> None:
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    state["head.bias"] += value
    torch.save(state, tmp_path / "nan.pt")
    options = {"image": pet, "output_dir": tmp_path / "out", "weights_path": tmp_path / "nan.pt"}
    assert "'head.bias' holds NaN or infinity" in refused(run, **options)
    assert not (tmp_path / "out").exists()


def test_map_that_is_not_finite_is_refused_and_nothing_is_written(
    run: Run, pet: Path, tmp_path: Path
) -> None:
    """Whatever made it: here a step after the network."""
    nan = {"_target_": "ScaleIntensityd", "keys": "pred", "minv": None, "maxv": None}
    steps = {"_target_": "Compose", "transforms": [{**nan, "factor": math.nan}]}
    sentence = refused(run, image=pet, output_dir=tmp_path / "out", postprocessing=steps)
    assert sentence.startswith("The dose map of suv.nii.gz must be finite")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        ('{"tracer": "18F-FDG"}', "its sidecar names 18F-FDG"),
        ('{"tracer": "unknown"}', "no sidecar names its tracer"),
        ("{}", "no sidecar names its tracer"),
        (None, "no sidecar names its tracer"),
        ("[]", "must be a JSON object"),
        ("{", "must be JSON"),
    ],
)
def test_another_tracer_is_refused(
    run: Run, pet: Path, tmp_path: Path, sidecar: str | None, words: str
) -> None:
    beside = pet.with_name("suv.json")
    beside.unlink()
    if sidecar is not None:
        beside.write_text(sidecar)
    sentence = refused(run, image=pet, output_dir=tmp_path / "out")
    assert words in sentence
    assert not (tmp_path / "out").exists()


def test_another_tracer_goes_on_loudly_when_told(
    run: Run, pet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pet.with_name("suv.json").write_text('{"tracer": "18F-FDG"}')
    with caplog.at_level(logging.WARNING):
        dose_of(run, pet, tmp_path / "out", allow_other_tracer=True)
    assert "DO NOT TRUST THIS DOSE MAP" in caplog.text
    content = json.loads((tmp_path / "out" / "dose.json").read_text())
    assert content["tracer"] == "18F-FDG"
    assert content["provenance"]["parameters"]["allow_other_tracer"] is True


@pytest.mark.parametrize("told", ["false", "no", 1])
def test_gate_opens_for_true_alone(run: Run, pet: Path, tmp_path: Path, told: object) -> None:
    pet.with_name("suv.json").write_text('{"tracer": "18F-FDG"}')
    sentence = refused(run, image=pet, output_dir=tmp_path / "out", allow_other_tracer=told)
    assert "must be True or False" in sentence


def test_plain_lists_give_a_folder_of_the_contract(run: Run, pet: Path, tmp_path: Path) -> None:
    cases = [{"image": str(pet)}] * 2
    run("inference", dataset__data=cases, output_dir=tmp_path / "out")
    assert list(read_prediction(tmp_path / "out").fold) == ["CASE0001/C1", "CASE0002/C1"]


def test_one_volume_in_four_dimensions_is_one_volume(run: Run, pet: Path, tmp_path: Path) -> None:
    change_image(pet, lambda d: d[..., None])
    assert dose_of(run, pet, tmp_path / "out").shape == (128, 128, 24)


def test_nifti_2_gives_the_map_of_nifti_1(run: Run, pet: Path, tmp_path: Path) -> None:
    first = nib.Nifti1Image.from_filename(pet)
    suv = values(first).copy()  # the file is written over
    expected = values(dose_of(run, pet, tmp_path / "first"))
    for endian in "<>":
        header = nib.Nifti2Header(endianness=endian)
        nib.save(nib.Nifti2Image(suv, first.affine, header), pet)
        assert type(nib.load(pet)) is nib.Nifti2Image
        dose = dose_of(run, pet, tmp_path / f"second{'<>'.index(endian)}")
        np.testing.assert_allclose(dose.affine, first.affine, atol=1e-5)
        np.testing.assert_array_equal(values(dose), expected)


def test_output_folder_that_cannot_be_made_is_refused(run: Run, pet: Path) -> None:
    assert "Name another" in refused(run, image=pet, output_dir=pet / "out")


@pytest.mark.parametrize("window", [[30, 30, 30], [33, 32, 32], [128, 128, 32]])
def test_any_window_works_and_keeps_the_edges(
    run: Run, pet: Path, prediction: Path, tmp_path: Path, window: list[int]
) -> None:
    dose = values(dose_of(run, pet, tmp_path / "out", roi_size=window))
    whole = values(nib.Nifti1Image.from_filename(prediction / "P001/C1/dose.nii.gz"))
    for edge in (0, -1):
        assert dose[..., edge].sum() == pytest.approx(whole[..., edge].sum(), rel=0.15)


def test_evaluation_is_of_the_weights_that_are_given(
    run: Run, cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    state["head.bias"] += 0.5
    torch.save(state, tmp_path / "other.pt")
    rows = {}
    for name, path in {
        "own": bundle / "models" / "model.pt",
        "other": tmp_path / "other.pt",
    }.items():
        options = {"weights_path": path, "output_dir": tmp_path / name, "dataset_dir": cohort}
        built = run("train+evaluate", **options)
        rows[name] = built.evaluator.state.metrics["nrmse_euclid"]
        assert f"{rows[name]}" in (tmp_path / name / "metrics.csv").read_text()
    predicted = dose_errors(run, cohort, tmp_path, tmp_path / "other.pt")
    assert rows["other"] == pytest.approx(predicted, rel=1e-3)
    assert rows["other"] > 1.2 * rows["own"]


def dose_errors(run: Run, cohort: Path, tmp_path: Path, weights: Path) -> float:
    """nrmse_euclid over the testing cases, from the written maps."""
    run("inference", dataset_dir=cohort, output_dir=tmp_path / "maps", weights_path=weights)
    errors = []
    for case in json.loads((cohort / "datalist.json").read_text())["testing"]:
        read = {
            k: values(nib.Nifti1Image.from_filename(cohort / case[k]))
            for k in ("label", "organs", "fov")
        }
        counts = (read["organs"] > 0) & (read["fov"] > 0)
        path = tmp_path / "maps" / f"{case['patient']}/C{case['cycle']}" / "dose.nii.gz"
        dose = values(nib.Nifti1Image.from_filename(path))
        difference = (dose - read["label"])[counts]
        errors.append(np.linalg.norm(difference) / np.linalg.norm(read["label"][counts]))
    return float(np.mean(errors))


def test_tracer_of_a_cohort_s_pet_is_its_cycle_s(cohort: Path) -> None:
    assert tracer_of(str(cohort / "P001/C1/pet.nii.gz")) == "68Ga-PSMA-11"


def test_trained_tracer_is_one_of_the_contract(workflow: Run) -> None:
    trained = workflow("inference").parser.get("trained_tracers")
    assert set(trained) <= set(Tracer.__args__)  # type: ignore[attr-defined]


def test_weights_that_do_not_fit_are_refused(
    run: Run, pet: Path, bundle: Path, tmp_path: Path
) -> None:
    good = torch.load(bundle / "models" / "model.pt", weights_only=True)
    key = next(iter(good))
    spoilt = {
        "missing.pt": None,
        "text.pt": "not weights",
        "gan.pt": {"G": good, "D": good},
        "lacking.pt": {k: v for k, v in good.items() if k != key},
        "shape.pt": {**good, key: torch.zeros(1)},
    }
    for name, content in spoilt.items():
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        elif content is not None:
            torch.save(content, path)
        options = {"image": pet, "output_dir": tmp_path / "out", "weights_path": path}
        assert refused(run, **options).startswith(f"{name} must")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


class Bomb:
    """Unpickling this would run code."""

    def __reduce__(self) -> Any:
        return (Path("/nonexistent").touch, ())


def test_weights_never_run_code(run: Run, pet: Path, tmp_path: Path) -> None:
    torch.save({"head.weight": Bomb()}, tmp_path / "bomb.pt")
    options = {"image": pet, "output_dir": tmp_path / "out", "weights_path": tmp_path / "bomb.pt"}
    assert "weights_only=True" in refused(run, **options)


def test_output_folder_in_use_is_refused(run: Run, pet: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("1")
    assert "new or empty" in refused(run, image=pet, output_dir=tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "1"


def spoil_cohort(cohort: Path, target: Path) -> Path:
    shutil.copytree(cohort, target)
    return target / "P001" / "C1"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: (c / "dose.nii.gz").unlink(), "P001/C1/dose.nii.gz must be a NIfTI file"),
        (
            lambda c: change_image(c / "dose.nii.gz", lambda d: d[:, :, :-1]),
            "P001/C1/dose.nii.gz must be on the grid of its PET",
        ),
        (lambda c: change_image(c / "dose.nii.gz", lambda d: d - 1), "0 Gy/GBq or more"),
        (lambda c: change_image(c / "pet.nii.gz", with_nan), "P001/C1/pet.nii.gz must hold finite"),
        (lambda c: change_image(c / "fov.nii.gz", lambda d: d * 0), "leaves no such voxel"),
        (lambda c: change_image(c / "organs.nii.gz", lambda d: d * 0), "leaves no such voxel"),
        (lambda c: change_image(c / "dose.nii.gz", lambda d: d * 7400), "looks like Gy or mGy"),
    ],
)
def test_training_refuses_a_spoilt_cohort_before_it_starts(
    run: Run, cohort: Path, tmp_path: Path, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(spoil_cohort(cohort, tmp_path / "cohort"))
    options = {"dataset_dir": tmp_path / "cohort", "ckpt_dir": tmp_path / "training"}
    with pytest.raises(RuntimeError) as caught:
        run("train", **options)
    assert words in str(bad_input_behind(caught.value))
    assert not (tmp_path / "training" / "model.pt").exists()


def test_case_without_label_is_refused(
    run: Run, small_case: dict[str, str], tmp_path: Path
) -> None:
    del small_case["label"]
    data = {"train__dataset__data": [small_case], "validate__dataset__data": [small_case]}
    with pytest.raises(RuntimeError) as caught:
        run("train", **data, ckpt_dir=tmp_path / "training")
    assert "pet.nii.gz has none" in str(bad_input_behind(caught.value))


@pytest.mark.parametrize("name", ["train", "train+evaluate", "inference"])
def test_running_without_a_cohort_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        run(name, dataset_dir=tmp_path)
    assert "Give --dataset_dir COHORT" in str(bad_input_behind(caught.value))


def test_each_process_must_have_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
    require_cases([{}, {}], "unused", "validation")
    with pytest.raises(BadInput, match="Each of 2 processes must have a case for validation"):
        require_cases([{}], "unused", "validation")


@pytest.mark.parametrize("config", ["train", "inference", "['train','evaluate']"])
def test_names_that_would_change_nothing_are_refused(bundle: Path, config: str) -> None:
    folder = bundle / "configs"
    names = ast.literal_eval(config) if config.startswith("[") else [config]
    files = [str(folder / f"{name}.yaml") for name in names]
    given = ["run", "training", "--config_file", str(files) if files[1:] else files[0]]
    good = ["--bundle_root", "x", "--dataset_dir=y", "--network_def#channels", "[4,8]", "--amp"]
    good += ["--meta_file", "m", "--logging-file", "l", "--_meta_#version", "1"]
    good += ["--spacing_mm#0", "4.0", "--network_def::num_res_units", "1", "--run_id", "-1"]
    good += ["--network_def#max_log_factor", "4"]  # an argument that the file leaves at its default
    refuse_unknown([*given, *good])
    for name in ("imgae", "output-dri", "network#channels", "network_defs#channels", "seed_#x"):
        with pytest.raises(BadInput, match="must be a name of the configuration, and is none"):
            refuse_unknown([*given, *good, f"--{name}", "x"])
    with pytest.raises(BadInput, match="Did you mean --dataset_dir"):
        refuse_unknown([*given, "--dataset_dri=x"])


def test_fold_without_cases_is_refused(run: Run, cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run("train", dataset_dir=cohort, fold=99, ckpt_dir=tmp_path / "training")
    assert "at least one case for validation" in str(bad_input_behind(caught.value))
