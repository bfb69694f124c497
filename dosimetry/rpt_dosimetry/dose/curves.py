"""The time–activity curve of each region, and the time-integrated activity of each voxel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput

from rpt_dosimetry.dose.activity_series import BQ_PER_MBQ, ActivitySeries
from rpt_dosimetry.dose.regions import WHOLE_IMAGE, Region
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.tia.region_fit import (
    POPULATION_UPTAKE_HALF_LIFE_H,
    RegionFit,
    fit_region,
    rises_at_the_end,
)
from rpt_dosimetry.tia.voxel_fit import fit_voxels, scale_shape

OWN, ORGAN = "own", "organ"
VOXEL_CURVES = (OWN, ORGAN)
SCALED = "its region's curve, scaled"
UNKNOWN_CALIBRATION_SD = 0.05
"""Ours, for the check against the net activity alone: no total of the table takes it."""


@dataclass(frozen=True)
class TiaMap:
    """Time-integrated activity of every voxel.

    Attributes:
        mbq_h_per_ml: MBq h/mL, shape (x, y, z).
        methods: How it was found → number of voxels.
    """

    mbq_h_per_ml: Float64[np.ndarray, "x y z"]
    methods: Mapping[str, int]


def region_activity_mbq(series: ActivitySeries, region: Region) -> Float64[np.ndarray, " t"]:
    """Return a region's activity at each time, MBq."""
    if region.name == WHOLE_IMAGE:
        return series.total_mbq()
    per_image = [image.ravel()[region.voxels].sum(dtype=np.float64) for image in series.bq_per_ml]
    return np.array(per_image) * series.voxel_ml / BQ_PER_MBQ


def fit_curves(
    series: ActivitySeries,
    regions: Sequence[Region],
    therapy: Therapy,
    *,
    model: str,
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H,
) -> dict[str, RegionFit]:
    """Fit each region's activity.

    Args:
        series: The activities.
        regions: The regions.
        therapy: Times, infusion and nuclide.
        model: ``auto`` or a model of ``tia.region_fit``.
        uptake_half_life_h: Of ``bi_population``, h.

    Returns:
        Region's name → fit, of MBq.

    Raises:
        BadInput: There are fewer points than the model needs.
    """
    return {
        region.name: fit_region(
            therapy.time_h,
            region_activity_mbq(series, region).tolist(),
            half_life_h=therapy.nuclide.half_life_h,
            infusion_h=therapy.infusion_h,
            uptake_half_life_h=uptake_half_life_h,
            name=region.name,
            model=model,
        )
        for region in regions
    }


def refuse_rising_image(total_mbq: Float64[np.ndarray, " t"]) -> None:
    """Refuse images whose whole activity rises at the end, as none in a patient can.

    Raises:
        BadInput: It does.
    """
    if rises_at_the_end(total_mbq):
        before, last = total_mbq[-2:].tolist()
        raise BadInput(
            "The activity of the whole image must fall at the end, and it rises from "
            f"{before:.6g} to {last:.6g} MBq. Check the order of the times, the calibration, and "
            "that the images are not corrected for decay."
        )


def refuse_too_many_decays(
    tia: TiaMap, therapy: Therapy, *, voxel_ml: float, calibration_relative_sd: float | None
) -> None:
    """Refuse more decays than the net activity has.

    Args:
        tia: Of the whole image.
        therapy: What was given.
        voxel_ml: Volume of a voxel, mL.
        calibration_relative_sd: Standard uncertainty of the calibration, relative; two of them
            are let pass (ours), or a sealed phantom would be refused for every second scanner.
            ``None``, not known, is taken as ``UNKNOWN_CALIBRATION_SD`` here.

    Raises:
        BadInput: The image's time-integrated activity is above it.
    """
    total = float(tia.mbq_h_per_ml.sum() * voxel_ml)
    sd = UNKNOWN_CALIBRATION_SD if calibration_relative_sd is None else calibration_relative_sd
    if not total <= therapy.most_tia_mbq_h * (1.0 + 2.0 * sd):
        raise BadInput(
            "The time-integrated activity of the image must be at most the net activity x its "
            f"mean life, {therapy.most_tia_mbq_h:.6g} MBq h, got {total:.6g} MBq h: nothing can "
            "decay more often. Check --time-h, in h, the calibration and the model."
        )


def own_tia(series: ActivitySeries, therapy: Therapy) -> TiaMap:
    """Fit each voxel's own points."""
    fit = fit_voxels(
        series.bq_per_ml.reshape(len(series.bq_per_ml), -1),
        time_h=therapy.time_h,
        half_life_h=therapy.nuclide.half_life_h,
        infusion_h=therapy.infusion_h,
    )
    return TiaMap(fit.tia.reshape(series.shape) / BQ_PER_MBQ, fit.counts)


def organ_tia(
    series: ActivitySeries,
    therapy: Therapy,
    *,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
) -> TiaMap:
    """Scale the curve of its lesion, else of its organ, else of the rest, to each voxel.

    Args:
        series: The activities.
        therapy: Times, infusion and nuclide.
        regions: The regions; organs, lesions and the rest together are the image.
        fits: Region's name → fit.

    Raises:
        BadInput: There are no masks.
    """
    activity = series.bq_per_ml.reshape(len(series.bq_per_ml), -1)
    tia = np.zeros(activity.shape[1])
    kinds = {"rest": 0, "organ": 0, "lesion": 1}
    scaled = [region for region in regions if region.kind in kinds]
    if not scaled:
        raise BadInput("--voxel-curve organ must have --organs or --lesions. Give a mask.")
    # Lesions last: they overwrite the organ that they lie in.
    for region in sorted(scaled, key=lambda region: kinds[region.kind]):
        tia[region.voxels] = scale_shape(
            activity[:, region.voxels].astype(np.float64),
            time_h=therapy.time_h,
            fit=fits[region.name],
        )
    methods = {SCALED: int(tia.size)}
    return TiaMap(tia.reshape(series.shape) / BQ_PER_MBQ, methods)
