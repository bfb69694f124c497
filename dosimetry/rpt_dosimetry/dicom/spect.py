"""Reconstructed tomography of an NM object becomes a volume of counts.

Where the slices stand: DICOM PS3.3, C.8.4.15 (NM Reconstruction): Image Position and Orientation
(Patient) of the first frame stand in the Detector Information Sequence; the normal is the cross
product of the first row and the first column, a positive Spacing Between Slices stacks along it
and a negative one against it. Viewers that ignore the sign show such patients upside down
(OHIF/Viewers issue 4352, rordenlab/dcm2niix issue 885).

When, and for how long: Actual Frame Duration is the time of one angular position (DICOM PS3.3,
C.8.4.11) or of a whole view (C.8.4.9). Number of Detectors of reconstructed slices is 1 however
many heads the camera has, and the frames of several heads count as one set where they were
interleaved (C.8.4.8.1.3): how long the scan took needs the number of heads, which no tag tells.
Reading it off the scan arc is ours.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.header import seconds_after
from rpt_dosimetry.dicom.nm import Administration, EnergyWindow, NmHeader, NmSeries, Scaling
from rpt_dosimetry.dicom.reading import (
    BOUNDS,
    check_bounds,
    components,
    items,
    number_of,
    numbers_of,
    read_decimal,
    shown,
)
from rpt_dosimetry.dicom.slices import Grid, find_grid, fits_float32, to_ras
from rpt_dosimetry.radiation.nuclide import find_nuclide

_LARGEST_HEADS = 16
_ANGLE_TOLERANCE = 0.05
"""Relative; 59 and 60 views of one arc are told apart from half of them."""


@dataclass(frozen=True)
class ScanTimes:
    """When was scanned.

    Attributes:
        start: Begin of the acquisition, on the series' clock; ``None`` where not told.
        duration_s: From begin to end, s; ``None`` where not told.
        branch: How the duration was found; empty where it was not.
    """

    start: datetime | None
    duration_s: float | None
    branch: str

    @property
    def middle(self) -> datetime | None:
        """The middle of the scan, where begin and duration are told."""
        if self.start is None or self.duration_s is None:
            return None
        return self.start + timedelta(seconds=self.duration_s / 2.0)


UNKNOWN = ScanTimes(None, None, "")


def tomography_times(header: NmHeader, *, heads: int) -> ScanTimes:
    """Find when reconstructed tomography was measured.

    Args:
        heads: How many detector heads of the camera acquired it at a time.

    Returns:
        The duration is frame duration times stops. Where the frames fill a whole turn by
        themselves they are those of all heads; where they fill it only times ``heads`` they are
        those of one. It is not told where several heads saw a smaller arc, which vendors mean of
        one head or of all (UCL/STIR issue 1184), and where there are several rotations, which may
        be as many beds.

    Raises:
        BadInput: A value is malformed, ``heads`` is not plausible, or frames, step and arc
            contradict each other.
    """
    if not 1 <= heads <= _LARGEST_HEADS:
        raise BadInput(f"heads must be from 1 to {_LARGEST_HEADS}, got {heads}.")
    rotations = items(header.dataset, "RotationInformationSequence")
    told = _rotation(rotations[0], heads) if len(rotations) == 1 else None
    return ScanTimes(_start(header), *(told or (None, "")))


def planar_times(header: NmHeader) -> ScanTimes:
    """Find when a planar view was measured; the duration is Actual Frame Duration."""
    duration_ms = number_of(header.dataset, "ActualFrameDuration")
    if not duration_ms:
        return ScanTimes(_start(header), None, "")
    return ScanTimes(_start(header), duration_ms / 1000.0, "actual frame duration")


def _rotation(rotation: Any, heads: int) -> tuple[float, str] | None:
    duration_ms = number_of(rotation, "ActualFrameDuration")
    frames = number_of(rotation, "NumberOfFramesInRotation")
    if not duration_ms or not frames:
        return None
    whole_s = duration_ms * frames / 1000.0
    if heads == 1:
        return whole_s, "frame duration x frames in rotation"
    arc, step = number_of(rotation, "ScanArc"), number_of(rotation, "AngularStep")
    if not arc or not step:
        return whole_s / heads, f"frame duration x frames in rotation / {heads} heads"
    turns = abs(step) * frames / arc
    if abs(turns - 1.0) <= _ANGLE_TOLERANCE and abs(arc / 360.0 - 1.0) > _ANGLE_TOLERANCE:
        return None
    if abs(turns - 1.0) <= _ANGLE_TOLERANCE:
        return whole_s / heads, f"frame duration x frames in rotation / {heads} heads"
    if abs(turns * heads - 1.0) <= _ANGLE_TOLERANCE:
        return whole_s, "frame duration x frames of one head"
    raise BadInput(
        f"{shown('NumberOfFramesInRotation')} times {shown('AngularStep')} must be "
        f"{shown('ScanArc')}, or that by {heads} heads, got {frames:g} x {abs(step):g}° for "
        f"{arc:g}°. Give the duration and the number of heads."
    )


def _start(header: NmHeader) -> datetime | None:
    return min((moment for moment in header.acquired if moment is not None), default=None)


def find_placement(header: NmHeader) -> Grid:
    """Find the grid of the frames, whose ``order`` is that of the frames.

    Raises:
        BadInput: Position, orientation or spacing is missing or malformed, or the frames are
            not one stack of slices.
    """
    detectors = items(header.dataset, "DetectorInformationSequence")
    told = []
    for keyword, count in (("ImageOrientationPatient", 6), ("ImagePositionPatient", 3)):
        found = numbers_of(detectors[0], keyword, count) if detectors else None
        if found is None:
            raise BadInput(
                f"{shown('DetectorInformationSequence')} must hold {shown(keyword)} of the first "
                "frame to know where the slices stand, and it does not. Export the series anew "
                "from the workstation."
            )
        told.append(np.array(found))
    cosines, first_mm = told
    step_mm = _step_mm(header) * np.cross(cosines[:3], cosines[3:])
    plane = {
        keyword: components(header.dataset, keyword)
        for keyword in ("Rows", "Columns", "PixelSpacing")
    }
    return find_grid(
        [  # what it asks of a single-frame slice
            {
                keyword: SimpleNamespace(value=value)
                for keyword, value in (
                    *plane.items(),
                    ("ImageOrientationPatient", cosines.tolist()),
                    ("ImagePositionPatient", (first_mm + (number - 1) * step_mm).tolist()),
                )
                if value
            }
            for number in _slice_numbers(header)
        ]
    )


def _slice_numbers(header: NmHeader) -> list[int]:
    """Return the number of each frame's slice; the first frame must be slice 1."""
    count = header.frame_count
    numbers = header.vector("SliceVector") or list(range(1, count + 1))
    if sorted(numbers) != list(range(1, count + 1)) or numbers[0] != 1:
        raise BadInput(
            f"{shown('SliceVector')} must number {count} frames from 1, each once, slice 1 first, "
            "and it does not: the object holds several volumes or an unknown order. Export one "
            "volume."
        )
    told = components(header.dataset, "NumberOfSlices")
    if told and read_decimal(told[0], "NumberOfSlices") != count:
        raise BadInput(
            f"{shown('NumberOfSlices')} must be the number of frames, {count}, got {told[0]}. "
            "Export the whole series."
        )
    return numbers


def _step_mm(header: NmHeader) -> float:
    found = numbers_of(header.dataset, "SpacingBetweenSlices", 1)
    if found is None:
        raise BadInput(
            f"{shown('SpacingBetweenSlices')} must be there, with its sign, to know on which side "
            "of the first slice the others stand, and it is missing. Export the series anew."
        )
    check_bounds(abs(found[0]), "SpacingBetweenSlices", BOUNDS["PixelSpacing"])
    return found[0]


SCAN, INJECTION = "scan", "injection"
DECAY_REFERENCES = (SCAN, INJECTION)


@dataclass(frozen=True, kw_only=True)
class NmScan:
    """What the header of an NM scan tells.

    Attributes:
        injection_to_mid_scan_s: From the begin of the administration, s, if told.
    """

    times: ScanTimes
    administration: Administration
    injection_to_mid_scan_s: float | None
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class Tomogram(NmScan):
    """Reconstructed slices.

    Attributes:
        volume: Counts or Bq/mL, float32, RAS+.
    """

    volume: Volume
    scaling: Scaling
    windows: tuple[EnergyWindow | None, ...]
    sha256: str


def read_tomogram(
    series: NmSeries,
    *,
    heads: int,
    duration_s: float | None = None,
    decay_reference: str | None = None,
) -> Tomogram:
    """Read reconstructed tomography.

    Args:
        series: Of one object of Image Type RECON TOMO.
        heads: How many detector heads of the camera acquired it at a time.
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
    if len(series.objects) != 1:
        raise BadInput(
            f"The series must hold one NM object, got {len(series.objects)}. Name the file of "
            "the one to read."
        )
    header = NmHeader(series.objects)
    header.refuse_repeats("EnergyWindowVector", "DetectorVector", "RotationVector")
    grid = find_placement(header)
    stored = header.stored_frames()
    scaling = header.scaling(least=int(stored.min()), largest=int(stored.max()))
    # NumPy's [frame, row, column] is DICOM's [k, j, i]; grid.order sorts along the normal.
    data = (stored[grid.order].astype(np.float64) * scaling.slope + scaling.intercept).T
    check_values(data, scaling, header.warnings)
    administration = header.administered()
    times = header.if_readable(lambda: tomography_times(header, heads=heads)) or UNKNOWN
    if duration_s is not None:
        times = ScanTimes(times.start, duration_s, "told")
    injection_to_mid_scan_s = seconds_after(administration.moment, times.middle)
    data *= _undone(header, decay_reference, administration.nuclide, injection_to_mid_scan_s)
    return Tomogram(
        volume=to_ras(data, grid)[0],
        scaling=scaling,
        windows=header.windows(),
        times=times,
        administration=administration,
        injection_to_mid_scan_s=injection_to_mid_scan_s,
        sha256=series.sha256[0],
        warnings=header.warnings,
    )


def _undone(
    header: NmHeader,
    reference: str | None,
    nuclide: str | None,
    injection_to_mid_scan_s: float | None,
) -> float:
    """Return the factor that undoes a correction for decay."""
    told = set(header.text("CorrectedImage").upper().split("\\")) - {""}
    corrected = "DECY" in told
    if reference not in (None, *DECAY_REFERENCES):
        raise BadInput(f"decay_reference must be one of {', '.join(DECAY_REFERENCES)}.")
    if reference == INJECTION and not corrected:
        raise BadInput(
            f"decay_reference must be left out where {shown('CorrectedImage')} does not name DECY: "
            "there is no correction to undo."
        )
    if told and "ATTN" not in told:
        header.warnings.append(
            f"{shown('CorrectedImage')} does not contain ATTN: make sure that the slices are "
            "corrected for attenuation as those were by which the camera was calibrated."
        )
    if not corrected or reference == SCAN:
        return 1.0
    if reference is None:
        raise BadInput(
            f"{shown('CorrectedImage')} names DECY, and NM does not tell to which time the counts "
            f"were corrected. Give decay_reference: {SCAN} (its begin or middle), or {INJECTION}; "
            "or export without decay correction."
        )
    if nuclide is None or injection_to_mid_scan_s is None:
        raise BadInput(
            "To undo a decay correction to the injection its time and "
            f"{shown('RadionuclideCodeSequence')} must be told, and they are not. Export without "
            "decay correction."
        )
    half_lives = injection_to_mid_scan_s / 3600.0 / find_nuclide(nuclide).half_life_h
    return float(2.0**-half_lives)


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
