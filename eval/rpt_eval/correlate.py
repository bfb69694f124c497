"""Correlate PET and reference dose voxel by voxel in each organ; tables, textures, pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from matplotlib.figure import Figure
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
from rpt_cohort.correlation import pearson_r, why_undefined
from rpt_cohort.figures import png_bytes
from rpt_cohort.labels import ORGANS

from rpt_eval.figures import DOTS_PER_INCH, region_scatter
from rpt_eval.predictions import CycleMaps, read_maps
from rpt_eval.radiomics import FAMILY, MERGED, require_mirp, texture_features
from rpt_eval.regions import ORGANS_MEAN, RATED_ORGANS, SMALLEST_VOXELS, eroded, organ, too_small
from rpt_eval.statistics import (
    FEWEST_PATIENTS,
    NAN,
    P_OF_THE_PAPER,
    fisher_mean,
    holm,
    patient_means,
    pearson_p,
)

WHOLE, ERODED = "whole", "eroded"
BELOW = f"p_holm_below_{P_OF_THE_PAPER}"
TESTED = "features_tested"


def voxelwise_summary(voxelwise: pd.DataFrame) -> pd.DataFrame:
    """Describe r over cycles and over patients, and test its mean over patients.

    Args:
        voxelwise: Columns patient, organ, mask, r; NaN where there is none.

    Returns:
        A row for each mask and organ of ``rpt_cohort.labels.ORGANS``: mean and sample SD of r
        over cycles and over patients (each the mean of its cycles); mean r, 95 % interval and
        p by Fisher's z over patients; p by Holm over the organs of a mask; the reason where a
        number is missing.
    """
    known = voxelwise.dropna(subset=["r"])
    rows = [
        {"mask": mask, "organ": organ}
        | _voxelwise_row(known[(known["mask"] == mask) & (known["organ"] == organ)])
        for mask in (WHOLE, ERODED)
        for organ in ORGANS
    ]
    return _with_holm(pd.DataFrame(rows), family=["mask"])


def texture_correlation(textures: pd.DataFrame) -> pd.DataFrame:
    """Correlate each feature of the PET with the same feature of the dose, over the cohort.

    Args:
        textures: Columns patient, organ, feature, pet, dose; NaN where there is none.

    Returns:
        A row for each organ of ``rpt_cohort.labels.ORGANS`` and feature: r over cycles, and
        over patients (each the mean of its cycles) with the two-sided p of its t test; p by
        Holm over the features of an organ and family; the reason where a number is missing.
    """
    known = textures.dropna(subset=["pet", "dose"])
    rows = [
        {"organ": organ, "family": family, "feature": feature}
        | _texture_row(known[(known["organ"] == organ) & (known["feature"] == feature)])
        for organ in ORGANS
        for feature, family in FAMILY.items()
    ]
    return _with_holm(pd.DataFrame(rows), family=["organ", "family"])


def texture_summary(correlation: pd.DataFrame) -> pd.DataFrame:
    """Average r over the features of each organ and family, then over organs.

    Args:
        correlation: What ``texture_correlation`` returns.

    Returns:
        A row for each organ and family, with mean and sample SD over features; and a row
        ``organs_mean`` for each family, with mean and sample SD over what the kidney, liver
        and spleen have as their means. ``n`` counts what was averaged.
    """
    of_organs = pd.DataFrame(
        {"organ": organ, "family": family}
        | _average(group["r_cycles"], group["r_patients"])
        | {TESTED: group["p"].count(), f"{TESTED}_{BELOW}": group[BELOW].eq(True).sum()}
        for (organ, family), group in correlation.groupby(["organ", "family"], sort=False)
    )
    rated = of_organs[of_organs["organ"].isin(RATED_ORGANS)]
    over_organs = pd.DataFrame(
        {"organ": ORGANS_MEAN, "family": family}
        | _average(group["mean_r_cycles"], group["mean_r_patients"])
        | {name: group[name].sum() for name in (TESTED, f"{TESTED}_{BELOW}")}
        for family, group in rated.groupby("family", sort=False)
    )
    return pd.concat([of_organs, over_organs], ignore_index=True)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows for JSON, which has no NaN."""
    rows: list[dict[str, Any]] = table.astype(object).where(table.notna(), None).to_dict("records")
    return rows


def definitions(*, spect_fwhm_mm: float, bins: int) -> dict[str, str]:
    """Say in words what the tables hold.

    Args:
        spect_fwhm_mm: By how much the eroded masks are eroded, mm.
        bins: Grey levels of the features.
    """
    return {
        "organs": "inside the field of view; kidney is both, salivary_glands all of them",
        "smallest": f"a mask of fewer than {SMALLEST_VOXELS} voxels has no value but a reason",
        "eroded": f"voxels at least {spect_fwhm_mm:g} mm, centre to centre, from the nearest "
        "one outside the organ; beyond the volume is outside, beyond the field of view is not",
        "r": "Pearson's, between SUV (g/mL) and reference dose (Gy/GBq) over the mask's voxels",
        "patient": "a patient's r is the mean over the cycles; a patient's feature likewise",
        "sd": "of the sample (n - 1)",
        "fisher_mean": "tanh of the mean over patients of artanh r, each patient's the mean over "
        "the cycles; 95 % interval and two-sided p by Student's one-sample t test over patients, "
        "since the voxels of an organ are autocorrelated and no independent observations",
        "p_holm": "p by Holm, over the organs of one mask, or over the features of one organ and "
        f"family; {P_OF_THE_PAPER} is the paper's threshold",
        "textures": f"GLCM and GLRLM of IBSI 1 by mirp, names by IBSI's tags, {MERGED} (3D, "
        f"directions merged), fixed bin number {bins} from the mask's lowest to its highest "
        "value, no resampling, neighbours one voxel apart, whole masks",
        "texture_correlation": "Pearson's r between a feature of the PET and that of the dose, "
        "over cycles and over patients; p by t over patients, which alone counts",
        "texture_mean": "plain mean of r over features, then over kidney, liver and spleen; the "
        "features are many and correlated among themselves, so their mean has no p",
    }


def _voxelwise_row(cycles: pd.DataFrame) -> dict[str, Any]:
    patients = pd.Series(patient_means(cycles["r"].to_numpy(), cycles["patient"].tolist()))
    fisher = fisher_mean(cycles["r"], cycles["patient"])
    return {
        "n_cycles": len(cycles),
        "mean_over_cycles": cycles["r"].mean(),
        "sd_over_cycles": cycles["r"].std(),
        "n_patients": len(patients),
        "mean_over_patients": patients.mean(),
        "sd_over_patients": patients.std(),
        "fisher_mean": fisher.r,
        "interval_95_low": fisher.low,
        "interval_95_high": fisher.high,
        "p": fisher.p,
        "reason": fisher.reason,
    }


def _texture_row(cycles: pd.DataFrame) -> dict[str, Any]:
    patients = cycles.groupby("patient")[["pet", "dose"]].mean()
    over_cycles, over_patients = (
        pearson_r(pairs["pet"].to_numpy(float), pairs["dose"].to_numpy(float))
        for pairs in (cycles, patients)
    )
    reason = why_undefined(patients["pet"].to_numpy(float), patients["dose"].to_numpy(float))
    if len(patients) < FEWEST_PATIENTS:
        reason = f"fewer than {FEWEST_PATIENTS} patients: {len(patients)}"
    return {
        "r_cycles": over_cycles,
        "n_cycles": len(cycles),
        "r_patients": over_patients,
        "n_patients": len(patients),
        "p": pearson_p(over_patients, n=len(patients)),
        "reason": reason,
    }


def _with_holm(table: pd.DataFrame, *, family: Sequence[str]) -> pd.DataFrame:
    """Add p by Holm and whether it is below the paper's threshold; None where not tested."""
    adjusted = table.groupby(list(family))["p"].transform(lambda p: holm(p.to_numpy(float)))
    below = (adjusted < P_OF_THE_PAPER).astype(object).where(adjusted.notna(), None)
    reason = table.pop("reason")
    return table.assign(p_holm=adjusted, **{BELOW: below}, reason=reason)


def _average(cycles: pd.Series, patients: pd.Series) -> dict[str, Any]:
    return {
        "n_r_cycles": cycles.count(),
        "mean_r_cycles": cycles.mean(),
        "sd_r_cycles": cycles.std(),
        "n_r_patients": patients.count(),
        "mean_r_patients": patients.mean(),
        "sd_r_patients": patients.std(),
    }


READ = ("pet.nii.gz", "dose.nii.gz", "organs.nii.gz", "fov.nii.gz")
LIBRARIES = ("matplotlib", "mirp", "numpy", "pandas", "scipy", "statsmodels")
Rows = list[dict[str, Any]]
Mask = Bool[np.ndarray, "x y z"]


@dataclass(frozen=True)
class CycleRows:
    """What one cycle adds to the tables.

    Attributes:
        voxelwise: A row for each organ and mask.
        textures: A row for each organ and feature.
        inputs: File, relative to the cohort → SHA-256.
    """

    voxelwise: Rows
    textures: Rows
    inputs: dict[str, str]


def write_correlations(
    cohort: Path, out: Path, *, spect_fwhm_mm: float, bins: int, workers: int | None
) -> None:
    """Correlate PET and reference dose of every cycle and over the cohort.

    Args:
        cohort: Cohort folder; training and testing cycles both count.
        out: Folder to write, new or empty.
        spect_fwhm_mm: Resolution of the SPECT, by which organs are eroded, FWHM, mm.
        bins: Grey levels of the radiomic features.
        workers: Processes; by default one for each core.

    Raises:
        BadInput: An option is out of range, mirp is not installed, the cohort or a map is
            broken or holds what it cannot, or there is no case.
    """
    if not (np.isfinite(spect_fwhm_mm) and spect_fwhm_mm > 0):
        raise BadInput(
            f"--spect-fwhm-mm must be a finite number above 0 mm, got {spect_fwhm_mm:g} mm. "
            "A SPECT of 177Lu has some 12 mm."
        )
    if bins < 2:
        raise BadInput(f"--bins must be 2 or above, got {bins}. 32 is usual.")
    require_mirp()
    with new_folder(out) as folder:
        content = read_cohort(cohort)
        if not content.cases:
            raise BadInput("datalist.json must list at least one case, and lists none.")
        measure = partial(measure_cycle, content, spect_fwhm_mm=spect_fwhm_mm, bins=bins)
        cycles = in_parallel(measure, content.cases, description="Cycles", workers=workers)
        parameters = {"spect_fwhm_mm": spect_fwhm_mm, "bins": bins}
        _write_tables(folder, content, cycles, parameters)
    for sentence in _not_rated(cycles):
        warn(sentence)


def _not_rated(cycles: Sequence[CycleRows]) -> Iterator[str]:
    """Say for each of the paper's organs in how many cycles it has no correlation, and why."""
    reasons: dict[str, dict[str, None]] = {}
    cases: dict[str, int] = {}
    for row in (row for cycle in cycles for row in cycle.voxelwise):
        if row["mask"] == WHOLE and row["organ"] in RATED_ORGANS and row["reason"]:
            reasons.setdefault(row["organ"], {})[row["reason"]] = None
            cases[row["organ"]] = cases.get(row["organ"], 0) + 1
    for name, count in cases.items():
        yield (
            f"{name} has no correlation in {count} of {len(cycles)} cycles "
            f"({'; '.join(reasons[name])}; all in voxelwise.csv)."
        )


def measure_cycle(cohort: Cohort, case: Case, *, spect_fwhm_mm: float, bins: int) -> CycleRows:
    """Correlate one cycle's voxels and compute its texture features, organ by organ.

    Args:
        cohort: The cohort.
        case: One of its cases.
        spect_fwhm_mm: By how much the eroded masks are eroded, mm.
        bins: Grey levels of the features.

    Raises:
        BadInput: A map is missing, broken, on another grid or holds what it cannot.
    """
    maps = read_maps(cohort, case)
    key = {"case": case.name, "patient": case.patient}
    voxelwise: Rows = []
    textures: Rows = []
    for name in ORGANS:
        for mask, region, reason in _masks(maps, name, spect_fwhm_mm=spect_fwhm_mm):
            reason = reason or why_undefined(maps.suv[region], maps.dose[region])
            r = NAN if reason else pearson_r(maps.suv[region], maps.dose[region])
            here = key | {"organ": name, "mask": mask, "n_voxels": int(region.sum())}
            voxelwise.append(here | {"r": r, "reason": reason})
            if mask == WHOLE:
                textures += [
                    key | {"organ": name} | row for row in _textures(maps, region, reason, bins)
                ]
    folder = cohort.folder(case)
    inputs = {f"{case.name}/{name}": file_sha256(folder / name) for name in READ}
    return CycleRows(voxelwise, textures, inputs)


def _masks(
    maps: CycleMaps, name: str, *, spect_fwhm_mm: float
) -> Iterator[tuple[str, Mask, str | None]]:
    """Yield an organ's masks, whole and eroded, and why one is not rated."""
    here = organ(maps, name)
    whole = maps.known & here
    missing = too_small(whole)
    yield WHOLE, whole, missing
    # Eroded before it is cut: the edge of the field of view is not the organ's.
    deep = maps.known & eroded(here, spacing_mm=maps.spacing_mm, depth_mm=spect_fwhm_mm)
    if missing is None and not deep.any():
        missing = f"nothing left {spect_fwhm_mm:g} mm from the surface"
    yield ERODED, deep, missing or too_small(deep)


def _textures(
    maps: CycleMaps, region: Mask, reason: str | None, bins: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for each feature; empty values with their reason where there are none."""
    nothing: dict[str, float] = dict.fromkeys(FAMILY, NAN)
    pet = nothing if reason else texture_features(maps.suv, region, bins=bins)
    dose = nothing if reason else texture_features(maps.dose, region, bins=bins)
    for feature, family in FAMILY.items():
        pair = {"pet": pet[feature], "dose": dose[feature]}
        missing = reason or (None if np.isfinite(list(pair.values())).all() else "not defined")
        yield {"family": family, "feature": feature} | pair | {"reason": missing}


def _write_tables(
    folder: Path, cohort: Cohort, cycles: list[CycleRows], parameters: dict[str, Any]
) -> None:
    voxelwise = pd.DataFrame([row for cycle in cycles for row in cycle.voxelwise])
    textures = pd.DataFrame([row for cycle in cycles for row in cycle.textures])
    correlation = texture_correlation(textures)
    tables = {
        "voxelwise": voxelwise,
        "voxelwise_summary": voxelwise_summary(voxelwise),
        "textures": textures,
        "texture_correlation": correlation,
        "texture_summary": texture_summary(correlation),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    shown = _middle_case(cohort, voxelwise)
    (folder / "scatter.png").write_bytes(_png(cohort, shown, voxelwise))
    inputs = {name: file_sha256(cohort.root / name) for name in ("cohort.json", "datalist.json")}
    for cycle in cycles:
        inputs |= cycle.inputs
    summary = {
        "origin": cohort.info.origin,
        "n_cycles": len(cohort.cases),
        "n_patients": len({case.patient for case in cohort.cases}),
        "parameters": parameters
        | {"aggregation": MERGED, "smallest_region_voxels": SMALLEST_VOXELS},
        "definitions": definitions(**parameters),
        "voxelwise": records(tables["voxelwise_summary"]),
        "textures": records(tables["texture_summary"]),
        "scatter_case": shown.name,
        "provenance": provenance(
            package="rpt-eval",
            command="correlate",
            parameters=parameters,
            inputs=inputs,
            libraries=LIBRARIES,
        ),
    }
    (folder / "summary.json").write_bytes(json_bytes(summary))


def _middle_case(cohort: Cohort, voxelwise: pd.DataFrame) -> Case:
    """Return the case whose r is the median, of those with the most organs rated (ours).

    A case's r is the mean over its organs, whole masks; of two in the middle the lower one.
    """
    r = voxelwise[voxelwise["mask"] == WHOLE].groupby("case", sort=False)["r"]
    complete = r.mean()[r.count() == r.count().max()].sort_values(kind="stable")
    middle = complete.index[(len(complete) - 1) // 2]
    return next(case for case in cohort.cases if case.name == middle)


def _png(cohort: Cohort, case: Case, voxelwise: pd.DataFrame) -> bytes:
    """Draw the heat scatter of each organ of one case; the paper's, or why one has none."""
    maps = read_maps(cohort, case)
    rows = voxelwise[(voxelwise["case"] == case.name) & (voxelwise["mask"] == WHOLE)]
    rows = rows[rows["organ"].isin(RATED_ORGANS) | rows["r"].notna()]
    figure = Figure(figsize=(5.0 * len(rows), 4.6), layout="constrained")
    for ax, row in zip(figure.subplots(1, len(rows)), rows.to_dict("records"), strict=True):
        name = row["organ"].replace("_", " ")
        if np.isfinite(row["r"]):
            region = maps.known & organ(maps, row["organ"])
            region_scatter(ax, maps.suv[region], maps.dose[region], title=name)
        else:
            ax.text(0.5, 0.5, f"{name}:\n{row['reason']}", ha="center", va="center")
            ax.set_axis_off()
    origin = cohort.info.origin
    figure.suptitle(f"{case.name}, {origin} patient: PET and reference dose; research only")
    return png_bytes(figure, dots_per_inch=DOTS_PER_INCH)
