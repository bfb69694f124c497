"""From the images of a cycle to its dose: curves of regions, decays of voxels, dose, table.

``cycle_dose`` is the one way; ``dose``, ``ingest`` and the virtual patients take it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput
from scipy.ndimage import uniform_filter

from rpt_dosimetry.dose.activity_series import (
    BQ_PER_MBQ,
    ROUNDING,
    CycleImages,
    Therapy,
    check_totals,
)
from rpt_dosimetry.dose.anatomy import (
    BODY,
    LOWEST_G_PER_ML,
    REST,
    WHOLE_IMAGE,
    Region,
    body_g_per_ml,
    find_regions,
    voxel_medium,
)
from rpt_dosimetry.dose.engines import Engine
from rpt_dosimetry.dose.rows import Maps, Row, Told, make_row
from rpt_dosimetry.tia.region_fit import POPULATION_UPTAKE_HALF_LIFE_H, RegionFit, fit_region
from rpt_dosimetry.tia.single_time import haenscheid_tia_mbq_h, madsen_tia_mbq_h
from rpt_dosimetry.tia.voxel_fit import METHODS, RISES, fit_voxels, scale_shape

OWN, ORGAN = "own", "organ"
VOXEL_CURVES = (OWN, ORGAN)
HAENSCHEID, MADSEN = "haenscheid", "madsen"
ONE_SCAN = (HAENSCHEID, MADSEN)
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
LATEST_HALF_LIVES = 10.0
"""Ours: of the population's; beyond, a thousandth is left, and its rate is all that counts."""


@dataclass(frozen=True)
class Choices:
    """How the dose is computed.

    Attributes:
        told: What the table holds beside the dose.
        model: Of the regions' curves: ``auto``, a model of ``tia.region_fit``, or a method for
            one scan.
        population_half_life_h: Effective half-life for ``madsen``.
        voxel_curve: ``own`` or ``organ``.
        noise_floor_bq_per_ml: What noise may make of a region's mean concentration, 1 SD;
            ``None`` takes each image's background.
    """

    engine: Engine
    told: Told
    model: str = "auto"
    population_half_life_h: float | None = None
    voxel_curve: str = ORGAN
    uptake_half_life_h: float = POPULATION_UPTAKE_HALF_LIFE_H
    noise_floor_bq_per_ml: float | None = None


@dataclass(frozen=True)
class TiaMap:
    """Time-integrated activity of every voxel.

    Attributes:
        methods: How it was found → number of voxels.
    """

    mbq_h_per_ml: Float64[np.ndarray, "x y z"]
    methods: Mapping[str, int]


@dataclass(frozen=True)
class CycleDose:
    """What comes of one cycle.

    Attributes:
        dose_sd_gy: Statistical uncertainty of the engine, 1 SD; ``None`` where it has none.
        fits: Region's name → curve.
        noise_floor_bq_per_ml: Of each image; ``None`` where nothing tells one.
        thin_voxels: Voxels whose density was raised, and those of them with activity; ``None``
            without a CT.
        body_g_per_ml: Mean density of the organs, or of all that is no air; ``None`` without a CT.
        warnings: Of the images' totals, each a sentence.
    """

    tia: TiaMap
    dose_gy: Float[np.ndarray, "x y z"]
    dose_sd_gy: Float[np.ndarray, "x y z"] | None
    fits: Mapping[str, RegionFit]
    rows: list[Row]
    noise_floor_bq_per_ml: Float64[np.ndarray, " t"] | None
    thin_voxels: tuple[int, int] | None
    body_g_per_ml: float | None
    warnings: list[str]

    def maps(self, therapy: Therapy) -> dict[str, Float[np.ndarray, "x y z"]]:
        """Return file → values: Gy/GBq of net activity, Gy, MBq·h/mL, and the dose's SD, Gy."""
        maps = {
            "dose.nii.gz": self.dose_gy / therapy.net_gbq,
            "dose_gy.nii.gz": self.dose_gy,
            "tia.nii.gz": self.tia.mbq_h_per_ml,
        }
        return maps if self.dose_sd_gy is None else maps | {"dose_sd_gy.nii.gz": self.dose_sd_gy}


def cycle_dose(images: CycleImages, therapy: Therapy, choices: Choices) -> CycleDose:
    """Compute the dose of one cycle.

    Organs and lesions count as far as they lie where every scan is: beyond, a curve would fall
    because a scan ends.

    Returns:
        Curves, time-integrated activity, dose and table; ``summarise`` tells of them.

    Raises:
        BadInput: The activities cannot be those of the therapy, there are fewer than the model
            needs, or a choice names a region that is not there.
    """
    total_mbq = images.total_mbq()
    warnings = check_totals(total_mbq, therapy, paths=images.paths)
    _refuse_rising_image(total_mbq)
    organs, lesions = (
        None if labels is None else np.where(images.known, labels, labels.dtype.type(0))
        for labels in (images.organs, images.lesions)
    )
    regions = find_regions(shape=images.shape, organs=organs, lesions=lesions)
    choices.told.tissues.check_names(regions)
    floor = _noise_floor(images, regions, choices)
    if choices.model in ONE_SCAN:
        fits, tia = _by_one_scan(images, regions, therapy, choices)
    else:
        fits = _fit_curves(images, regions, therapy, choices, model=choices.model, floor=floor)
        tia_of = _own_tia if choices.voxel_curve == OWN else _organ_tia
        tia = tia_of(images, therapy, regions, fits)
    _refuse_too_many_decays(tia, therapy, images, choices.told.calibration_relative_sd)
    medium, thin, body = None, None, None
    if images.ct_hu is not None:
        medium = voxel_medium(images.ct_hu)
        organ_voxels = next((region.voxels for region in regions if region.name == BODY), None)
        body = body_g_per_ml(medium.ct_g_per_ml, organ_voxels=organ_voxels)
        raised = medium.ct_g_per_ml < LOWEST_G_PER_ML
        thin = int(raised.sum()), int(np.count_nonzero(tia.mbq_h_per_ml[raised]))
    dose_gy, sd_gy = choices.engine.absorbed_dose_gy(
        tia.mbq_h_per_ml, spacing_mm=images.spacing_mm, medium=medium
    )
    maps = Maps(images, tia.mbq_h_per_ml, dose_gy, medium)
    rows = [make_row(maps, region, fits[region.name], therapy, choices.told) for region in regions]
    return CycleDose(tia, dose_gy, sd_gy, fits, rows, floor, thin, body, warnings)


def check_one_scan(model: str, therapy: Therapy, *, population_half_life_h: float | None) -> None:
    """Refuse what a method for one scan cannot do.

    Args:
        population_half_life_h: Effective half-life of the population; for ``madsen`` only.

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
    if population_half_life_h is None:
        return
    physical_h = therapy.nuclide.half_life_h
    if not 0 < population_half_life_h <= physical_h:
        raise BadInput(
            f"population_half_life_h must be above 0 and at most the physical {physical_h:.6g} h,"
            f" got {population_half_life_h:g} h. Give the effective half-life."
        )
    latest_h = LATEST_HALF_LIVES * population_half_life_h
    if therapy.time_h[0] > latest_h:
        raise BadInput(
            f"--time-h must be at most {LATEST_HALF_LIVES:g} times population_half_life_h, "
            f"{latest_h:g} h, got {therapy.time_h[0]:g} h. Both are in h."
        )


def _refuse_rising_image(total_mbq: Float64[np.ndarray, " t"]) -> None:
    """Refuse images whose whole activity rises at the end, as none in a patient can."""
    before, last = total_mbq[-2:].tolist() if len(total_mbq) > 1 else (np.inf, 0.0)
    if last > before:
        raise BadInput(
            "The activity of the whole image must fall at the end, and it rises from "
            f"{before:.6g} to {last:.6g} MBq. Check the order of the times, the calibration, and "
            "that the images are not corrected for decay."
        )


def _refuse_too_many_decays(
    tia: TiaMap, therapy: Therapy, images: CycleImages, calibration_relative_sd: float | None
) -> None:
    """Refuse more decays than the net activity has, beyond two SDs of the calibration.

    That is ours: a sealed phantom would else be refused for every second scanner.
    """
    total = float(tia.mbq_h_per_ml.sum() * images.voxel_ml)
    sd = UNKNOWN_CALIBRATION_SD if calibration_relative_sd is None else calibration_relative_sd
    if not total <= therapy.most_tia_mbq_h * (1.0 + 2.0 * sd + ROUNDING):
        raise BadInput(
            "The time-integrated activity of the image must be at most the net activity x its "
            f"mean life, {therapy.most_tia_mbq_h:.6g} MBq h, got {total:.6g} MBq h: nothing can "
            "decay more often. Check --time-h, in h, the calibration and the model."
        )


def _noise_floor(
    images: CycleImages, regions: Sequence[Region], choices: Choices
) -> Float64[np.ndarray, " t"] | None:
    """Return what noise may make of a mean concentration in each image, 1 SD, Bq/mL.

    As was stated; else what each image holds where no mask is, ours: the median of its voxels
    that hold more than a thousandth of the largest (reconstructions leave traces in air). An
    organ or lesion whose own concentration comes down to that cannot be told from it.
    """
    if choices.noise_floor_bq_per_ml is not None:
        return np.full(len(images.bq_per_ml), choices.noise_floor_bq_per_ml)
    rest = next((region.voxels for region in regions if region.name == REST), None)
    if rest is None:
        return None
    levels = np.zeros(len(images.bq_per_ml))
    for number, image in enumerate(images.bq_per_ml):
        values = image.ravel()[rest]
        held = values[values > TRACE * image.max()]
        levels[number] = np.median(held) if held.size else 0.0
    return levels


def _fit_curves(
    images: CycleImages,
    regions: Sequence[Region],
    therapy: Therapy,
    choices: Choices,
    *,
    model: str,
    floor: Float64[np.ndarray, " t"] | None,
) -> dict[str, RegionFit]:
    """Fit each region's activity, MBq; image, body and rest have no noise floor."""
    fits = {}
    for region in regions:
        floor_mbq = None
        if floor is not None and region.name not in (WHOLE_IMAGE, BODY, REST):
            ml = len(region.voxels) * images.voxel_ml
            floor_mbq = [float(level) * ml / BQ_PER_MBQ for level in floor]
        fits[region.name] = fit_region(
            therapy.time_h,
            images.region_mbq(region).tolist(),
            half_life_h=therapy.nuclide.half_life_h,
            infusion_h=therapy.infusion_h,
            uptake_half_life_h=choices.uptake_half_life_h,
            name=region.name,
            noise_floor_mbq=floor_mbq,
            model=model,
        )
    return fits


def _own_tia(
    images: CycleImages,
    therapy: Therapy,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
) -> TiaMap:
    """Fit each voxel's own points; one that rises inside its noise has its region's curve.

    Physical decay after a point that noise has raised would hold far more than the region does,
    and noise that lowers a point does not make up for it.
    """
    fit = fit_voxels(
        images.bq_per_ml.reshape(len(images.bq_per_ml), -1),
        time_h=therapy.time_h,
        half_life_h=therapy.nuclide.half_life_h,
        infusion_h=therapy.infusion_h,
    )
    tia, methods = fit.tia, dict(fit.counts)
    noisy = fit.method == RISES
    if noisy.any():
        noisy &= _rise_inside_noise(images)
        inside = int(noisy.sum())
        _scale(tia, images, therapy, regions, fits, where=noisy)
        methods[METHODS[RISES]] -= inside
        methods[RISES_IN_NOISE] = inside
    counts = {name: count for name, count in methods.items() if count}
    return TiaMap(tia.reshape(images.shape) / BQ_PER_MBQ, counts)


def _organ_tia(
    images: CycleImages,
    therapy: Therapy,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
) -> TiaMap:
    """Scale the curve of its lesion, else of its organ, else of the rest, to each voxel."""
    if all(region.name == WHOLE_IMAGE for region in regions):
        raise BadInput("voxel_curve organ must have --organs or --lesions. Give a mask.")
    tia = np.zeros(int(np.prod(images.shape)))
    _scale(tia, images, therapy, regions, fits, where=None)
    return TiaMap(tia.reshape(images.shape) / BQ_PER_MBQ, {SCALED: int(tia.size)})


def _scale(
    tia: Float64[np.ndarray, " v"],
    images: CycleImages,
    therapy: Therapy,
    regions: Sequence[Region],
    fits: Mapping[str, RegionFit],
    *,
    where: Bool[np.ndarray, " v"] | None,
) -> None:
    """Put its region's scaled curve into each voxel of ``tia``, or into those of ``where``."""
    activity = images.bq_per_ml.reshape(len(images.bq_per_ml), -1)
    # The regions that together are the image, those last that lie in others.
    order = ("image", "rest", "organ", "lesion")
    parts = sorted((one for one in regions if one.kind in order), key=lambda r: order.index(r.kind))
    for region in parts:
        if region.kind == "image" and len(parts) > 1:
            continue  # the rest, organs and lesions are all of it
        voxels = region.voxels if where is None else region.voxels[where[region.voxels]]
        tia[voxels] = scale_shape(
            activity[:, voxels].astype(np.float64), time_h=therapy.time_h, fit=fits[region.name]
        )


def _rise_inside_noise(images: CycleImages) -> Bool[np.ndarray, " v"]:
    """Tell where the last activity is above all before by no more than the noise around it."""
    last, before = images.bq_per_ml[-1], images.bq_per_ml[:-1].max(axis=0)
    box = [max(3, round(NOISE_MM / size_mm) | 1) for size_mm in images.spacing_mm]
    variance = np.zeros(images.shape)
    for image in (last, before):
        values = image.astype(np.float64)
        mean = uniform_filter(values, box, mode="nearest")
        variance += np.maximum(uniform_filter(values**2, box, mode="nearest") - mean**2, 0.0)
    inside = (last - before).astype(np.float64) <= MOST_SCALED * np.sqrt(variance)
    return np.asarray(inside.ravel())


def _by_one_scan(
    images: CycleImages, regions: Sequence[Region], therapy: Therapy, choices: Choices
) -> tuple[dict[str, RegionFit], TiaMap]:
    """Put a one-scan method in the place of physical decay, in regions and voxels alike.

    Hänscheid's knows no half-life (NaN).
    """
    time_h, half_life_h = therapy.time_h[0], choices.population_half_life_h
    if half_life_h is None:
        factor_h = haenscheid_tia_mbq_h(activity_mbq=1.0, time_h=time_h)
    else:
        factor_h = madsen_tia_mbq_h(
            activity_mbq=1.0, time_h=time_h, population_half_life_h=half_life_h
        )
    physical = _fit_curves(images, regions, therapy, choices, model="physical", floor=None)
    fits = {}
    for name, fit in physical.items():
        ((_, activity_mbq),) = fit.points
        curve: tuple[tuple[float, float], ...] = ()
        if half_life_h is not None and activity_mbq > 0:
            rate = math.log(2.0) / half_life_h
            curve = ((activity_mbq * math.exp(rate * time_h), rate),)
        fits[name] = replace(
            fit,
            model=choices.model,
            terms=curve,
            tia_mbq_h=activity_mbq * factor_h,
            effective_half_life_h=math.nan if half_life_h is None else half_life_h,
            why=f"{choices.model} was asked for.",
        )
    activity = images.bq_per_ml[0].astype(np.float64)
    return fits, TiaMap(activity * (factor_h / BQ_PER_MBQ), {choices.model: activity.size})
