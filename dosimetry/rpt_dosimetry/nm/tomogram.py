"""Reconstructed tomography of an NM object becomes a volume of counts."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.attributes import CORRECTED_IMAGE, NUMBER_OF_SLICES, RADIONUCLIDE_CODE
from rpt_dosimetry.geometry import to_ras
from rpt_dosimetry.nm.administration import Administration, read_administration
from rpt_dosimetry.nm.attributes import (
    DETECTOR_VECTOR,
    ENERGY_WINDOW_VECTOR,
    MANUFACTURER,
    ROTATION_VECTOR,
    SPACING_BETWEEN_SLICES,
)
from rpt_dosimetry.nm.frames import refuse_repeats, stored_frames
from rpt_dosimetry.nm.placement import find_placement
from rpt_dosimetry.nm.reading import NmSeries, one_object
from rpt_dosimetry.nm.times import ScanTimes, tomography_times
from rpt_dosimetry.nm.values import Scaling, find_scaling
from rpt_dosimetry.nm.windows import EnergyWindow, energy_windows
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.slices import fits_float32, seconds_after
from rpt_dosimetry.tags import Tags, if_readable

SCAN, INJECTION = "scan", "injection"
DECAY_REFERENCES = (SCAN, INJECTION)


@dataclass(frozen=True)
class Tomogram:
    """Reconstructed slices and what they rest on.

    Attributes:
        volume: Counts or Bq/mL, float32, RAS+.
        scaling: What the values are, and by which tags.
        placed: Whether position and orientation are told; where not, the affine is assumed.
        windows: Energy windows that were reconstructed, as far as told.
        times: When was scanned.
        administration: What was administered.
        injection_to_mid_scan_s: From the begin of the administration, s, if told.
        tags_used: Every tag asked for and found.
        sha256: Of the file, in hex.
        warnings: What the user should know, a sentence each.
    """

    volume: Volume
    scaling: Scaling
    placed: bool
    windows: tuple[EnergyWindow | None, ...]
    times: ScanTimes
    administration: Administration
    injection_to_mid_scan_s: float | None
    tags_used: list[dict[str, Any]]
    sha256: str
    warnings: list[str] = field(default_factory=list)


def read_tomogram(
    series: NmSeries,
    *,
    heads: int,
    unplaced: bool = False,
    duration_s: float | None = None,
    decay_reference: str | None = None,
) -> Tomogram:
    """Read reconstructed tomography.

    Args:
        series: Of one object of Image Type RECON TOMO.
        heads: How many detector heads of the camera acquired it at a time.
        unplaced: Read an object that does not tell where its slices stand, in an assumed frame.
        duration_s: Of the scan, s; goes before the header's.
        decay_reference: One of ``DECAY_REFERENCES``: to which time counts that name DECY were
            corrected, which NM does not tell; undone to mid-scan.

    Returns:
        The volume and what it rests on. A time, nuclide or activity that cannot be read is
        left out with a warning.

    Raises:
        BadInput: Several objects, gates, windows or time slices; truncated pixels; no place;
            or a scaling that is not known.
    """
    dataset = one_object(series)
    tags = Tags([dataset])
    warnings: list[str] = []
    refuse_repeats(dataset, alone=(ENERGY_WINDOW_VECTOR, DETECTOR_VECTOR, ROTATION_VECTOR))
    grid, placed = find_placement(dataset, unplaced=unplaced, warnings=warnings)
    stored = stored_frames(dataset)
    scaling = find_scaling(dataset, least=int(stored.min()), largest=int(stored.max()))
    # NumPy's [frame, row, column] is DICOM's [k, j, i]; grid.order sorts along the normal.
    data = (stored[grid.order].astype(np.float64) * scaling.slope + scaling.intercept).T
    check_values(data, scaling, warnings)
    administration = read_administration(tags, warnings)
    unknown = ScanTimes(None, None, "")
    times = if_readable(lambda: tomography_times(dataset, tags, heads=heads), warnings) or unknown
    if duration_s is not None:
        times = ScanTimes(times.start, duration_s, "told")
    injection_to_mid_scan_s = seconds_after(administration.moment, times.middle)
    data *= _undone(tags, decay_reference, administration.nuclide, injection_to_mid_scan_s)
    _check_corrections(tags, warnings)
    for tag in (MANUFACTURER, NUMBER_OF_SLICES, SPACING_BETWEEN_SLICES):
        tags.texts(tag)
    return Tomogram(
        volume=to_ras(data, grid)[0],
        scaling=scaling,
        placed=placed,
        windows=energy_windows(dataset),
        times=times,
        administration=administration,
        injection_to_mid_scan_s=injection_to_mid_scan_s,
        tags_used=tags.record(administration.moment),
        sha256=series.sha256[0],
        warnings=warnings,
    )


def _undone(
    tags: Tags, reference: str | None, nuclide: str | None, injection_to_mid_scan_s: float | None
) -> float:
    """Return the factor that undoes a correction for decay."""
    corrected = "DECY" in tags.text(CORRECTED_IMAGE).upper().split("\\")
    if reference not in (None, *DECAY_REFERENCES):
        raise BadInput(f"decay_reference must be one of {', '.join(DECAY_REFERENCES)}.")
    if reference == INJECTION and not corrected:
        raise BadInput(
            f"decay_reference must be left out where {CORRECTED_IMAGE} does not name DECY: there "
            "is no correction to undo."
        )
    if not corrected or reference == SCAN:
        return 1.0
    if reference is None:
        raise BadInput(
            f"{CORRECTED_IMAGE} names DECY, and NM does not tell to which time the counts were "
            f"corrected. Give decay_reference: {SCAN} (its begin or middle), or {INJECTION}; or "
            "export without decay correction."
        )
    if nuclide is None or injection_to_mid_scan_s is None:
        raise BadInput(
            f"To undo a decay correction to the injection its time and {RADIONUCLIDE_CODE} must be "
            "told, and they are not. Export without decay correction."
        )
    half_lives = injection_to_mid_scan_s / 3600.0 / find_nuclide(nuclide).half_life_h
    return float(2.0**-half_lives)


def _check_corrections(tags: Tags, warnings: list[str]) -> None:
    told = set(tags.text(CORRECTED_IMAGE).upper().split("\\")) - {""}
    if told and "ATTN" not in told:
        warnings.append(
            f"{CORRECTED_IMAGE} does not contain ATTN: make sure that the slices are corrected for "
            "attenuation as those were by which the camera was calibrated."
        )


def check_values(data: Float[np.ndarray, "..."], scaling: Scaling, warnings: list[str]) -> None:
    """Refuse values that a volume cannot hold, and tell of those below 0 and of none above.

    Raises:
        BadInput: A value is not finite or too large.
    """
    if not fits_float32(data):
        raise BadInput(f"Every value must be finite, and by its {scaling.branch} some are not.")
    below = int((data < 0).sum())
    if below:
        warnings.append(f"{below} values are below 0 {scaling.quantity}; they were kept.")
    if data.max() <= 0:
        warnings.append(f"No value is above 0 {scaling.quantity}: the image is empty.")
