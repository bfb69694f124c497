"""How long a full comparison takes: 48 cycles × 6 methods, and one case's metrics.

Beside it stands what a user would otherwise run: scikit-image's SSIM and NumPy errors in a
loop over cases, methods and organs, reading with nibabel, in one process.

``make bench`` runs it and writes ``benchmarks/eval.md``.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from rpt_cohort import json_bytes, nifti_bytes, read_cohort
from rpt_cohort.labels import ORGANS
from rpt_eval.comparison import Question, score_case
from rpt_eval.predictions import read_methods
from rpt_phantom.cohort import write_cohort
from rpt_phantom.settings import CohortSettings
from skimage.metrics import structural_similarity

CYCLES, METHODS = 48, 6
OUT = Path(__file__).with_suffix(".md")


def main() -> None:
    """Make the cohort and the predictions, time all, write the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _cohort(root / "cohort")
        named = [f"m{n}={_predict(root, n)}" for n in range(METHODS)]
        case_s = _one_case(root / "cohort", named)
        loop_s = _plain_loop(root)
        whole_s, peak_gib = _whole(root, named)
    text = "\n".join(
        [
            f"{CYCLES} virtual cycles of 128 × 128 × 64 voxels, {METHODS} methods, "
            f"{os.cpu_count()} CPU cores; one run.",
            "",
            "| what | time | peak memory, at most |",
            "|---|---|---|",
            f"| `rpt_eval compare`: metrics, DVHs, statistics, pictures | {whole_s:.0f} s | "
            f"{peak_gib:.2f} GiB |",
            f"| one case's metrics, all {METHODS} methods, one core | {case_s:.1f} s | |",
            f"| plain loop: SSIM, RMSE and mean of three organs, one core | {loop_s:.0f} s | |",
            "",
            f"The plain loop takes {loop_s / whole_s:.1f} times as long as the comparison, for "
            "three numbers of each region instead of all.",
            "",
        ]
    )
    sys.stdout.write(text)
    OUT.write_text(text, encoding="utf-8")


def _cohort(path: Path) -> None:
    """Write at least ``CYCLES`` cycles and list that many."""
    write_cohort(path, CohortSettings(seed=48, slices=64), patients=32)
    content = read_cohort(path)
    cases = content.cases[:CYCLES]
    assert len(cases) == CYCLES
    listed = {
        "training": [c.model_dump(mode="json") for c in cases if c.fold is not None],
        "testing": [c.model_dump(mode="json", exclude_none=True) for c in cases if c.fold is None],
    }
    (path / "datalist.json").write_bytes(json_bytes(listed))


def _predict(root: Path, number: int) -> Path:
    """Write a prediction folder: the measured dose, blurred in its own way by a roll."""
    folder, cohort = root / f"m{number}", read_cohort(root / "cohort")
    for case in cohort.cases:
        image = nib.Nifti1Image.from_filename(cohort.root / case.label)
        dose = np.asanyarray(image.dataobj)
        mixed = (0.7 + 0.05 * number) * dose + 0.2 * np.roll(dose, 1, axis=number % 3)
        (folder / case.name).mkdir(parents=True)
        content = nifti_bytes(mixed, image.affine, dtype=np.float32)
        (folder / case.name / "dose.nii.gz").write_bytes(content)
    info = {"schema_version": 1, "method": f"m{number}", "weights_sha256": {}, "provenance": {}}
    info["fold"] = {case.name: case.fold for case in cohort.cases}
    (folder / "prediction.json").write_bytes(json_bytes(info))
    return folder


def _one_case(cohort: Path, named: list[str]) -> float:
    content = read_cohort(cohort)
    question = Question(content, read_methods(named), "measured", None)
    start = time.perf_counter()
    score_case(question, content.cases[0])
    return time.perf_counter() - start


def _whole(root: Path, named: list[str]) -> tuple[float, float]:
    preds = [word for name in named for word in ("--pred", name)]
    command = [sys.executable, "-m", "rpt_eval", "compare", "--cohort", str(root / "cohort")]
    start = time.perf_counter()
    subprocess.run([*command, *preds, "--out", str(root / "out")], check=True, capture_output=True)
    elapsed = time.perf_counter() - start
    # Of the largest process; none of the parent and its workers is larger.
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    processes = 1 + (os.cpu_count() or 1)
    return elapsed, processes * peak_kib / 2**20


def _plain_loop(root: Path) -> float:
    """Time what a script of one afternoon does."""
    cohort = read_cohort(root / "cohort")
    start = time.perf_counter()
    for case in cohort.cases:
        folder = cohort.folder(case)
        truth, organs = (_read(folder / name) for name in ("dose.nii.gz", "organs.nii.gz"))
        for number in range(METHODS):
            dose = _read(root / f"m{number}" / case.name / "dose.nii.gz")
            structural_similarity(
                truth,
                dose,
                data_range=float(truth.max()),
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for organ in ("kidney", "liver", "spleen"):
                here = np.isin(organs, ORGANS[organ])
                np.sqrt(np.mean((dose[here] - truth[here]) ** 2))
                dose[here].mean()
    return time.perf_counter() - start


def _read(path: Path) -> np.ndarray:
    data: np.ndarray = np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)
    return data


if __name__ == "__main__":
    main()
