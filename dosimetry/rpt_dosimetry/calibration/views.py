"""From the planar scan and the CT to the fraction of the activity in the field of view."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.calibration.alignment import Alignment, align, placed_view
from rpt_dosimetry.calibration.attenuation_path import (
    FrontalPlane,
    attenuation_path,
    frontal_mm,
    in_ras,
)
from rpt_dosimetry.calibration.conjugate import binned, geometric_mean, path_on
from rpt_dosimetry.calibration.dead_time import DeadTime, sweep_live_fraction
from rpt_dosimetry.calibration.field import FieldFraction, counts_at_edges, field_fraction
from rpt_dosimetry.calibration.scatter import (
    Windows,
    check_scatter,
    choose_windows,
    primary_counts,
)
from rpt_dosimetry.dicom.planar import ANTERIOR, POSTERIOR, Planar


@dataclass(frozen=True)
class Sweep:
    """How the planar scan lost counts.

    Attributes:
        dead_time: Of each detector.
        detector_mm: Length of a detector along the body, mm.
    """

    dead_time: DeadTime
    detector_mm: float


@dataclass(frozen=True)
class Choices:
    """What the user chose of the planar scan.

    Attributes:
        photon_kev: Energy of the photon that is counted, keV.
        scatter: One of ``scatter.METHODS``.
        dual_factor: Of the dual energy window.
        sweep: Dead time; ``None`` leaves it uncorrected.
        place: Where the first pixel lies; ``None`` finds it.
        outside_at_most: Largest fraction of the activity outside the views; ``None``: not told.
    """

    photon_kev: float
    scatter: str
    dual_factor: float | None = None
    sweep: Sweep | None = None
    place: Alignment | None = None
    outside_at_most: float | None = None


@dataclass(frozen=True)
class ViewedField:
    """The fraction in the field and how it was found.

    Attributes:
        fraction: With its parts of uncertainty.
        at: Where the views lie.
        windows: Photopeak and neighbours.
        least_live_fraction: Of the rows of both views; 1 without dead time.
        edges: Edges of the views at which the patient goes on; see ``counts_at_edges``.
    """

    fraction: FieldFraction
    at: Alignment
    windows: Windows
    least_live_fraction: float
    edges: Mapping[str, float]


def view_field(planar: Planar, *, spect: Volume, ct: Volume, choices: Choices) -> ViewedField:
    """Find the fraction of the activity in the SPECT's field of view.

    Args:
        planar: Anterior and posterior views, taken before any excretion.
        spect: Reconstructed counts.
        ct: CT in HU in the SPECT's world; what it does not show is bounded.
        choices: What the user chose.

    Returns:
        The fraction and how it was found.

    Raises:
        BadInput: A view or window is missing, the dead time, the place or the CT cannot be used.
    """
    limits = list(dict.fromkeys(one.window for one in planar.planes if one.window is not None))
    windows = choose_windows(limits, photon_kev=choices.photon_kev)
    check_scatter(windows, method=choices.scatter, dual_factor=choices.dual_factor)
    views, live = [], []
    for view in (ANTERIOR, POSTERIOR):
        fraction = _live_fraction(planar, view, windows, choices.sweep)
        views.append(_primary(planar, view, windows, choices) / fraction)
        live.append(float(fraction.min()))
    pixel_mm = planar.planes[0].pixel_mm
    upright = in_ras(spect, name="The SPECT")
    seen = FrontalPlane(upright.data.sum(axis=1, dtype=np.float64), *frontal_mm(upright))
    at = choices.place or align(geometric_mean(*views), pixel_mm=pixel_mm, spect=seen)
    mean = _binned_mean(views, pixel_mm, at)
    path = path_on(attenuation_path(ct, photon_kev=choices.photon_kev), mean)
    peaks = [planar.plane(view, windows.peak).counts for view in (ANTERIOR, POSTERIOR)]
    edges = counts_at_edges(views[0] + views[1], peaks[0] + peaks[1])
    return ViewedField(field_fraction(mean, path, spect=seen), at, windows, min(live), edges)


def _primary(
    planar: Planar, view: str, windows: Windows, choices: Choices
) -> Float64[np.ndarray, "x z"]:
    lower, upper = (
        None if window is None else planar.plane(view, window)
        for window in (windows.lower, windows.upper)
    )
    peak = planar.plane(view, windows.peak)
    return primary_counts(
        peak, lower, upper, method=choices.scatter, dual_factor=choices.dual_factor
    )


def _live_fraction(
    planar: Planar, view: str, windows: Windows, sweep: Sweep | None
) -> Float64[np.ndarray, " z"]:
    peak = planar.plane(view, windows.peak)
    if sweep is None:
        return np.ones(peak.counts.shape[1])
    if planar.velocity_mm_per_s is None:
        raise BadInput(
            "Scan Velocity (0018,1300) must be there to correct the planar scan for dead time, "
            "and it is missing. Leave tau_us out, or export the views anew."
        )
    if not 0 < sweep.detector_mm <= 1000.0:
        raise BadInput(f"detector_mm must be above 0 and at most 1000 mm, got {sweep.detector_mm}.")
    return sweep_live_fraction(
        peak.counts.sum(axis=0),
        dead_time=sweep.dead_time,
        rows_in_view=max(1, round(sweep.detector_mm / peak.pixel_mm[1])),
        exposure_s=sweep.detector_mm / planar.velocity_mm_per_s,
    )


def _binned_mean(
    views: list[Float64[np.ndarray, "x z"]], pixel_mm: tuple[float, float], at: Alignment
) -> FrontalPlane:
    sums, sizes = zip(*(binned(view, pixel_mm=pixel_mm) for view in views), strict=True)
    x_size, z_size = sizes[0]
    first = Alignment(
        at.x_mm + (x_size - 1) / 2 * pixel_mm[0],
        at.z_mm + (z_size - 1) / 2 * pixel_mm[1],
        at.correlation,
    )
    wide_mm = (x_size * pixel_mm[0], z_size * pixel_mm[1])
    return placed_view(geometric_mean(*sums), pixel_mm=wide_mm, at=first)
