"""Compare prediction folders on a cohort: ``metrics.csv``, ``summary.json``, ``tests.csv``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float32
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rpt_cohort import (
    BadInput,
    Case,
    Cohort,
    file_sha256,
    json_bytes,
    new_folder,
    provenance,
    read_cohort,
)
from rpt_cohort.command import in_parallel, warn
from rpt_cohort.figures import png_bytes

from rpt_eval.figures import DOTS_PER_INCH, choose_case, draw_all, exemplary_case
from rpt_eval.metrics import METRICS, GammaCriteria
from rpt_eval.predictions import (
    REFERENCE_FILE,
    Against,
    CycleMaps,
    Method,
    read_dose,
    read_maps,
    read_methods,
    scale_note,
    shared_cases,
    trained_on,
    unseen_faults,
)
from rpt_eval.regions import RATED_ORGANS, SMALLEST_VOXELS
from rpt_eval.scoring import Row, Unrated, score, unrated
from rpt_eval.statistics import (
    P_OF_THE_PAPER,
    by_cycle,
    compare_methods,
    organ_agreement,
    summarise,
)

COLUMNS = (
    ("whole_map", "nrmse_range", "whole map:\nNRMSE,\n% of range", 100.0),
    ("body", "nrmse_euclid", "body:\n|error|/|ref|,\n%", 100.0),
    ("body", "ssim", "body:\nSSIM,\n%", 100.0),
    ("kidney", "ape_organ_mean", "kidney:\nMAPE of\nmean, %", 1.0),
)


def overview(results: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of methods by headline metric, mean ± SD over patients.

    Args:
        results: Entries of ``summary.summarise``.
    """
    name = Column("method", overflow="fold", min_width=22)
    table = Table(name, caption="mean ± SD over patients", box=SIMPLE_HEAD, padding=(0, 1))
    for _, _, title, _ in COLUMNS:
        table.add_column(title, no_wrap=True, justify="right")
    found = {(e["method"], e["region"], e["metric"]): e for e in results}
    for method in dict.fromkeys(entry["method"] for entry in results):
        cells = [
            _cell(found.get((method, region, metric)), factor)
            for region, metric, _, factor in COLUMNS
        ]
        table.add_row(method, *cells)
    return table


def _cell(entry: Mapping[str, Any] | None, factor: float) -> str:
    if entry is None:
        return "not rated"
    mean, sd = entry["mean_over_patients"], entry["sd_over_patients"]
    spread = f" ± {factor * sd:.1f}" if sd is not None else ""
    return f"{factor * mean:.1f}{spread}"


Split = Literal["all", "training", "testing"]
LIBRARIES = ("numpy", "scipy", "scikit-image", "pandas", "statsmodels", "nibabel")
CARRIES = {
    "virtual": (
        "Virtual patients: these numbers compare methods under the virtual cohort's own "
        "assumptions. They are a proof of concept, not validated on patients, and their absolute "
        "values carry over to no clinic. The measured reference carries the blur and noise of "
        "SPECT: against it a blurred PET gains, against the true dose it may lose."
    ),
    "clinical": (
        "The reference is itself a measurement (a kidney dose is uncertain by about 13 %): "
        "differences below that are not differences from the true dose."
    ),
}
HOW = (
    "cycle -> patient -> cohort: a patient's value is the mean of its cycles, a cycle's lesion "
    "value the mean over its lesions (errors of either sign are compared by their size, taken "
    "before any mean); tests are two-sided Wilcoxon signed-rank over patients "
    "between the first method and each other one, Holm-adjusted over all regions and pairs of one "
    "metric; intervals are 95 % percentile bootstraps over patients, 10,000 resamples; "
    f"organs_mean is the mean over {', '.join(RATED_ORGANS)} where all are rated."
)


@dataclass(frozen=True)
class Scored:
    """One cycle's numbers, what to tell of it, and the hashes of what was read."""

    rows: list[Row]
    unrated: list[Unrated]
    notes: list[str]
    inputs: dict[str, str]


@dataclass(frozen=True)
class Question:
    """What is compared, and how."""

    cohort: Cohort
    methods: list[Method]
    against: Against
    gamma: GammaCriteria | None


def write_comparison(
    cohort: Path,
    preds: Sequence[str],
    out: Path,
    *,
    against: Against,
    split: Split,
    partial_cases: bool,
    gamma: GammaCriteria | None,
    case: str | None,
    seed: int,
    workers: int | None,
) -> list[dict[str, Any]]:
    """Compare prediction folders and write the tables and pictures, whole or not at all.

    Args:
        cohort: Cohort folder.
        preds: ``NAME=DIR``, the first one to be judged against the others.
        out: New or empty folder.
        against: The measured dose, or on virtual cohorts the true one.
        split: Which cases of the cohort.
        partial_cases: Leave out cases that a method lacks, instead of refusing.
        gamma: Also the gamma index over the body, with these criteria.
        case: Case of the pictures; by default the median one of the first method.
        seed: Of the bootstrap.
        workers: Processes; by default one for each core.

    Returns:
        The entries of ``summary.summarise``.

    Raises:
        BadInput: Folders do not fit each other, or a map is broken or in another unit.
    """
    if seed < 0:
        raise BadInput(f"--seed must be 0 or above, got {seed}.")
    question = Question(read_cohort(cohort), read_methods(preds), against, gamma)
    asked = _of_split(question.cohort, split)
    cases = shared_cases(asked, question.methods, partial=partial_cases)
    if case is not None:
        choose_case(cases, case)
    warnings = [fault for method in question.methods for fault in unseen_faults(cases, method)]
    with new_folder(out) as root:
        scored = in_parallel(
            partial(score_case, question), cases, description="Cycles", workers=workers
        )
        rows = pd.DataFrame([row for cycle in scored for row in cycle.rows])
        rows.to_csv(root / "metrics.csv", index=False)
        cycles = by_cycle(rows)
        names = [method.name for method in question.methods]
        compare_methods(cycles, names, seed=seed).to_csv(root / "tests.csv", index=False)
        drawn = choose_case(cases, case or exemplary_case(cycles, names[0]))
        write_pictures(root, question, drawn, cycles)
        warnings += [note for cycle in scored for note in cycle.notes]
        unrated_regions = [entry for cycle in scored for entry in cycle.unrated]
        results = summarise(cycles, seed=seed)
        summary = {
            **_what(question, cases, asked),
            "pictures_of": drawn.name,
            "warnings": warnings,
            "not_rated": [asdict(entry) for entry in unrated_regions],
            "definitions": {name: metric.told() for name, metric in METRICS.items()},
            "statistics": HOW,
            "results": results,
            "bland_altman_of_mean_dose": organ_agreement(cycles),
            "provenance": _provenance(
                question, scored, seed=seed, split=split, partial=partial_cases, case=case
            ),
        }
        (root / "summary.json").write_bytes(json_bytes(summary))
    for sentence in [*warnings, *_unrated_sentences(unrated_regions)]:
        warn(sentence)
    return results


def _of_split(cohort: Cohort, split: Split) -> Sequence[Case]:
    parts = {"all": cohort.cases, "training": cohort.training, "testing": cohort.testing}
    if not parts[split]:
        raise BadInput(f"--split {split} must name cases, and the cohort lists none there.")
    return parts[split]


def score_case(question: Question, case: Case) -> Scored:
    """Read one case's maps and every method's dose, and score them."""
    maps, doses = _read(question, case)
    folder = question.cohort.folder(case)
    read = [REFERENCE_FILE[question.against], "pet.nii.gz"]
    read += ["organs.nii.gz", "fov.nii.gz", "lesions.nii.gz"]
    files = {f"cohort/{case.name}/{name}": folder / name for name in read}
    for method in question.methods:
        name = f"{case.name}/dose.nii.gz"
        files[f"{method.name}/{name}"] = method.folder / name
    inputs = {name: file_sha256(path) for name, path in files.items() if path.is_file()}
    scales = {name: scale_note(dose, maps) for name, dose in doses.items()}
    notes = [f"{name}: {case.name}/dose.nii.gz {note}" for name, note in scales.items() if note]
    return Scored(score(maps, doses, gamma=question.gamma), unrated(maps), notes, inputs)


def write_pictures(root: Path, question: Question, case: Case, cycles: pd.DataFrame) -> None:
    """Draw the figures with one case into ``root``."""
    maps, doses = _read(question, case)
    origin = question.cohort.info.origin
    figures = draw_all(maps, doses, cycles, origin=origin, against=question.against)
    for file, figure in figures.items():
        (root / file).write_bytes(png_bytes(figure, dots_per_inch=DOTS_PER_INCH))


def _read(
    question: Question, case: Case
) -> tuple[CycleMaps, dict[str, Float32[np.ndarray, "x y z"]]]:
    maps = read_maps(question.cohort, case, against=question.against)
    return maps, {
        method.name: read_dose(method, maps, question.cohort) for method in question.methods
    }


def _what(question: Question, cases: Sequence[Case], asked: Sequence[Case]) -> dict[str, Any]:
    info, shared = question.cohort.info, {case.name for case in cases}
    return {
        "cohort": info.name,
        "origin": info.origin,
        "what_the_numbers_carry": CARRIES[info.origin],
        "against": question.against,
        "methods": [
            {
                "name": method.name,
                "method": method.info.method,
                "weights_sha256": method.info.weights_sha256,
                "trained_on": trained_on(cases, method),
            }
            for method in question.methods
        ],
        "n_cycles": len(cases),
        "n_patients": len({case.patient for case in cases}),
        "cases": sorted(shared),
        "left_out": [case.name for case in asked if case.name not in shared],
        "p_of_the_paper": P_OF_THE_PAPER,
        "smallest_region_voxels": SMALLEST_VOXELS,
    }


def _provenance(
    question: Question, scored: Sequence[Scored], *, seed: int, **options: Any
) -> dict[str, Any]:
    gamma, root = question.gamma, question.cohort.root
    inputs = {
        f"cohort/{name}": file_sha256(root / name) for name in ("cohort.json", "datalist.json")
    }
    for method in question.methods:
        inputs[f"{method.name}/prediction.json"] = file_sha256(method.folder / "prediction.json")
    return provenance(
        package="rpt-eval",
        command="compare",
        parameters={
            "against": question.against,
            "gamma": asdict(gamma) if gamma else None,
            **options,
        },
        inputs=inputs | {name: digest for cycle in scored for name, digest in cycle.inputs.items()},
        seed=seed,
        libraries=LIBRARIES,
    )


def _unrated_sentences(entries: Sequence[Unrated]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for entry in entries:
        kind = "absent" if entry.reason.startswith("absent") else "too small"
        by_reason.setdefault(kind, []).append(f"{entry.case} {entry.region}")
    return [
        f"Regions that are {kind} and have no metrics: {len(names)} ({', '.join(names[:4])}"
        f"{', …' if names[4:] else ''}; all in summary.json)."
        for kind, names in by_reason.items()
    ]
