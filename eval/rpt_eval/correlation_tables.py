"""Tables of the correlation study: over cycles, over patients, over features."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rpt_cohort.correlation import pearson_r, why_undefined
from rpt_cohort.labels import ORGANS

from rpt_eval.correlation import FEWEST_PATIENTS, fisher_mean, pearson_p
from rpt_eval.radiomics import FAMILY, MERGED
from rpt_eval.regions import ORGANS_MEAN, RATED_ORGANS, SMALLEST_VOXELS
from rpt_eval.statistics import P_OF_THE_PAPER, holm, patient_means

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
