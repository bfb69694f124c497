"""From SPECT series to the dose that a clinic would see, by ``rpt_dosimetry`` unchanged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8, UInt16
from rpt_cohort import Volume
from rpt_dosimetry.dose.activity_series import CycleImages, Therapy
from rpt_dosimetry.dose.calculation import cycle_dose
from rpt_dosimetry.dose.job import choices_of
from rpt_dosimetry.ingest.alignment import STAYS, field_of_view
from rpt_dosimetry.options import DoseOptions
from rpt_dosimetry.registration.pair import Scan, register
from rpt_dosimetry.registration.resampling import resample_emission
from rpt_dosimetry.registration.transform import GridMm, Rigid

from rpt_phantom.grid import Grid
from rpt_phantom.truth import lu177

ENGINE = "vsv"
CALIBRATION_LOG_STD = 0.03
"""Of one cycle's calibration, camera and activity meter together; ours."""

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class Drawn:
    """What organs, lesions and CT the clinic works with, on the case's grid.

    Attributes:
        ct_hu: CT of the first SPECT, HU.
        organs: Organ numbers, drawn without fault.
        lesions: Lesion numbers, drawn without fault.
        fov: 1 where every SPECT is.
    """

    ct_hu: Int16[np.ndarray, "x y z"]
    organs: UInt8[np.ndarray, "x y z"]
    lesions: UInt16[np.ndarray, "x y z"]
    fov: UInt8[np.ndarray, "x y z"]


def measured_dose(
    bq_per_ml: Sequence[Map],
    drawn: Drawn,
    grid: Grid,
    *,
    times_h: Sequence[float],
    administered_mbq: float,
) -> Map:
    """Compute a cycle's dose from its SPECTs.

    Args:
        bq_per_ml: One a SPECT, on the case's grid and registered, Bq/mL at its own time.
        drawn: On the case's grid.
        times_h: From the start of the infusion, h.

    Returns:
        Gy/GBq; 0 outside the field of view, where it is not known.

    Raises:
        BadInput: The activities cannot be those of the therapy.
    """
    therapy = Therapy(lu177(), administered_mbq, 0.0, 0.0, tuple(times_h))
    images = CycleImages(
        bq_per_ml=np.stack(bq_per_ml),
        ct_hu=drawn.ct_hu.astype(np.float64),
        organs=drawn.organs,
        lesions=drawn.lesions if drawn.lesions.any() else None,
        known=drawn.fov > 0,
        affine=grid.affine,
    )
    choices = choices_of(
        DoseOptions(engine=ENGINE),
        therapy,
        masks=True,
        calibration_relative_sd=CALIBRATION_LOG_STD,
    )
    dose = cycle_dose(images, therapy, choices).dose_gy / therapy.net_gbq
    return np.where(images.known, dose, 0.0).astype(np.float32)


def find_motions(scans: Sequence[Scan]) -> list[Rigid]:
    """Register every SPECT/CT to the first one.

    Args:
        scans: In the order of time.

    Returns:
        Position at the first → position at each.

    Raises:
        BadInput: A registration failed.
    """
    first, *others = scans
    return [STAYS, *(register(first, other).rigid for other in others)]


def carried(images: Sequence[Map], rigids: Sequence[Rigid], grid: Grid) -> list[Map]:
    """Carry SPECTs to where the patient lay at first.

    Args:
        images: On the case's grid, as the patient lay at each time, Bq/mL.
        rigids: Position at the first → position at each.
    """
    onto = _of(grid)
    return [
        image
        if rigid is STAYS
        else resample_emission(Volume(image, grid.affine), onto, rigid, name="The image").data
        for image, rigid in zip(images, rigids, strict=True)
    ]


def where_known(
    scans: Sequence[Scan], rigids: Sequence[Rigid], grid: Grid
) -> Bool[np.ndarray, "x y z"]:
    """Tell where all SPECT/CTs see the patient as it lay at first."""
    first = scans[0].ct
    if first is None:
        raise ValueError("The first scan must have a CT, and has none.")
    placed = [(scan.emission, rigid) for scan, rigid in zip(scans, rigids, strict=True)]
    return field_of_view(placed, first, _of(grid))


def _of(grid: Grid) -> GridMm:
    return GridMm(grid.shape, grid.affine)
