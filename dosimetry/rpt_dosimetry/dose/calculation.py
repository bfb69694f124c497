"""From activities to dose and table: one cycle, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from rpt_dosimetry.dose.activity_series import ActivitySeries
from rpt_dosimetry.dose.curves import (
    OWN,
    TiaMap,
    background_bq_per_ml,
    fit_curves,
    organ_tia,
    own_tia,
    refuse_too_many_decays,
)
from rpt_dosimetry.dose.density import body_g_per_ml, floored
from rpt_dosimetry.dose.engine import Engine
from rpt_dosimetry.dose.one_scan import ONE_SCAN, one_scan_fit, one_scan_tia, tia_per_activity_h
from rpt_dosimetry.dose.regions import BODY, Region
from rpt_dosimetry.dose.rows import Maps, Row, Told, make_row
from rpt_dosimetry.dose.therapy import Therapy
from rpt_dosimetry.tia.region_fit import POPULATION_UPTAKE_HALF_LIFE_H, RegionFit


@dataclass(frozen=True)
class Choices:
    """What the user may choose.

    Attributes:
        engine: The dose engine.
        model: Of the regions' curves: ``auto``, a model of ``tia.region_fit``, or a method for
            one scan.
        population_half_life_h: Effective half-life, h, for ``madsen``.
        voxel_curve: ``own`` or ``organ``.
        told: What the table is to tell.
        uptake_half_life_h: Of ``bi_population``, h.
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
        tia: Time-integrated activity of every voxel.
        dose_gy: Dose of every voxel, Gy.
        fits: Region's name → curve.
        rows: The table.
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
        series: The activities.
        regions: The rows of the table.
        therapy: What was given, and when the scans were.
        choices: Engine and options.
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
