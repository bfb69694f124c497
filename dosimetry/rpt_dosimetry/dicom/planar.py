"""Whole-body planar views of an NM object become planes of counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput

from rpt_dosimetry.dicom.header import seconds_after
from rpt_dosimetry.dicom.nm import COUNTS, EnergyWindow, NmHeader, NmSeries
from rpt_dosimetry.dicom.reading import components, items, read_decimal, shown, text_of
from rpt_dosimetry.dicom.spect import UNKNOWN, NmScan, check_values, planar_times

ANTERIOR, POSTERIOR = "anterior", "posterior"
_VIEW_OF_CODE = {"G-5215": ANTERIOR, "G-5216": POSTERIOR}
"""SNOMED RT of DICOM PS3.16, context group 26; the meaning goes before it."""


@dataclass(frozen=True)
class Plane:
    """One view in one energy window.

    Attributes:
        view: ``anterior`` or ``posterior``.
        counts: Counts, shape (x, z): x runs to the patient's right, z to the head, in both
            views alike.
        pixel_mm: Distance of pixel centres along x and z, mm.
    """

    view: str
    window: EnergyWindow | None
    counts: Float64[np.ndarray, "x z"]
    pixel_mm: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Planar(NmScan):
    """Whole-body planar views, one plane for each view and energy window."""

    planes: tuple[Plane, ...]
    velocity_mm_per_s: float | None
    sha256: tuple[str, ...]

    def plane(self, view: str, window: EnergyWindow | None) -> Plane:
        """Return the plane of one view in one window."""
        found = [one for one in self.planes if one.view == view and one.window == window]
        if len(found) != 1:
            raise BadInput(
                f"The planar scan must hold one {view} view of {window or 'one window'}, got "
                f"{len(found)}. Give the whole series."
            )
        return found[0]


def read_planar(series: NmSeries) -> Planar:
    """Read whole-body views; some scanners write each into an object of its own.

    Args:
        series: Of Image Type WHOLE BODY.

    Raises:
        BadInput: Truncated pixels, frames that differ in time, views that are not told to be
            anterior or posterior, or a scaling that is not known.
    """
    header = NmHeader(series.objects)
    planes = [
        plane
        for dataset in series.objects
        for plane in _planes(NmHeader([dataset], header.warnings))
    ]
    if len({(plane.counts.shape, plane.pixel_mm) for plane in planes}) > 1:
        raise BadInput("All planar views must have one matrix and pixel size, and they differ.")
    administration = header.administered()
    times = header.if_readable(lambda: planar_times(header)) or UNKNOWN
    velocity = header.if_readable(lambda: header.number("ScanVelocity"))
    return Planar(
        planes=tuple(planes),
        times=times,
        velocity_mm_per_s=velocity or None,
        administration=administration,
        injection_to_mid_scan_s=seconds_after(administration.moment, times.middle),
        sha256=series.sha256,
        warnings=header.warnings,
    )


def _planes(header: NmHeader) -> list[Plane]:
    header.refuse_repeats()
    windows = header.windows()
    detectors = items(header.dataset, "DetectorInformationSequence")
    count = header.frame_count
    window_of = header.vector("EnergyWindowVector") or [1] * count
    detector_of = header.vector("DetectorVector") or [1] * count
    if max(detector_of) > len(detectors):
        raise BadInput(
            f"{shown('DetectorInformationSequence')} must hold an item for each of "
            f"{max(detector_of)} detectors, got {len(detectors)}: it tells the view. Export the "
            "series anew."
        )
    pixel_mm = _pixel_mm(header.dataset)
    stored = header.stored_frames()
    scaling = header.scaling(least=int(stored.min()), largest=int(stored.max()))
    if scaling.quantity != COUNTS:
        raise BadInput(f"Planar views must be in counts, got {scaling.quantity}.")
    values = stored.astype(np.float64) * scaling.slope + scaling.intercept
    check_values(values, scaling, header.warnings)
    planes = []
    for frame, window, number in zip(values, window_of, detector_of, strict=True):
        detector = detectors[number - 1]
        view = _view(detector)
        limits = windows[window - 1] if window <= len(windows) else None
        planes.append(Plane(view, limits, _upright(frame, detector, view), pixel_mm))
    return planes


def _view(detector: Any) -> str:
    """Name a detector's view by its View Code, else by its orientation."""
    for code in items(detector, "ViewCodeSequence"):
        meaning = text_of(code, "CodeMeaning").lower()
        named = [view for view in (ANTERIOR, POSTERIOR) if view in meaning]
        if len(named) == 1 and "oblique" not in meaning:
            return named[0]
        value = text_of(code, "CodeValue")
        if value in _VIEW_OF_CODE:
            return _VIEW_OF_CODE[value]
    cosines = _cosines(detector)
    if cosines is not None:
        # A view's normal points away from who looks at it: from in front, to the back (+y).
        return ANTERIOR if np.cross(cosines[:3], cosines[3:])[1] > 0 else POSTERIOR
    raise BadInput(
        f"{shown('ViewCodeSequence')} must tell of each detector whether it is anterior or "
        "posterior, and it does not. Export the series with its view codes."
    )


def _upright(
    frame: Float64[np.ndarray, "row column"], detector: Any, view: str
) -> Float64[np.ndarray, "x z"]:
    """Turn a frame so that x runs to the patient's right and z to the head.

    Without an orientation the head is on top, and the view is as a person who stands there
    sees the patient: from in front the right side is on the left of the image.
    """
    cosines = _cosines(detector)
    default_mm = 1.0 if view == ANTERIOR else -1.0  # DICOM's x runs to the patient's left
    to_left = default_mm if cosines is None else cosines[0]
    to_head = -1.0 if cosines is None else cosines[5]
    plane = frame.T
    plane = plane[::-1] if to_left > 0 else plane
    return np.ascontiguousarray(plane[:, ::-1] if to_head < 0 else plane)


def _cosines(detector: Any) -> Sequence[float] | None:
    """Return a detector's row and column cosines, where it tells a coronal plane."""
    texts = components(detector, "ImageOrientationPatient")
    if not texts:
        return None
    cosines = [read_decimal(text, "ImageOrientationPatient") for text in texts]
    if len(cosines) != 6 or min(abs(cosines[0]), abs(cosines[5])) < 0.9:
        raise BadInput(
            f"{shown('ImageOrientationPatient')} of a whole-body view must be coronal, rows along "
            "left and right and columns along the body, and it is not. Export the views anew."
        )
    return cosines


def _pixel_mm(dataset: Any) -> tuple[float, float]:
    texts = components(dataset, "PixelSpacing")
    if len(texts) != 2:
        raise BadInput(f"{shown('PixelSpacing')} must be two numbers in mm, got {len(texts)}.")
    rows_mm, columns_mm = (read_decimal(text, "PixelSpacing") for text in texts)
    return columns_mm, rows_mm
