"""From a clinic's DICOM to a dose map; the contract's parity; better than the simple rows."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from rpt_cohort import read_cohort
from rpt_eval.baseline import pet_factor
from rpt_eval.metrics import nrmse_euclid
from rpt_eval.predictions import CycleMaps, read_maps
from rpt_eval.projection import Recipe, blurred, dose_maps, fwhm_between_mm, least_squares_sums
from rpt_eval.regions import RATED_ORGANS, organ
from rpt_phantom.cohort import write_cohort
from rpt_phantom.settings import CohortSettings
from scripts.cases import held_out_cases, training_cases

Run = Callable[..., ConfigWorkflow]
ROOT = Path(__file__).parents[2]
TO_SPECT_MM = fwhm_between_mm(spect_fwhm_mm=12.0, pet_fwhm_mm=6.0)


def array(path: str | Path) -> np.ndarray:
    return np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj).astype(np.float64)


def test_raw_clinical_pet_becomes_a_dose_map_on_its_own_grid(
    testdata: Path, run: Run, tmp_path: Path
) -> None:
    series = testdata / "pet_fdg_sts001"
    suv, out = tmp_path / "suv.nii.gz", tmp_path / "out"
    command = [sys.executable, "-m", "rpt_dosimetry", "suv", str(series), str(suv)]
    subprocess.run(command, check=True, capture_output=True)
    assert json.loads((tmp_path / "suv.json").read_text())["tracer"] == "18F-FDG"
    assert array(suv).max() == pytest.approx(66.52, abs=0.01)
    with pytest.raises(RuntimeError):  # FDG is not PSMA
        run("inference", image=suv, output_dir=out)
    assert not out.exists()
    run("inference", image=suv, output_dir=out, allow_other_tracer=True)
    pet = nib.Nifti1Image.from_filename(suv)
    dose = nib.Nifti1Image.from_filename(out / "dose.nii.gz")
    assert dose.shape == pet.shape == (128, 128, 267)
    np.testing.assert_allclose(dose.affine, pet.affine)
    values = np.asanyarray(dose.dataobj)
    assert np.isfinite(values).all()
    assert 0 <= values.min() < values.max() < 50


def test_bundle_reads_the_cohort_as_the_contract_does(cohort: Path) -> None:
    """Parity: the bundle has no rpt_cohort, and must see the same cases."""
    content = read_cohort(cohort)

    def expected(cases: Any) -> list[dict[str, Any]]:
        return [
            {
                **{
                    key: str(cohort / getattr(c, key))
                    for key in ("image", "label", "organs", "fov")
                },
                "name": c.name,
                "fold": c.fold,
            }
            for c in cases
        ]

    assert training_cases(str(cohort), -1) == expected(content.training)
    assert held_out_cases(str(cohort)) == expected(content.testing)


def body_of(maps: CycleMaps) -> np.ndarray:
    return np.asarray(maps.known & (maps.organs > 0))


def error(dose: np.ndarray, maps: CycleMaps) -> float:
    here = body_of(maps)
    return nrmse_euclid(dose[here].astype(np.float64), maps.dose[here].astype(np.float64))


def organ_means(maps: CycleMaps) -> dict[str, float]:
    regions = {name: maps.known & organ(maps, name) for name in RATED_ORGANS}
    return {name: float(maps.dose[here].mean()) for name, here in regions.items()}


def simple_rows(train: list[CycleMaps], test: list[CycleMaps]) -> dict[str, float]:
    """nrmse_euclid on ``test`` of predictors that need no network, fitted on ``train``."""

    def factor(fwhm_mm: float) -> float:
        pets = [blurred(m.suv, m.spacing_mm, fwhm_mm=fwhm_mm) for m in train]
        sums = [
            least_squares_sums(pet, m.dose, body_of(m)) for pet, m in zip(pets, train, strict=True)
        ]
        return pet_factor(sums)

    factors = factor(0.0), factor(TO_SPECT_MM)
    rows: dict[str, list[float]] = {}
    for maps in test:
        # No organ is guided: one factor stands everywhere.
        recipe = Recipe({}, organ_means(maps), {}, 0.0, *factors)
        for name, dose, _ in dose_maps(maps, recipe, fwhm_mm=TO_SPECT_MM):
            rows.setdefault(name, []).append(error(dose, maps))
    names = {
        "all_zero": "zero everywhere",
        "pet_factor": "PET × factor",
        "organ_guided_blurred": "blurred PET × factor",
        "organ_optimum_blurred": "blurred PET × true organ means",
    }
    return {title: float(np.mean(rows[name])) for name, title in names.items()}


def of_predictions(folder: Path, cases: list[CycleMaps]) -> float:
    doses = [array(folder / maps.case.name / "dose.nii.gz") for maps in cases]
    return float(np.mean([error(d, maps) for d, maps in zip(doses, cases, strict=True)]))


def maps_of(cohort: Path, cases: list[dict[str, Any]]) -> list[CycleMaps]:
    content, names = read_cohort(cohort), {case["name"] for case in cases}
    return [read_maps(content, case) for case in content.cases if case.name in names]


@pytest.fixture(scope="module")
def never_seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[str, float]]:
    """The error of the shipped weights on patients they never saw, and the simple rows' errors."""
    root = tmp_path_factory.mktemp("never_seen")
    cohort, out = root / "cohort", root / "out"
    write_cohort(cohort, CohortSettings(seed=99, slices=64), patients=5, workers=1)
    words = ["--config_file", "bundle/configs/inference.yaml", "--bundle_root", "bundle"]
    words += ["--dataset_dir", str(cohort), "--output_dir", str(out)]
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    train = maps_of(cohort, training_cases(str(cohort), -1))
    test = maps_of(cohort, held_out_cases(str(cohort)))
    return of_predictions(out, train + test), simple_rows(train, train + test)


@pytest.mark.slow
def test_shipped_weights_are_far_ahead_of_every_simple_row(never_seen) -> None:
    ours, rows = never_seen
    assert ours < 0.85 * min(rows.values())


@pytest.mark.slow
def test_shipped_weights_beat_the_simple_rows_on_patients_they_never_saw(never_seen) -> None:
    """Trap 2: a good-looking number means nothing beside a trivial predictor's."""
    ours, rows = never_seen
    # 0 predicted everywhere has an error of exactly 1 by this metric.
    assert rows["zero everywhere"] == pytest.approx(1.0)
    assert ours < 0.95 * min(value for name, value in rows.items() if "organ" not in name)
    assert ours < rows["blurred PET × true organ means"]


@pytest.mark.slow
@pytest.mark.parametrize("adversarial_weight", [0.01, 0.0])
def test_minutes_of_training_beat_the_simple_rows_on_held_out_patients(
    run: Run, tmp_path: Path, adversarial_weight: float
) -> None:
    cohort = tmp_path / "cohort"
    write_cohort(cohort, CohortSettings(seed=5, slices=64), patients=12, workers=2)
    options = {"max_epochs": 30, "val_interval": 10, "adversarial_start_epoch": 20}
    run(
        "train",
        dataset_dir=cohort,
        ckpt_dir=tmp_path / "training",
        adversarial_weight=adversarial_weight,
        patches_per_case=8,
        **options,
    )
    weights = tmp_path / "training" / "model.pt"
    run("inference", dataset_dir=cohort, output_dir=tmp_path / "out", weights_path=weights)
    train = maps_of(cohort, training_cases(str(cohort), 0))
    test = maps_of(cohort, held_out_cases(str(cohort)))
    rows = simple_rows(train, test)
    without_masks = [value for name, value in rows.items() if "organ" not in name]
    assert len(without_masks) == 3
    assert of_predictions(tmp_path / "out", test) < min(without_masks)


def shell(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("image", "none.nii.gz must be a NIfTI file of SUV, and there is none."),
        ("imgae", "--imgae must be a name of the configuration, and is none"),
    ],
)
def test_command_of_the_runner_says_the_sentence_and_no_traceback(
    tmp_path: Path, bundle: Path, option: str, sentence: str
) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    command += [str(bundle / "configs" / "inference.yaml"), "--bundle_root", str(bundle)]
    path = tmp_path / "none.nii.gz"
    command += [f"--{option}", str(path), "--output_dir", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(sentence)
    assert option == "imgae" or str(path) in last
    assert list(tmp_path.iterdir()) == []


def test_a_host_s_own_script_keeps_its_traceback_with_the_sentence_last(bundle: Path) -> None:
    code = "import scripts.errors as e\ntry:\n  raise e.BadInput('Mend this.')\n"
    code += "except ValueError as error:\n  raise RuntimeError('wrapped') from error"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=bundle)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.strip().splitlines()[-1] == "Mend this."


@pytest.mark.slow
def test_two_processes_train_one_network(cohort: Path, bundle: Path, tmp_path: Path) -> None:
    shell(
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
        *("-m", "monai.bundle", "run", "training", "--config_file"),
        "['configs/train.yaml','configs/multi_gpu_train.yaml']",
        *("--bundle_root", ".", "--dataset_dir", cohort, "--ckpt_dir", tmp_path / "training"),
        *("--backend", "gloo", "--max_epochs", "2", "--val_interval", "1"),
        *("--adversarial_start_epoch", "0"),
        cwd=bundle,
        env={"OMP_NUM_THREADS": "1"},
    )
    assert {"model.pt", "checkpoint.pt"} <= {p.name for p in (tmp_path / "training").iterdir()}


@pytest.mark.slow
def test_bundle_works_copied_out_with_what_its_metadata_names(
    cohort: Path, bundle: Path, tmp_path: Path
) -> None:
    """A fresh environment with the named versions, and none of our packages."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    named = metadata["required_packages_version"]
    versions = {**named, "monai": metadata["monai_version"], "numpy": metadata["numpy_version"]}
    versions["torch"] = metadata["pytorch_version"]
    copied, python = tmp_path / "copied", tmp_path / "env" / "bin" / "python"
    ignored = shutil.ignore_patterns("__pycache__", "checkpoints")
    shutil.copytree(bundle, copied, ignore=ignored)
    shell(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    # torch first: what else asks for torch must find the one that is named.
    shell(python, "-m", "pip", "install", "-q", f"torch=={versions.pop('torch')}", cwd=tmp_path)
    pins = [f"{name}=={version}" for name, version in versions.items()]
    shell(python, "-m", "pip", "install", "-q", *pins, cwd=tmp_path)
    run = (python, "-m", "monai.bundle", "run")
    shell(
        *(*run, "training", "--config_file", "configs/train.yaml", "--bundle_root", "."),
        *("--dataset_dir", cohort, "--max_epochs", "1", "--val_interval", "1"),
        cwd=copied,
    )
    assert (copied / "checkpoints" / "model.pt").is_file()
    shell(
        *(*run, "--config_file", "configs/inference.yaml", "--bundle_root", "."),
        *("--dataset_dir", cohort, "--output_dir", tmp_path / "out"),
        cwd=copied,
    )
    assert (tmp_path / "out" / "prediction.json").is_file()
    shell(
        *(*run, "--config_file", "['configs/train.yaml','configs/evaluate.yaml']"),
        *("--bundle_root", ".", "--dataset_dir", cohort),
        cwd=copied,
    )
    assert (copied / "evaluation" / "metrics.csv").is_file()
