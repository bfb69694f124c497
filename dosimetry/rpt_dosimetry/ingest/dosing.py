"""The absorbed dose of one cycle from activities that are on one grid already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from rpt_cohort import Volume

from rpt_dosimetry.dose.activity_series import ActivitySeries, Therapy, check_totals
from rpt_dosimetry.dose.bed import Tissues
from rpt_dosimetry.dose.calculation import Choices, CycleDose, calculate, refuse_rising_image
from rpt_dosimetry.dose.density import mass_density_g_per_ml
from rpt_dosimetry.dose.engines import find_engine
from rpt_dosimetry.dose.regions import find_regions
from rpt_dosimetry.dose.rows import Told
from rpt_dosimetry.dose.summary import doubts, summarise
from rpt_dosimetry.ingest.calibrating import NUCLIDE
from rpt_dosimetry.ingest.study import CycleSource, Study
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.tia.exponential_fit import check_times
from rpt_dosimetry.tia.region_fit import check_model


@dataclass(frozen=True)
class CycleImages:
    """The images of a cycle on its grid.

    Attributes:
        bq_per_ml: One a SPECT, shape (t, x, y, z), Bq/mL at its own time.
        ct_hu: CT of the first SPECT, HU.
        lesions: Lesion numbers; ``None`` where no file of them is named.
        known: Where every SPECT is.
        affine: Voxel index → position, mm, RAS+.
    """

    bq_per_ml: Float32[np.ndarray, "t x y z"]
    ct_hu: Float[np.ndarray, "x y z"]
    organs: Shaped[np.ndarray, "x y z"]
    lesions: Shaped[np.ndarray, "x y z"] | None
    known: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


def check_therapy(cycle: CycleSource, study: Study, time_h: Sequence[float]) -> Therapy:
    """Check what was given and when the scans were, before the long work.

    Raises:
        BadInput: An activity or a time is impossible, or the model needs more scans.
    """
    check_times(time_h, infusion_h=cycle.infusion_h)
    check_model(study.model, points=len(time_h), name="the regions")
    return Therapy(
        nuclide=find_nuclide(NUCLIDE),
        administered_mbq=cycle.administered_mbq,
        residual_mbq=cycle.residual_mbq,
        infusion_h=cycle.infusion_h,
        time_h=tuple(time_h),
    )


def cycle_dose(
    images: CycleImages, therapy: Therapy, study: Study, *, calibration_relative_sd: float | None
) -> tuple[CycleDose, dict[str, Any]]:
    """Compute the dose of a cycle.

    Organs and lesions count as far as they lie where every SPECT is: beyond, a curve would fall
    because a scan ends.

    Args:
        calibration_relative_sd: Standard uncertainty of the SPECTs' calibration over it;
            ``None`` where it is not known.

    Returns:
        The dose, and what ``summary.json`` tells of it, warnings included.

    Raises:
        BadInput: The activities cannot be those of the therapy.
    """
    choices = Choices(
        engine=find_engine(study.engine, therapy.nuclide),
        model=study.model,
        population_half_life_h=None,
        voxel_curve=study.voxel_curve,
        told=Told(
            Tissues({}, {}),
            calibration_relative_sd=calibration_relative_sd,
            fwhm_mm=None,
        ),
    )
    series = ActivitySeries(images.bq_per_ml, Volume(images.bq_per_ml[0], images.affine))
    organs, lesions = (
        None if labels is None else np.where(images.known, labels, labels.dtype.type(0))
        for labels in (images.organs, images.lesions)
    )
    regions = find_regions(shape=series.shape, organs=organs, lesions=lesions)
    total_mbq = series.total_mbq()
    warnings = check_totals(total_mbq, therapy)
    refuse_rising_image(total_mbq)
    result = calculate(
        series, regions, therapy, choices, density_g_per_ml=mass_density_g_per_ml(images.ct_hu)
    )
    told = summarise(series, therapy, choices, result)
    told["regions"] = "organs and lesions as far as they lie in fov.nii.gz"
    told["warnings"] = warnings + doubts(therapy, choices, result)
    return result, told
