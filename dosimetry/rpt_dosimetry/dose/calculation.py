"""From activities to dose and table, one cycle in memory: curves of regions, decays of voxels,
dose.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput
from scipy.ndimage import uniform_filter

from rpt_dosimetry.dose.activity_series import BQ_PER_MBQ, ROUNDING, ActivitySeries, Therapy
from rpt_dosimetry.dose.anatomy import BODY, REST, WHOLE_IMAGE, Region, body_g_per_ml, floored
from rpt_dosimetry.dose.engines import Engine
from rpt_dosimetry.dose.rows import Maps, Row, Told, make_row
from rpt_dosimetry.tia.region_fit import POPULATION_UPTAKE_HALF_LIFE_H, RegionFit, fit_region
from rpt_dosimetry.tia.single_time import haenscheid_tia_mbq_h, madsen_tia_mbq_h
from rpt_dosimetry.tia.voxel_fit import METHODS, RISES, fit_voxels, scale_shape

OWN, ORGAN = "own", "organ"
VOXEL_CURVES = (OWN, ORGAN)
SCALED = "its region's curve, scaled"
RISES_IN_NOISE = "rises inside the noise: its region's curve, scaled"

NOISE_MM = 15.0
"""Side of the box around a voxel, mm, within which the activity's SD counts as its noise. Ours: the
resolution of a 208 keV SPECT; structure counts as noise there, which makes an edge that two scans
show at different places noise, too."""

TRACE = 1e-3
"""Of an image's largest voxel, up to which one holds a trace and no background. Ours."""

MOST_SCALED = 2.0
"""SDs of a difference, up to which a voxel's rise lies inside its noise. Ours."""

UNKNOWN_CALIBRATION_SD = 0.05
"""Ours, for the check against the net activity alone: no total of the table takes it."""


@dataclass(frozen=True)
class TiaMap:
    """Time-integrated activity of every voxel.

    Attributes:
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


def background_bq_per_ml(
    series: ActivitySeries, regions: Sequence[Region]
) -> Float64[np.ndarray, " t"] | None:
    """Return what each image holds where no mask is, Bq/mL: the median of its voxels that hold
    more than a thousandth of the largest (reconstructions leave traces in air).

    An organ or lesion whose own concentration comes down to that cannot be told from it: it serves
    as the noise floor of late points, ours. ``None`` without masks.
    """
    rest = next((region.voxels for region in regions if region.name == REST), None)
    if rest is None:
        return None
    levels = np.zeros(len(series.bq_per_ml))
    for number, image in enumerate(series.bq_per_ml):
        values = image.ravel()[rest]
        held = values[values > TRACE * image.max()]
        levels[number] = np.median(held) if held.size else 0.0
    return levels


def fit_curves(
    series: ActivitySeries,
    regions: Sequence[Region],
    therapy: Therapy,
    *,
    model: str,
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H,
    noise_floor_bq_per_ml: Float64[np.ndarray, " t"] | None = None,
) -> dict[str, RegionFit]:
    """Fit each region's activity.

    Args:
        model: ``auto`` or a model of ``tia.region_fit``.
        noise_floor_bq_per_ml: What noise may make of the mean concentration of an organ or lesion
            in each image, 1 SD, Bq/mL; the whole image, the body and the rest have none.

    Returns:
        Region's name → fit, of MBq.

    Raises:
        BadInput: There are fewer points than the model needs.
    """

    def floor_mbq(region: Region) -> list[float] | None:
        if noise_floor_bq_per_ml is None or region.name in (WHOLE_IMAGE, BODY, REST):
            return None
        volume_ml = len(region.voxels) * series.voxel_ml
        return [float(level) * volume_ml / BQ_PER_MBQ for level in noise_floor_bq_per_ml]

    return {
        region.name: fit_region(
            therapy.time_h,
            region_activity_mbq(series, region).tolist(),
            half_life_h=therapy.nuclide.half_life_h,
            infusion_h=therapy.infusion_h,
            uptake_half_life_h=uptake_half_life_h,
            name=region.name,
            noise_floor_mbq=floor_mbq(region),
            model=model,
        )
        for region in regions
    }


def refuse_rising_image(total_mbq: Float64[np.ndarray, " t"]) -> None:
    """Refuse images whose whole activity rises at the end, as none in a patient can."""
    before, last = total_mbq[-2:].tolist() if len(total_mbq) > 1 else (np.inf, 0.0)
    if last > before:
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
        calibration_relative_sd: Standard uncertainty of the calibration, relative; two of them
            are let pass (ours), or a sealed phantom would be refused for every second scanner.
            ``None``, not known, is taken as ``UNKNOWN_CALIBRATION_SD`` here.
    """
    total = float(tia.mbq_h_per_ml.sum() * voxel_ml)
    sd = UNKNOWN_CALIBRATION_SD if calibration_relative_sd is None else calibration_relative_sd
    if not total <= therapy.most_tia_mbq_h * (1.0 + 2.0 * sd + ROUNDING):
        raise BadInput(
            "The time-integrated activity of the image must be at most the net activity x its "
            f"mean life, {therapy.most_tia_mbq_h:.6g} MBq h, got {total:.6g} MBq h: nothing can "
            "decay more often. Check --time-h, in h, the calibration and the model."
        )


def own_tia(
    series: ActivitySeries,
    therapy: Therapy,
    *,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
) -> TiaMap:
    """Fit each voxel's own points; one that rises inside its noise has its region's curve.

    Physical decay after a point that noise has raised would hold far more than the region does,
    and noise that lowers a point does not make up for it.

    Args:
        fits: Region's name → fit.
    """
    fit = fit_voxels(
        series.bq_per_ml.reshape(len(series.bq_per_ml), -1),
        time_h=therapy.time_h,
        half_life_h=therapy.nuclide.half_life_h,
        infusion_h=therapy.infusion_h,
    )
    tia, methods = fit.tia, dict(fit.counts)
    noisy = fit.method == RISES
    if noisy.any():
        noisy &= _rise_inside_noise(series)
        inside = int(noisy.sum())
        _scale(tia, series, therapy, regions=_parts(regions), fits=fits, where=noisy)
        methods[METHODS[RISES]] -= inside
        methods[RISES_IN_NOISE] = inside
    counts = {name: count for name, count in methods.items() if count}
    return TiaMap(tia.reshape(series.shape) / BQ_PER_MBQ, counts)


def organ_tia(
    series: ActivitySeries,
    therapy: Therapy,
    *,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
) -> TiaMap:
    """Scale the curve of its lesion, else of its organ, else of the rest, to each voxel.

    Args:
        regions: The regions; organs, lesions and the rest together are the image.

    Raises:
        BadInput: There are no masks.
    """
    if all(region.name == WHOLE_IMAGE for region in regions):
        raise BadInput("voxel_curve organ must have --organs or --lesions. Give a mask.")
    tia = np.zeros(int(np.prod(series.shape)))
    _scale(tia, series, therapy, regions=_parts(regions), fits=fits, where=None)
    return TiaMap(tia.reshape(series.shape) / BQ_PER_MBQ, {SCALED: int(tia.size)})


def _parts(regions: Sequence[Region]) -> list[Region]:
    """The regions that together are the image, those last that lie in others."""
    order = {"image": 0, "rest": 1, "organ": 2, "lesion": 3}
    return sorted(
        (region for region in regions if region.kind in order),
        key=lambda region: order[region.kind],
    )


def _scale(
    tia: Float64[np.ndarray, " v"],
    series: ActivitySeries,
    therapy: Therapy,
    *,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
    where: Bool[np.ndarray, " v"] | None,
) -> None:
    """Put its region's scaled curve into each voxel of ``tia``, or into those of ``where``."""
    activity = series.bq_per_ml.reshape(len(series.bq_per_ml), -1)
    for region in regions:
        if region.kind == "image" and len(regions) > 1:
            continue  # the rest, organs and lesions are all of it
        voxels = region.voxels if where is None else region.voxels[where[region.voxels]]
        tia[voxels] = scale_shape(
            activity[:, voxels].astype(np.float64), time_h=therapy.time_h, fit=fits[region.name]
        )


def _rise_inside_noise(series: ActivitySeries) -> Bool[np.ndarray, " v"]:
    """Tell where the last activity is above all before by no more than the noise around it."""
    last, before = series.bq_per_ml[-1], series.bq_per_ml[:-1].max(axis=0)
    box = [max(3, round(NOISE_MM / size_mm) | 1) for size_mm in series.spacing_mm]
    variance = np.zeros(series.shape)
    for image in (last, before):
        values = image.astype(np.float64)
        mean = uniform_filter(values, box, mode="nearest")
        variance += np.maximum(uniform_filter(values**2, box, mode="nearest") - mean**2, 0.0)
    inside = (last - before).astype(np.float64) <= MOST_SCALED * np.sqrt(variance)
    return np.asarray(inside.ravel())


HAENSCHEID, MADSEN = "haenscheid", "madsen"
ONE_SCAN = (HAENSCHEID, MADSEN)
LATEST_HALF_LIVES = 10.0
"""Ours: of the population's; beyond, a thousandth is left, and its rate is all that counts."""


def check_one_scan(model: str, therapy: Therapy, *, population_half_life_h: float | None) -> None:
    """Refuse what a method for one scan cannot do.

    Args:
        population_half_life_h: Effective half-life of the population, h; for ``madsen`` only.

    Raises:
        BadInput: The method has more than one scan, Madsen's no half-life or one that is not
            above 0 and at most the physical one, or a scan later than
            ``LATEST_HALF_LIVES`` of it; or another model has one.
    """
    if model in ONE_SCAN and len(therapy.time_h) != 1:
        raise BadInput(
            f"--model {model} is for one time point, got {len(therapy.time_h)}. "
            "Leave it out, and the points are fitted."
        )
    if (model == MADSEN) != (population_half_life_h is not None):
        raise BadInput("--model madsen and population_half_life_h, in h, go together. Give both.")
    physical_h = therapy.nuclide.half_life_h
    if population_half_life_h is not None and not 0 < population_half_life_h <= physical_h:
        raise BadInput(
            f"population_half_life_h must be above 0 and at most the physical {physical_h:.6g} h,"
            f" got {population_half_life_h:g} h. Give the effective half-life."
        )
    if population_half_life_h is not None:
        latest_h = LATEST_HALF_LIVES * population_half_life_h
        if therapy.time_h[0] > latest_h:
            raise BadInput(
                f"--time-h must be at most {LATEST_HALF_LIVES:g} times population_half_life_h, "
                f"{latest_h:g} h, got {therapy.time_h[0]:g} h. Both are in h."
            )


def tia_per_activity_h(model: str, *, time_h: float, population_half_life_h: float | None) -> float:
    """Return the time-integrated activity of 1 MBq at the scan, MBq h.

    Args:
        model: ``haenscheid`` or ``madsen``.
    """
    if population_half_life_h is None:
        return haenscheid_tia_mbq_h(activity_mbq=1.0, time_h=time_h)
    return madsen_tia_mbq_h(
        activity_mbq=1.0, time_h=time_h, population_half_life_h=population_half_life_h
    )


def one_scan_fit(
    fit: RegionFit, model: str, *, factor_h: float, population_half_life_h: float | None
) -> RegionFit:
    """Put a one-scan method in the place of physical decay through the one point.

    Args:
        fit: Physical decay through the point.
        model: ``haenscheid``, which knows no half-life (NaN), or ``madsen``.
    """
    ((time_h, activity_mbq),) = fit.points
    half_life_h = math.nan if population_half_life_h is None else population_half_life_h
    curve: tuple[tuple[float, float], ...] = ()
    if population_half_life_h is not None and activity_mbq > 0:
        rate = math.log(2.0) / population_half_life_h
        curve = ((activity_mbq * math.exp(rate * time_h), rate),)
    return replace(
        fit,
        model=model,
        terms=curve,
        tia_mbq_h=activity_mbq * factor_h,
        effective_half_life_h=half_life_h,
        why=f"{model} was asked for.",
    )


def one_scan_tia(series: ActivitySeries, model: str, *, factor_h: float) -> TiaMap:
    """Return the time-integrated activity of every voxel by a one-scan method."""
    activity = series.bq_per_ml[0].astype(np.float64)
    return TiaMap(activity * (factor_h / BQ_PER_MBQ), {model: activity.size})


@dataclass(frozen=True)
class Choices:
    """What the user may choose.

    Attributes:
        model: Of the regions' curves: ``auto``, a model of ``tia.region_fit``, or a method for
            one scan.
        population_half_life_h: Effective half-life, h, for ``madsen``.
        voxel_curve: ``own`` or ``organ``.
        noise_floor_bq_per_ml: What noise may make of a region's mean concentration, 1 SD, Bq/mL;
            ``None`` takes each image's background.
    """

    engine: Engine
    model: str
    population_half_life_h: float | None
    voxel_curve: str
    told: Told
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H
    noise_floor_bq_per_ml: float | None = None

    def noise_floor(
        self, series: ActivitySeries, regions: Sequence[Region]
    ) -> Float64[np.ndarray, " t"] | None:
        """Return the noise floor of each image, Bq/mL; ``None`` where nothing tells one."""
        if self.noise_floor_bq_per_ml is None:
            return background_bq_per_ml(series, regions)
        return np.full(len(series.bq_per_ml), self.noise_floor_bq_per_ml)


@dataclass(frozen=True)
class CycleDose:
    """What comes of one cycle.

    Attributes:
        fits: Region's name → curve.
        thin_voxels: Voxels whose density was raised, and those of them with activity; ``None``
            without a CT.
        body_g_per_ml: Mean density of the organs, or of all that is no air; ``None`` without a CT.
    """

    tia: TiaMap
    dose_gy: Float[np.ndarray, "x y z"]
    fits: Mapping[str, RegionFit]
    rows: list[Row]
    thin_voxels: tuple[int, int] | None
    body_g_per_ml: float | None


def calculate(
    series: ActivitySeries,
    regions: Sequence[Region],
    therapy: Therapy,
    choices: Choices,
    *,
    density_g_per_ml: Float64[np.ndarray, "x y z"] | None,
) -> CycleDose:
    """Compute curves, time-integrated activity, dose and table.

    Args:
        density_g_per_ml: From a CT; ``None`` for soft tissue.

    Raises:
        BadInput: There are fewer time points than the model needs, or more decays than the
            activity has.
    """
    fits, tia = _curves(series, regions, therapy, choices)
    refuse_too_many_decays(
        tia,
        therapy,
        voxel_ml=series.voxel_ml,
        calibration_relative_sd=choices.told.calibration_relative_sd,
    )
    thick, thin, body = None, None, None
    if density_g_per_ml is not None:
        organs = next((region.voxels for region in regions if region.name == BODY), None)
        body = body_g_per_ml(density_g_per_ml, organ_voxels=organs)
        thick, raised = floored(density_g_per_ml)
        thin = int(raised.sum()), int(np.count_nonzero(tia.mbq_h_per_ml[raised]))
    dose = choices.engine.dose_gy(
        tia.mbq_h_per_ml, spacing_mm=series.spacing_mm, density_g_per_ml=thick
    )
    maps = Maps(series, tia.mbq_h_per_ml, dose, density_g_per_ml)
    rows = [make_row(maps, region, fits[region.name], therapy, choices.told) for region in regions]
    return CycleDose(tia, dose, fits, rows, thin, body)


def _curves(
    series: ActivitySeries, regions: Sequence[Region], therapy: Therapy, choices: Choices
) -> tuple[dict[str, RegionFit], TiaMap]:
    half_life_h = choices.population_half_life_h
    if choices.model in ONE_SCAN:
        factor_h = tia_per_activity_h(
            choices.model, time_h=therapy.time_h[0], population_half_life_h=half_life_h
        )
        physical = fit_curves(series, regions, therapy, model="physical")
        fits = {
            name: one_scan_fit(
                fit, choices.model, factor_h=factor_h, population_half_life_h=half_life_h
            )
            for name, fit in physical.items()
        }
        return fits, one_scan_tia(series, choices.model, factor_h=factor_h)
    fits = fit_curves(
        series,
        regions,
        therapy,
        model=choices.model,
        uptake_half_life_h=choices.uptake_half_life_h,
        noise_floor_bq_per_ml=choices.noise_floor(series, regions),
    )
    tia_of = own_tia if choices.voxel_curve == OWN else organ_tia
    return fits, tia_of(series, therapy, regions=regions, fits=fits)
