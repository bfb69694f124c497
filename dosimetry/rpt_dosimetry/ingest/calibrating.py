"""SPECTs in counts become activity: by a file, or by the cycle's planar scan."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.calibration.factor import (
    CalibrationFactor,
    Spect,
    SpectCounts,
    concentration_bq_per_ml,
    dead_time_correction,
    read_factor,
)
from rpt_dosimetry.calibration.image_based import ImageBased, calibrate_by_images
from rpt_dosimetry.dicom.nm import COUNTS, WHOLE_BODY, read_nm
from rpt_dosimetry.dicom.planar import read_planar
from rpt_dosimetry.ingest.sources import refuse_other_activity, refuse_other_infusion
from rpt_dosimetry.ingest.study import CycleSource, SpectSource
from rpt_dosimetry.options import DeadTime

NUCLIDE = "Lu-177"


@dataclass(frozen=True)
class Calibrated:
    """A SPECT in Bq/mL; the standard uncertainty of its calibration is ``None`` where unknown."""

    volume: Volume
    relative_sd: float | None
    branch: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Camera:
    """What makes activity of a cycle's counts.

    Attributes:
        dead_time: How the camera loses counts; ``None`` corrects nothing.
        planar: Its factor by the cycle's planar scan; goes after a SPECT's own file of one.
        told_relative_sd: Standard uncertainty of SPECTs that come in Bq/mL, as the study tells it,
            where no JSON beside them does.
    """

    root: Path
    dead_time: DeadTime | None = None
    planar: ImageBased | None = None
    told_relative_sd: float = 0.05


def calibrate(spect: Spect, source: SpectSource, camera: Camera) -> Calibrated:
    """Bring a SPECT to Bq/mL; one that is in Bq/mL is kept.

    Raises:
        BadInput: Counts without a factor, Bq/mL with a file of one, or no duration.
    """
    file = source.calibration
    factor = None if file is None else read_factor(camera.root / file)
    if spect.quantity != COUNTS:
        for key in ("calibration", "head_cps", "decay_reference"):
            if getattr(source, key) is not None:
                raise BadInput(f"{key} must be left out for a SPECT in {spect.quantity}.")
        made_by = spect.factor
        if made_by is None:
            return Calibrated(spect.volume, camera.told_relative_sd, spect.quantity)
        return Calibrated(
            spect.volume, made_by.total_relative_sd, spect.quantity, _no_total(made_by)
        )
    if factor is None and camera.planar is not None:
        factor = camera.planar.factor
    if factor is None:
        raise BadInput(
            "A SPECT in counts must have a calibration (of the command calibrate), or its cycle a "
            "planar scan, and there is neither."
        )
    correction, dead_sd = dead_time_correction(camera.dead_time, head_cps=source.head_cps)
    total = float(spect.volume.data.sum(dtype=np.float64))
    counts = SpectCounts(total, spect.needed_duration_s, correction)
    data = concentration_bq_per_ml(spect.volume, factor=factor, spect=counts)
    return Calibrated(
        Volume(data.astype(np.float32), spect.volume.affine),
        _total_sd(factor, dead_sd, of_planar=file is None),
        f"counts, {factor.cps_per_mbq:.6g} cps/MBq, {counts.duration_s:g} s, dead time × "
        f"{correction:.6g}",
        # What a planar scan leaves unknown is told by itself.
        () if file is None else _no_total(factor),
    )


def factor_by_planar(first: Spect, ct: Volume, cycle: CycleSource, root: Path) -> ImageBased | None:
    """Find the camera's factor from the first SPECT and the planar scan, if there is one.

    Raises:
        BadInput: The scans cannot calibrate, or excretion is not told by one way.
    """
    source = cycle.planar
    if source is None:
        return None
    warnings: list[str] = []
    planar = read_planar(read_nm(root / source.folder, kind=WHOLE_BODY, warnings=warnings))
    given = planar.administration
    if source.time_h is None and given.begin is not None and first.infusion is not None:
        refuse_other_infusion("The planar scan", given.begin, "spect 1", first.infusion)
    if not cycle.activities_differ:
        refuse_other_activity("The planar scan", given.activity_mbq, cycle.administered_mbq)
    found = calibrate_by_images(
        first,
        planar=planar,
        planar_time_h=source.time_h,
        ct=ct,
        administered_mbq=cycle.administered_mbq,
        residual_mbq=cycle.residual_mbq,
        options=source,
        dead_time=cycle.dead_time,
        head_cps=cycle.spect[0].head_cps,
    )
    found.warnings[:0] = warnings
    return found


def _no_total(factor: CalibrationFactor) -> tuple[str, ...]:
    return () if factor.why_no_total is None else (factor.why_no_total,)


def _total_sd(factor: CalibrationFactor, dead_sd: float | None, *, of_planar: bool) -> float | None:
    # A factor found from a scan of this cycle has the dead time's part in it already; that of a
    # camera is taken to be uncertain by what its scans lose, where no dead time is told.
    total = factor.total_relative_sd
    return total if of_planar or total is None else math.hypot(total, dead_sd or 0.0)
