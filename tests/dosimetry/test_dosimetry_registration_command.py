"""``python -m rpt_dosimetry register``: files, manners, and two real scans."""

import json
import re
from hashlib import sha256
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from helpers.commands import refused
from helpers.dicom import save, segmentation
from rpt_cohort import Volume, nifti_bytes, read_volume
from rpt_dosimetry import choose_pet, find_series, read_concentration
from rpt_dosimetry.dicom.contours import contour_mask, read_structures
from rpt_dosimetry.nifti import beside_of, voxels_sha256
from rpt_dosimetry.registration.pair import Scan, register
from rpt_dosimetry.registration.resampling import resample_emission
from rpt_dosimetry.registration.transform import one_grid
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings

UID = {"fixed": "1.2.3.1", "moving": "1.2.3.2"}
WRITTEN = ["check.png", "covered.nii.gz", "ct.nii.gz", "fixed.nii.gz", "fixed_to_moving.tfm"]
WRITTEN += ["moving.nii.gz", "registration.json"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fixed scan, and the same one 9.6 mm along: two slices."""
    folder = tmp_path_factory.mktemp("scans")
    made = make_cycle(CohortSettings(seed=1, slices=50), patient=1)
    affine, shifted = made.grid.affine, made.grid.affine.copy()
    shifted[2, 3] += 9.6
    images = {
        "fixed": (made.pet_suv, affine, np.float32),
        "moving": (made.pet_suv, shifted, np.float32),
        "fixed_ct": (made.ct_hu, affine, np.int16),
        "moving_ct": (made.ct_hu, shifted, np.int16),
        "short": (made.ct_hu[..., :40] * 0 + 1, affine, np.int16),
        "flat": (made.ct_hu * 0 + 7, affine, np.int16),
        "apart": (made.pet_suv, shifted + np.eye(4)[:, 3:] * [0, 0, 0, 900], np.float32),
    }
    images["apart"][1][:3, 3] += [0, 900, 0]
    images["apart"][1][3] = [0, 0, 0, 1]
    for name, (data, where, dtype) in images.items():
        (folder / f"{name}.nii.gz").write_bytes(nifti_bytes(data, where, dtype=dtype))
    return {name: folder / f"{name}.nii.gz" for name in images}


@pytest.fixture
def told(files):
    """JSONs beside the images, as ``activity`` writes them; one holds what is not handed on."""
    facts = {"nuclide": "Lu-177", "quantity": "activity concentration at mid-scan, Bq/mL"}
    for name, time_h in (("fixed", 24.0), ("moving", 96.5)):
        content = facts | {
            "injection_to_mid_scan_h": time_h,
            "bq_per_ml_max": 9.0,
            "PatientName": "Doe",
            "frame_of_reference_uid_sha256": sha256(UID[name].encode()).hexdigest(),
            "voxels_sha256": voxels_sha256(read_volume(files[name])),
        }
        beside_of(files[name]).write_text(json.dumps(content))
    yield facts
    for name in ("fixed", "moving"):
        beside_of(files[name]).unlink()


def test_what_the_jsons_tell_is_handed_on(files, told, command, tmp_path) -> None:
    out = tmp_path / "out"
    ended = command("register", files["fixed"], files["moving"], "--out", out)
    assert ended.status == 0, ended.err
    for name, time_h in (("fixed", 24.0), ("moving", 96.5)):
        content = json.loads((out / f"{name}.json").read_text())
        assert told.items() <= content.items()
        assert content["injection_to_mid_scan_h"] == time_h
        assert content["frame_of_reference_uid_sha256"] == sha256(UID["fixed"].encode()).hexdigest()
        assert content["made_by"].startswith("register: resampled")
        assert "Doe" not in str(content)
        assert "bq_per_ml_max" not in content
        image = nib.load(out / f"{name}.nii.gz")
        assert content["shape"] == list(image.shape)
        assert content["voxels_sha256"] == voxels_sha256(read_volume(out / f"{name}.nii.gz"))


def test_regions_drawn_on_the_fixed_image_are_known_after_register(
    files, told, command, tmp_path
) -> None:
    out = tmp_path / "out"
    ended = command("register", files["fixed"], files["moving"], "--out", out)
    assert ended.status == 0, ended.err
    image = read_volume(out / "fixed.nii.gz")
    lps = np.diag([9.6, 9.6, 9.6, 1.0])
    middle = image.affine @ [*(n // 2 for n in image.data.shape), 1.0]
    lps[:3, 3] = middle[:3] * [-1, -1, 1]
    for drawn_in, status in (("fixed", 0), ("moving", 2)):
        regions = segmentation([np.ones((3, 3, 3), bool)], lps, FrameOfReferenceUID=UID[drawn_in])
        path = save(regions, tmp_path)
        for name in ("fixed", "moving"):
            mask = tmp_path / f"{drawn_in}_{name}.nii.gz"
            ended = command("masks", path, mask, "--lesions", "--like", out / f"{name}.nii.gz")
            assert ended.status == status, ended.err
            assert ("they were drawn on another image" in ended.err) == (status == 2)
            assert "could not be checked" not in ended.err


def test_an_image_beside_the_json_of_another_is_refused(files, told, command, tmp_path) -> None:
    content = json.loads(beside_of(files["moving"]).read_text()) | {"voxels_sha256": "0" * 64}
    for text, words in (
        (json.dumps(content), "The moving image: The image must be the one"),
        ("{", "The moving image: 'moving.json' beside it must be JSON"),
    ):
        beside_of(files["moving"]).write_text(text)
        ended = command("register", files["fixed"], files["moving"], "--out", tmp_path / "out")
        refused(ended, words)
        assert list(tmp_path.iterdir()) == []


def test_a_folder(files, command, tmp_path) -> None:
    out = tmp_path / "out"
    cts = ["--fixed-ct", files["fixed_ct"], "--moving-ct", files["moving_ct"]]
    ended = command("register", files["fixed"], files["moving"], *cts, "--out", out)
    assert ended.status == 0, ended.err
    assert ended.out == ""
    assert sorted(path.name for path in out.iterdir()) == WRITTEN
    text = (out / "registration.json").read_text()
    told = json.loads(text)
    assert told["registered_by"] == "CT"
    expected = np.eye(4)
    expected[2, 3] = 9.6
    assert np.array(told["fixed_to_moving_ras_mm"]) == pytest.approx(expected, abs=0.15)
    assert told["residual"]["centre_mm"] == pytest.approx(9.6, abs=0.15)
    assert abs(told["activity"]["moving"]["change_by_interpolation_pct"]) < 0.5
    fixed, moving = (nib.load(out / name).get_fdata() for name in WRITTEN[3:6:2])
    assert np.array_equal(fixed, nib.load(files["fixed"]).get_fdata())
    assert np.corrcoef(fixed[..., 1:-1].ravel(), moving[..., 1:-1].ravel())[0, 1] > 0.999
    assert nib.load(out / "covered.nii.gz").get_fdata().max() == pytest.approx(1.0)
    assert nib.load(out / "ct.nii.gz").get_data_dtype() == np.int16
    assert (out / "check.png").read_bytes()[:4] == b"\x89PNG"
    block = told["provenance"]
    assert list(block["inputs"]) == ["fixed", "moving", "fixed_ct", "moving_ct"]
    assert block["seed"] == 1
    assert str(tmp_path) not in text
    assert str(files["fixed"].parent) not in text
    assert "Look at check.png" in ended.err


BAD = {
    "a CT is missing": (["--fixed-ct", "fixed_ct"], "moving", "the moving one has none"),
    "they lie apart": ([], "apart", "covers 0%: they lie apart"),
    "constant": ([], "flat", "with contrast, got values from 7 to 7"),
    "HU for activity": ([], "moving_ct", "must be an activity concentration"),
    "mask on another grid": (["--mask", "short"], "moving", "mask .* must be on the grid of"),
    "start": (["--start", "there"], "moving", "--start must be world or search, got 'there'"),
    "slice voxels": (["--slice-voxels", "8"], "moving", "must be 32 to 512, got 8"),
    "no file": ([], "none", "The moving image must be a NIfTI file, and there is none"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, files, command, tmp_path) -> None:
    words, moving, message = BAD[name]
    words = [files.get(word, word) for word in words]
    moving = files.get(moving, tmp_path / "none.nii.gz")
    ended = command("register", files["fixed"], moving, *words, "--out", tmp_path / "out")
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert re.search(message, ended.err), ended.err
    assert list(tmp_path.iterdir()) == []


def test_help_tells_units(command) -> None:
    told = command("register", "--help").out
    for word in ("Bq/mL", "g/mL", "HU", "mm", "--mask", "--fixed-ct", "covered"):
        assert word in told


def scan(folder: Path) -> tuple[Volume, list[np.ndarray]]:
    image = read_concentration(choose_pet(find_series(folder / "image"), None)).volume
    header = pydicom.dcmread(next((folder / "image").glob("*.dcm")), stop_before_pixels=True)
    drawn = read_structures(
        next((folder / "mask").iterdir()), frame_of_reference_uid=header.FrameOfReferenceUID
    )
    return image, [contour_mask(one, image, []) for one in drawn]


def test_two_real_scans_in_two_frames(testdata) -> None:
    """Lesions drawn on each scan by itself come together; mean positions within a voxel or two."""
    fixed, ours = scan(testdata / "spect_lu177" / "SCAN_001")
    moving, theirs = scan(testdata / "spect_lu177" / "SCAN_002")
    found = register(Scan(fixed), Scan(moving))
    grid = one_grid(fixed)
    carried = resample_emission(moving, grid, found.rigid, name="It")
    assert abs(carried.change_share) < 0.005
    assert carried.left_share < 0.01
    for our, their, least in zip(ours, theirs, (0.7, 0.5), strict=True):
        here, there = (
            np.argwhere(mask).mean(axis=0) @ v.affine[:3, :3].T + v.affine[:3, 3]
            for mask, v in ((our, fixed), (their, moving))
        )
        apart_mm = np.linalg.norm(found.rigid.moved_mm(here[np.newaxis])[0] - there)
        assert np.linalg.norm(here - there) > 30
        assert apart_mm < 5
        assert dice(our, their, np.eye(4), fixed, moving) < 0.5
        assert dice(our, their, found.rigid.fixed_to_moving, fixed, moving) > least


def dice(our, their, matrix, fixed: Volume, moving: Volume) -> float:
    """Overlap of two regions on voxels of one size, the other looked up at the nearest voxel."""
    whole = np.linalg.inv(moving.affine) @ matrix @ fixed.affine
    at = np.rint(np.argwhere(our) @ whole[:3, :3].T + whole[:3, 3]).astype(int)
    inside = ((at >= 0) & (at < their.shape)).all(axis=1)
    return 2 * int(their[tuple(at[inside].T)].sum()) / (our.sum() + their.sum())
