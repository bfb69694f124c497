"""``python -m rpt_eval correlate``: the folder it writes, odd cohorts, and refusals."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers.commands import Run, refused
from helpers.damage import change
from rpt_cohort import BadInput, file_sha256, read_cohort
from rpt_eval import correlate
from rpt_eval.correlate import write_correlations
from rpt_eval.predictions import read_maps
from rpt_eval.radiomics import FAMILY
from rpt_eval.regions import regions
from scipy import stats

pytest.importorskip("mirp")
TABLES = ("voxelwise", "voxelwise_summary", "textures", "texture_correlation", "texture_summary")
KIDNEYS, LIVER, SPLEEN = (2, 3), 5, 1


@pytest.fixture(scope="module")
def some(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small cohort with fewer cycles: two of the first patient, one of each other."""
    root = Path(shutil.copytree(cohort, tmp_path_factory.mktemp("some") / "cohort"))
    keep_cases(root, ["P001/C1", "P001/C2", "P002/C1", "P003/C1", "P004/C1"])
    return root


@pytest.fixture(scope="module")
def study(some: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("correlate") / "out"
    write_correlations(some, out, spect_fwhm_mm=12.0, bins=32, workers=1)
    return out


def values(path: Path) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)


def keep_cases(root: Path, names: list[str]) -> None:
    """List only some of the cases."""
    path = root / "datalist.json"
    content = {
        split: [case for case in cases if case["image"].removesuffix("/pet.nii.gz") in names]
        for split, cases in json.loads(path.read_text()).items()
    }
    path.write_text(json.dumps(content))


def test_every_cycle_and_organ_has_its_r(some: Path, study: Path) -> None:
    table = pd.read_csv(study / "voxelwise.csv")
    content = read_cohort(some)
    assert len(table) == len(content.cases) * 4 * 2
    assert content.testing[0].name in set(table["case"])
    for case in content.cases:
        maps = read_maps(content, case)
        rows = table[(table["case"] == case.name) & (table["mask"] == "whole")]
        for row in rows[rows["organ"] != "salivary_glands"].itertuples():
            region = regions(maps)[row.organ]
            assert row.n_voxels == region.sum()
            if pd.isna(row.reason):
                expected = stats.pearsonr(maps.suv[region], maps.dose[region].astype(float))
                assert row.r == pytest.approx(expected.statistic, abs=1e-6)
    glands = table[table["organ"] == "salivary_glands"]
    assert glands["r"].isna().all()
    assert set(glands["reason"]) == {"absent from the field of view"}
    assert (table["r"].isna() == table["reason"].notna()).all()


def test_eroded_masks_are_smaller_and_named_where_nothing_is_left(study: Path) -> None:
    table = pd.read_csv(study / "voxelwise.csv").set_index(["case", "organ", "mask"])
    voxels = table["n_voxels"].unstack("mask")
    assert (voxels["eroded"] <= voxels["whole"]).all()
    assert (voxels["eroded"] < voxels["whole"]).loc[(slice(None), "liver")].all()
    small = table[(table["n_voxels"] < 20) & (table["n_voxels"] > 0)]
    assert small["r"].isna().all()
    assert small["reason"].str.endswith("fewer than 20").all()


def test_textures_are_of_the_same_organs(study: Path) -> None:
    textures = pd.read_csv(study / "textures.csv")
    rated = pd.read_csv(study / "voxelwise.csv")
    rated = rated[rated["mask"] == "whole"].set_index(["case", "organ"])["r"].notna()
    for (case, organ), group in textures.groupby(["case", "organ"]):
        assert list(group["feature"]) == list(FAMILY)
        assert group["pet"].notna().all() == group["dose"].notna().all() == rated[case, organ]
        assert group["reason"].isna().all() == rated[case, organ]


def test_summary_names_itself(some: Path, study: Path) -> None:
    text = (study / "summary.json").read_text()
    summary = json.loads(text)
    assert summary["origin"] == "virtual"
    assert (summary["n_cycles"], summary["n_patients"]) == (5, 4)
    assert summary["parameters"]["aggregation"] == "3D_comb"
    assert summary["parameters"]["bins"] == 32
    assert summary["parameters"]["spect_fwhm_mm"] == 12.0
    assert str(some) not in text
    inputs = summary["provenance"]["inputs"]
    assert inputs["P001/C1/dose.nii.gz"] == file_sha256(some / "P001/C1/dose.nii.gz")
    assert len(inputs) == 2 + 4 * len(read_cohort(some).cases)
    assert summary["scatter_case"] in {case.name for case in read_cohort(some).cases}
    table = pd.read_csv(study / "voxelwise_summary.csv")
    assert len(summary["voxelwise"]) == len(table)
    for row, in_csv in zip(summary["voxelwise"], table.to_dict("records"), strict=True):
        assert row["p"] == (None if pd.isna(in_csv["p"]) else pytest.approx(in_csv["p"]))
    assert (study / "scatter.png").read_bytes().startswith(b"\x89PNG")
    assert b"Software" not in (study / "scatter.png").read_bytes()


def test_scatter_shows_the_case_in_the_middle(study: Path) -> None:
    table = pd.read_csv(study / "voxelwise.csv").query("mask == 'whole'")
    r = table.groupby("case")["r"].mean()[table.groupby("case")["r"].count() == 3].sort_values()
    shown = json.loads((study / "summary.json").read_text())["scatter_case"]
    assert (r < r[shown]).sum() == (len(r) - 1) // 2


def test_command_gives_the_same_with_two_processes(
    broken: Path, tmp_path: Path, rpt_eval: Run
) -> None:
    keep_cases(broken, ["P001/C1", "P002/C1"])
    here, out = tmp_path / "here", tmp_path / "out"
    write_correlations(broken, here, spect_fwhm_mm=9.0, bins=8, workers=1)
    options = ("--spect-fwhm-mm", 9, "--bins", 8, "--workers", 2)
    done = rpt_eval("correlate", "--cohort", broken, "--out", out, *options)
    assert done.status == 0, done.err
    assert done.out == ""
    written = {f"{name}.csv" for name in TABLES} | {"summary.json", "scatter.png"}
    assert {path.name for path in out.iterdir()} == written
    for path in here.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_dose_proportional_to_pet_has_r_1_and_no_infinite_z(broken: Path, tmp_path: Path) -> None:
    keep_cases(broken, ["P001/C1", "P002/C1", "P003/C1"])
    for case in read_cohort(broken).cases:
        pet = values(broken / case.image)
        change(broken / case.label, lambda _, pet=pet: pet / 64)
    out = tmp_path / "out"
    write_correlations(broken, out, spect_fwhm_mm=12.0, bins=16, workers=1)
    rows = json.loads((out / "summary.json").read_text())["voxelwise"]
    kidney = next(row for row in rows if (row["mask"], row["organ"]) == ("whole", "kidney"))
    assert kidney["mean_over_patients"] == pytest.approx(1.0)
    assert kidney["p"] is None
    assert kidney["reason"] == "Fisher's z is infinite: r is 1 or −1 in 3 of 3 cycles"
    textures = pd.read_csv(out / "textures.csv").dropna(subset=["pet"])
    assert list(textures["dose"]) == pytest.approx(list(textures["pet"]))
    table = pd.read_csv(out / "texture_correlation.csv").dropna(subset=["p"])
    assert len(table) > 60
    assert table["r_patients"].to_numpy() == pytest.approx(1.0)


def test_absent_small_and_constant_organs_have_reasons(broken: Path, tmp_path: Path) -> None:
    keep_cases(broken, ["P001/C1", "P002/C1"])
    organs = broken / "P001/C1/organs.nii.gz"
    known = values(broken / "P001/C1/fov.nii.gz") > 0
    liver = np.argwhere((values(organs) == LIVER) & known)[:19]
    where_kidney = np.isin(values(organs), KIDNEYS)

    def spoil(ids: np.ndarray) -> np.ndarray:
        ids = np.where(np.isin(ids, (SPLEEN, LIVER)), 199, ids)
        ids[tuple(liver.T)] = LIVER
        return ids

    change(organs, spoil)
    change(broken / "P001/C1/dose.nii.gz", lambda dose: np.where(where_kidney, 0.5, dose))
    out = tmp_path / "out"
    write_correlations(broken, out, spect_fwhm_mm=200.0, bins=16, workers=1)
    table = pd.read_csv(out / "voxelwise.csv").set_index(["case", "organ", "mask"])
    reason = table["reason"]["P001/C1"]
    assert reason["spleen", "whole"] == reason["spleen", "eroded"]
    assert reason["spleen", "whole"] == "absent from the field of view"
    assert reason["liver", "whole"] == "19 voxels, fewer than 20"
    assert reason["kidney", "whole"] == "dose the same everywhere"
    assert reason["kidney", "eroded"] == "nothing left 200 mm from the surface"
    assert table["r"]["P001/C1"].isna().all()
    textures = pd.read_csv(out / "textures.csv").query("case == 'P001/C1'")
    assert textures[["pet", "dose"]].isna().all().all()
    assert textures["reason"].notna().all()
    summary = json.loads((out / "summary.json").read_text())
    kidney = summary["voxelwise"][0]
    assert (kidney["n_cycles"], kidney["p"]) == (1, None)
    assert kidney["reason"] == "fewer than 3 patients: 1"
    assert summary["scatter_case"] == "P002/C1"


def test_a_clinical_cohort_without_any_organ_is_told_not_rated(
    broken: Path, tmp_path: Path
) -> None:
    keep_cases(broken, ["P001/C1"])
    info = json.loads((broken / "cohort.json").read_text())
    (broken / "cohort.json").write_text(json.dumps(info | {"origin": "clinical"}))
    change(broken / "P001/C1/organs.nii.gz", lambda ids: np.where(ids > 0, 199, ids))
    out = tmp_path / "out"
    write_correlations(broken, out, spect_fwhm_mm=12.0, bins=16, workers=1)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["origin"] == "clinical"
    assert {row["reason"] for row in summary["voxelwise"]} == {"no cycle with an r"}
    assert {row["mean_r_patients"] for row in summary["textures"]} == {None}
    assert (out / "scatter.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spect_fwhm_mm": 0.0}, "--spect-fwhm-mm must be a finite number above 0 mm, got 0 mm"),
        ({"spect_fwhm_mm": float("nan")}, "--spect-fwhm-mm must be .* got nan mm"),
        ({"spect_fwhm_mm": float("inf")}, "--spect-fwhm-mm must be .* got inf mm"),
        ({"bins": 1}, "--bins must be 2 or above, got 1"),
        ({"workers": 0}, "workers must be 1 or above, got 0"),
    ],
)
def test_options_out_of_range_are_refused(
    cohort: Path, tmp_path: Path, options: dict[str, float], words: str
) -> None:
    right = {"spect_fwhm_mm": 12.0, "bins": 32, "workers": 1}
    with pytest.raises(BadInput, match=words):
        write_correlations(cohort, tmp_path / "out", **(right | options))
    assert list(tmp_path.iterdir()) == []


def test_a_used_folder_an_empty_list_and_no_mirp_are_refused(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="'used' must be new or empty"):
        write_correlations(broken, used, spect_fwhm_mm=12.0, bins=32, workers=1)
    keep_cases(broken, [])
    with pytest.raises(BadInput, match="must list at least one case"):
        write_correlations(broken, tmp_path / "out", spect_fwhm_mm=12.0, bins=32, workers=1)

    def absent() -> None:
        raise BadInput("mirp must be installed")

    monkeypatch.setattr(correlate, "require_mirp", absent)
    with pytest.raises(BadInput, match="mirp must be installed"):
        write_correlations(broken, tmp_path / "out", spect_fwhm_mm=12.0, bins=32, workers=1)
    assert not (tmp_path / "out").exists()


def test_broken_maps_end_the_command_with_one_sentence(
    broken: Path, tmp_path: Path, rpt_eval: Run
) -> None:
    out = tmp_path / "out"
    dose = broken / "P001/C1/dose.nii.gz"
    change(dose, lambda data: data - 1.0)
    done = rpt_eval("correlate", "--cohort", broken, "--out", out, "--workers", 1)
    refused(done, "P001/C1/dose.nii.gz must not be negative", absent=out)
