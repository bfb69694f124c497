"""The fraction of the body's activity in the field of view of the SPECT, from planar views.

Two opposite views become one that knows no depth: the activity of a source at any depth goes as
√(A P) e^(μL/2), with μL from the CT. The correction for the thickness of the source is left out;
it is nearly the same in and out of a field of view. No DICOM tag tells where a view lies over
the SPECT: the SPECT, seen from in front, is moved over the geometric mean of the views to where
the two correlate best; the method and its limit are ours.

Source: Halty et al., EJNMMI Phys 5 (2018) 11; conjugate views: MIRD Pamphlet 16 (Siegel et al.,
J Nucl Med 40 (1999) 37S). How the parts that the CT does not show are bounded, and what the
alignment is uncertain by, is ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xraydb
from jaxtyping import Float64, Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.volumes import turned_to_ras
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from rpt_dosimetry.calibration.counts import (
    Windows,
    check_scatter,
    choose_windows,
    primary_counts,
    sweep_live_fraction,
)
from rpt_dosimetry.dicom.planar import ANTERIOR, POSTERIOR, Planar
from rpt_dosimetry.dose.anatomy import check_hu, mass_density_g_per_ml
from rpt_dosimetry.options import CalibrationOptions, DeadTime
from rpt_dosimetry.radiation.media import find_medium

LEAST_KEV, LARGEST_KEV = 30.0, 800.0
_SOFT_TO_HU, _BONE_FROM_HU = 100.0, 1600.0
"""Between them the composition goes from soft tissue to skeleton, linearly; ours. At 208 keV the
two differ by 3 % a gram."""
_AIR_BELOW_HU = -900.0
_MM_PER_CM = 10.0
_LARGEST_TILT = 1e-3


@dataclass(frozen=True)
class FrontalPlane:
    """Values on a plane seen from in front, on ascending positions.

    Attributes:
        x_mm: Position of each column of pixels, to the patient's right, mm.
        z_mm: Position of each row of pixels, to the head, mm.
    """

    values: Float64[np.ndarray, "x z"]
    x_mm: Float64[np.ndarray, " x"]
    z_mm: Float64[np.ndarray, " z"]


def attenuation_path(ct: Volume, *, photon_kev: float) -> FrontalPlane:
    """Integrate the attenuation coefficient from front to back.

    μ = ρ(HU) · μ/ρ: density after Schneider, the mass coefficient of soft tissue, towards
    bone that of skeleton, coherent scattering included: a narrow beam, as scatter was
    corrected. Below −900 HU is air, and counts as none. The couch that the CT shows counts, as
    the couch under the planar scan did.

    Returns:
        The integral of μ, a pure number, on the CT's columns and rows.

    Raises:
        BadInput: The energy is out of the tables, the CT is not in HU, or it is tilted.

    Source: Elam, Ravel & Sieber, Radiat Phys Chem 63 (2002) 121, by ``xraydb``; Schneider et al.
    2000 as in ``mass_density_g_per_ml``.
    """
    if not LEAST_KEV <= photon_kev <= LARGEST_KEV:
        raise BadInput(
            f"photon_kev must be from {LEAST_KEV:g} to {LARGEST_KEV:g} keV, got {photon_kev!r} keV."
        )
    check_hu(ct, name="The CT")
    upright = in_ras(ct, name="The CT")
    per_cm = linear_attenuation_per_cm(upright.data, photon_kev=photon_kev)
    depth_cm = upright.spacing_mm[1] / _MM_PER_CM
    return FrontalPlane(per_cm.sum(axis=1) * depth_cm, *frontal_mm(upright))


def linear_attenuation_per_cm(
    ct_hu: Shaped[np.ndarray, "x y z"], *, photon_kev: float
) -> Float64[np.ndarray, "x y z"]:
    """Return the linear attenuation coefficient, 1/cm, see ``attenuation_path``."""
    hu = ct_hu.astype(np.float64)
    soft, bone = (_mass_cm2_per_g(name, photon_kev) for name in ("soft", "bone"))
    share = np.clip((hu - _SOFT_TO_HU) / (_BONE_FROM_HU - _SOFT_TO_HU), 0.0, 1.0)
    per_cm = mass_density_g_per_ml(hu) * (soft + share * (bone - soft))
    return np.where(hu < _AIR_BELOW_HU, 0.0, per_cm)


def in_ras(volume: Volume, *, name: str) -> Volume:
    """Turn a volume's axes to the right, front and head.

    Raises:
        BadInput: Its axes are tilted against the patient's.
    """
    turned = turned_to_ras(volume)
    affine = turned.affine
    off_axis = np.abs(affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))).max()
    if off_axis > _LARGEST_TILT * np.abs(affine[:3, :3]).max():
        raise BadInput(
            f"{name} must lie along the patient's axes, and it is tilted. Resample it to upright "
            "slices first."
        )
    return turned


def frontal_mm(upright: Volume) -> tuple[Float64[np.ndarray, " x"], Float64[np.ndarray, " z"]]:
    """Return the positions of a RAS volume's columns (x) and slices (z), mm."""
    x, _, z = upright.data.shape
    affine = upright.affine
    return (
        affine[0, 3] + affine[0, 0] * np.arange(x, dtype=np.float64),
        affine[2, 3] + affine[2, 2] * np.arange(z, dtype=np.float64),
    )


def _mass_cm2_per_g(medium_name: str, energy_kev: float) -> float:
    fractions = find_medium(medium_name).mass_fraction
    return sum(
        fraction * float(xraydb.mu_elam(element, energy_kev * 1000.0, kind="total"))
        for element, fraction in fractions.items()
    )


BIN_MM = 10.0
"""Counts are added over squares of about this size before the roots are taken; ours. A camera for
therapy resolves no finer, and the root of few counts is too low: by 1/(8A) + 1/(8P)."""


def geometric_mean(
    anterior: Float64[np.ndarray, "x z"], posterior: Float64[np.ndarray, "x z"]
) -> Float64[np.ndarray, "x z"]:
    """Return the geometric mean of two views; 0 where one has no count above 0."""
    mean: Float64[np.ndarray, "x z"] = np.sqrt(
        np.maximum(anterior, 0.0) * np.maximum(posterior, 0.0)
    )
    return mean


def binned(
    counts: Float64[np.ndarray, "x z"], *, pixel_mm: tuple[float, float]
) -> tuple[Float64[np.ndarray, "bx bz"], tuple[int, int]]:
    """Add counts over squares of about ``BIN_MM``.

    Args:
        counts: Shape (x, z); what is left over at the upper edges is padded with 0.

    Returns:
        The sums, and how many pixels of each axis make a bin.
    """
    x_size, z_size = (max(1, round(BIN_MM / size_mm)) for size_mm in pixel_mm)
    padding = [(0, -counts.shape[0] % x_size), (0, -counts.shape[1] % z_size)]
    padded = np.pad(counts, padding)
    shape = (padded.shape[0] // x_size, x_size, padded.shape[1] // z_size, z_size)
    sums: Float64[np.ndarray, "bx bz"] = padded.reshape(shape).sum(axis=(1, 3))
    return sums, (x_size, z_size)


def path_on(path: FrontalPlane, like: FrontalPlane) -> Float64[np.ndarray, "x z"]:
    """Take an attenuation path to the pixels of a view.

    Returns:
        The path averaged over each pixel; 0 beside the CT; NaN above and below it, where it is
        not known.

    Raises:
        BadInput: The CT and the view do not meet.
    """
    # Cumulated and differenced, so that a wide pixel takes the mean of the CT under it.
    along_x = mean_over(path.values, path.x_mm, like.x_mm, outside=0.0)
    taken = mean_over(along_x.T, path.z_mm, like.z_mm, outside=np.nan).T
    if not np.isfinite(taken).any():
        raise BadInput("The CT must cover a part of the planar views, and it covers none.")
    return taken


def mean_over(
    values: Float64[np.ndarray, "n m"],
    from_mm: Float64[np.ndarray, " n"],
    to_mm: Float64[np.ndarray, " k"],
    *,
    outside: float,
) -> Float64[np.ndarray, "k m"]:
    """Average along the first axis from one ascending regular sampling to another."""
    step_mm, wide_mm = from_mm[1] - from_mm[0], to_mm[1] - to_mm[0]
    edges_mm = np.append(from_mm - step_mm / 2, from_mm[-1] + step_mm / 2)
    cumulated = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0) * step_mm])
    low = np.clip(to_mm - wide_mm / 2, edges_mm[0], edges_mm[-1])
    high = np.clip(to_mm + wide_mm / 2, edges_mm[0], edges_mm[-1])
    sums = np.array([_at(edges_mm, cumulated, one) for one in (high, low)])
    covered_mm = (high - low)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (sums[0] - sums[1]) / covered_mm
    # A pixel that the CT covers by less than half is taken as not covered.
    return np.where(covered_mm < wide_mm / 2, outside, mean)


def _at(
    edges_mm: Float64[np.ndarray, " e"],
    cumulated: Float64[np.ndarray, "e m"],
    where_mm: Float64[np.ndarray, " k"],
) -> Float64[np.ndarray, "k m"]:
    columns = [np.interp(where_mm, edges_mm, column) for column in cumulated.T]
    return np.stack(columns, axis=1)


LEAST_CORRELATION = 0.7
_SMOOTH_MM = 5.0


@dataclass(frozen=True)
class Alignment:
    """Where the first pixel of a view lies.

    Attributes:
        x_mm: Position of its centre to the patient's right in the SPECT's world, mm.
        z_mm: Position of its centre to the head in the SPECT's world, mm.
        correlation: Of view and SPECT there, at most 1; ``None`` where it was told.
    """

    x_mm: float
    z_mm: float
    correlation: float | None


def align(
    view: Float64[np.ndarray, "x z"], *, pixel_mm: tuple[float, float], spect: FrontalPlane
) -> Alignment:
    """Find where a view lies over the SPECT, to a pixel of the view.

    Args:
        spect: SPECT counts summed from front to back.

    Returns:
        The place of the highest normalised cross-correlation.

    Raises:
        BadInput: Nowhere do the two look alike.
    """
    x_mm = _centres_mm(spect.x_mm, pixel_mm[0])
    z_mm = _centres_mm(spect.z_mm, pixel_mm[1])
    along_x = mean_over(spect.values, spect.x_mm, x_mm, outside=0.0)
    template = _smooth(mean_over(along_x.T, spect.z_mm, z_mm, outside=0.0).T, pixel_mm)
    padding = template.shape[0]  # the SPECT's field may be wider than the view
    image = np.pad(_smooth(view, pixel_mm), [(padding, padding), (0, 0)])
    if template.shape[1] > image.shape[1]:
        raise BadInput("The planar views must be longer than the SPECT, and they are not.")
    score = _correlation(image, template)
    column, row = np.unravel_index(int(np.argmax(score)), score.shape)
    best = float(score[column, row])
    if not best >= LEAST_CORRELATION:
        raise BadInput(
            f"The planar views must look like the SPECT from in front somewhere, correlation "
            f"{LEAST_CORRELATION:g} or above, got {best:.2f}. Are they of one patient and upright? "
            "Tell the place of the views."
        )
    return Alignment(
        float(x_mm[0] - (column - padding) * pixel_mm[0]),
        float(z_mm[0] - row * pixel_mm[1]),
        best,
    )


def placed_view(
    view: Float64[np.ndarray, "x z"], *, pixel_mm: tuple[float, float], at: Alignment
) -> FrontalPlane:
    """Put a view where its first pixel lies."""
    x_mm, z_mm = (
        first_mm + size_mm * np.arange(count, dtype=np.float64)
        for first_mm, size_mm, count in zip((at.x_mm, at.z_mm), pixel_mm, view.shape, strict=True)
    )
    return FrontalPlane(view, x_mm, z_mm)


def _centres_mm(from_mm: Float64[np.ndarray, " n"], pixel_mm: float) -> Float64[np.ndarray, " k"]:
    """Return pixel centres of another size over the same extent."""
    step_mm = from_mm[1] - from_mm[0]
    count = max(2, round(len(from_mm) * step_mm / pixel_mm))
    middle_mm = (from_mm[0] + from_mm[-1]) / 2.0
    centres: Float64[np.ndarray, " k"] = middle_mm + pixel_mm * (np.arange(count) - (count - 1) / 2)
    return centres


def _smooth(
    plane: Float64[np.ndarray, "x z"], pixel_mm: tuple[float, float]
) -> Float64[np.ndarray, "x z"]:
    # The root draws hot organs and the body nearer together.
    root = np.sqrt(np.maximum(plane, 0.0))
    smooth: Float64[np.ndarray, "x z"] = gaussian_filter(
        root, [_SMOOTH_MM / size_mm for size_mm in pixel_mm], mode="constant"
    )
    return smooth


def _correlation(
    image: Float64[np.ndarray, "x z"], template: Float64[np.ndarray, "u w"]
) -> Float64[np.ndarray, "i j"]:
    """Return the normalised cross-correlation at every place where the template fits."""
    ones = np.ones_like(template)
    centred = template - template.mean()
    product = fftconvolve(image, centred[::-1, ::-1], mode="valid")
    total = fftconvolve(image, ones, mode="valid")
    square = fftconvolve(image**2, ones, mode="valid")
    spread = np.maximum(square - total**2 / template.size, 0.0) * (centred**2).sum()
    floor = 1e-9 * max(float(spread.max()), 1e-300)  # where the image is flat nothing correlates
    score: Float64[np.ndarray, "i j"] = product / np.sqrt(np.maximum(spread, floor))
    return np.where(spread > floor, score, 0.0)


LOWER, UPPER, RIGHT, LEFT = (
    "lower (the feet's side)",
    "upper (the head's side)",
    "right (the patient's)",
    "left (the patient's)",
)
EDGE_SHARE = 0.02
"""Counts of a view's outermost lines over those of its mean line, up to which nobody goes on beyond
it; ours. Counts of the background and of noise are fewer, of a leg or an arm that is cut far more:
a thigh's row holds some 40 % of a mean one."""
EDGE_LINES = 3
"""Outermost lines that an edge is judged by; ours. A blank line or a ramp at the edge hides no
counts; more lines would reach a head that ends shortly before the edge."""
ALIGNMENT_MM = 5.0
"""Half-width of the place of the field along the body; ours, about a pixel of a view."""
THINNEST = 0.5
"""Least attenuation (integral of μ) beyond the CT, over that in it: head and legs against a trunk;
ours."""


@dataclass(frozen=True)
class FieldFraction:
    """How much of the activity the SPECT saw.

    Attributes:
        attenuation_sd: Relative, of what the CT does not show.
        alignment_sd: Relative, of the place of the field.
        counts_beyond_ct: Fraction of the uncorrected counts where the CT does not reach.
    """

    fraction: float
    attenuation_sd: float
    alignment_sd: float
    counts_beyond_ct: float


def field_fraction(
    mean: FrontalPlane, path: Float64[np.ndarray, "x z"], *, spect: FrontalPlane
) -> FieldFraction:
    """Find the fraction of the activity in the field of view.

    Beyond the CT a patient attenuates between ``THINNEST`` of what the CT's rows do on average and
    as they do: the fraction is the middle of the two, its uncertainty their half-difference / √3.

    Args:
        path: Integral of μ from front to back; NaN where it is not known.
        spect: The SPECT from in front; its edges are the field.

    Raises:
        BadInput: The views hold no counts, or none in the field.
    """
    known = np.isfinite(path)
    total = float(mean.values.sum())
    if not total > 0 or not float(mean.values[known].sum()) > 0:
        raise BadInput("The planar views must hold counts where the CT lies, and they do not.")
    typical = float(np.average(path[known], weights=mean.values[known]))
    low, high = (
        mean.values * np.exp(np.where(known, path, beyond) / 2.0)
        for beyond in (THINNEST * typical, typical)
    )
    bounds = [_share(image, mean, spect) for image in (low, high)]
    fraction = sum(bounds) / 2.0
    if not fraction > 0:
        raise BadInput("The field of the SPECT must hold counts of the views, and it holds none.")
    middle = (low + high) / 2.0
    moved = [_share(middle, mean, spect, moved_mm=mm) for mm in (-ALIGNMENT_MM, ALIGNMENT_MM)]
    rectangle = 1.0 / (2.0 * math.sqrt(3.0) * fraction)
    return FieldFraction(
        fraction,
        attenuation_sd=abs(bounds[1] - bounds[0]) * rectangle,
        alignment_sd=abs(moved[1] - moved[0]) * rectangle,
        counts_beyond_ct=1.0 - float(mean.values[known].sum()) / total,
    )


def _share(
    image: Float64[np.ndarray, "x z"],
    mean: FrontalPlane,
    spect: FrontalPlane,
    *,
    moved_mm: float = 0.0,
) -> float:
    inside_x = overlap(mean.x_mm, spect.x_mm)
    inside_z = overlap(mean.z_mm, spect.z_mm + moved_mm)
    return float(inside_x @ image @ inside_z) / float(image.sum())


def counts_at_edges(
    primary: Float64[np.ndarray, "x z"], peak: Float64[np.ndarray, "x z"]
) -> dict[str, float]:
    """Return at which edges of the views the patient goes on.

    Args:
        primary: Both views' counts, scatter and dead time corrected.
        peak: Both views' counts as recorded. Lines without any were not scanned: the edge is
            where counts begin.

    Returns:
        Edge → counts of its lines over those of the mean line, where they are more than
        ``EDGE_SHARE``: the largest mean from the edge over up to ``EDGE_LINES``.
    """
    shares: dict[str, float] = {}
    for axis, names in ((0, (LEFT, RIGHT)), (1, (LOWER, UPPER))):
        scanned = np.flatnonzero(peak.sum(axis=1 - axis) > 0)
        if not len(scanned):
            continue
        lines = primary.sum(axis=1 - axis)[scanned[0] : scanned[-1] + 1]
        count = min(EDGE_LINES, len(lines))
        for name, outermost in zip(names, (lines[:count], lines[::-1][:count]), strict=True):
            means = np.cumsum(outermost) / np.arange(1, count + 1)
            shares[name] = float(means.max() / lines.mean()) if lines.mean() > 0 else 0.0
    return {name: share for name, share in shares.items() if share > EDGE_SHARE}


def held_by_views(
    *, at_most_outside: float | None, edges: Mapping[str, float]
) -> tuple[float, float | None]:
    """Return which fraction of the body's activity the views hold, and its relative uncertainty.

    Args:
        at_most_outside: Largest fraction outside them; ``None`` where nobody told it.
        edges: Where the patient goes on; see ``counts_at_edges``.

    Returns:
        The middle of the bounds with a rectangle's standard uncertainty. Untold, it is all of it,
        certain where no edge holds counts and of unknown uncertainty where one does.
    """
    if at_most_outside is None:
        return 1.0, None if edges else 0.0
    half = at_most_outside / 2.0
    return 1.0 - half, half / math.sqrt(3.0) / (1.0 - half)


def overlap(
    pixel_mm: Float64[np.ndarray, " n"], field_mm: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " n"]:
    """Return which fraction of each pixel lies between the outer edges of a field.

    Args:
        pixel_mm: Centres of the pixels, ascending and regular, mm.
        field_mm: Centres of the field's voxels, ascending and regular, mm.
    """
    half_pixel, half_voxel = (pixel_mm[1] - pixel_mm[0]) / 2, (field_mm[1] - field_mm[0]) / 2
    low, high = field_mm[0] - half_voxel, field_mm[-1] + half_voxel
    length = np.minimum(pixel_mm + half_pixel, high) - np.maximum(pixel_mm - half_pixel, low)
    share: Float64[np.ndarray, " n"] = np.clip(length / (2 * half_pixel), 0.0, 1.0)
    return share


@dataclass(frozen=True)
class ViewedField:
    """The fraction in the field and how it was found.

    Attributes:
        least_live_fraction: Of the rows of both views; 1 without dead time.
        edges: Edges of the views at which the patient goes on; see ``counts_at_edges``.
    """

    fraction: FieldFraction
    at: Alignment
    windows: Windows
    least_live_fraction: float
    edges: Mapping[str, float]


def view_field(
    planar: Planar,
    *,
    spect: Volume,
    ct: Volume,
    options: CalibrationOptions,
    dead_time: DeadTime | None,
    photon_kev: float,
) -> ViewedField:
    """Find the fraction of the activity in the SPECT's field of view.

    Args:
        planar: Anterior and posterior views, taken before any excretion.
        ct: CT in HU in the SPECT's world; what it does not show is bounded.
        dead_time: Of the camera; ``None`` leaves the views uncorrected.

    Raises:
        BadInput: A view or window is missing, the dead time, the place or the CT cannot be used.
    """
    limits = list(dict.fromkeys(one.window for one in planar.planes if one.window is not None))
    windows = choose_windows(limits, photon_kev=photon_kev)
    check_scatter(windows, options)
    views, live = [], []
    for view in (ANTERIOR, POSTERIOR):
        fraction = _live_fraction(planar, view, windows, options, dead_time)
        views.append(_primary(planar, view, windows, options) / fraction)
        live.append(float(fraction.min()))
    pixel_mm = planar.planes[0].pixel_mm
    upright = in_ras(spect, name="The SPECT")
    seen = FrontalPlane(upright.data.sum(axis=1, dtype=np.float64), *frontal_mm(upright))
    if options.place_mm is None:
        at = align(geometric_mean(*views), pixel_mm=pixel_mm, spect=seen)
    else:
        x_mm, z_mm = options.place_mm
        at = Alignment(x_mm, z_mm, None)
    mean = _binned_mean(views, pixel_mm, at)
    path = path_on(attenuation_path(ct, photon_kev=photon_kev), mean)
    peaks = [planar.plane(view, windows.peak).counts for view in (ANTERIOR, POSTERIOR)]
    edges = counts_at_edges(views[0] + views[1], peaks[0] + peaks[1])
    return ViewedField(field_fraction(mean, path, spect=seen), at, windows, min(live), edges)


def _primary(
    planar: Planar, view: str, windows: Windows, options: CalibrationOptions
) -> Float64[np.ndarray, "x z"]:
    lower, upper = (
        None if window is None else planar.plane(view, window)
        for window in (windows.lower, windows.upper)
    )
    peak = planar.plane(view, windows.peak)
    return primary_counts(peak, lower, upper, options)


def _live_fraction(
    planar: Planar,
    view: str,
    windows: Windows,
    options: CalibrationOptions,
    dead_time: DeadTime | None,
) -> Float64[np.ndarray, " z"]:
    peak = planar.plane(view, windows.peak)
    detector_mm = options.detector_mm
    if (dead_time is None) != (detector_mm is None):
        raise BadInput("dead_time and detector_mm must come together, for the planar sweep.")
    if dead_time is None or detector_mm is None:
        return np.ones(peak.counts.shape[1])
    if planar.velocity_mm_per_s is None:
        raise BadInput(
            "Scan Velocity (0018,1300) must be there to correct the planar scan for dead time, "
            "and it is missing. Leave tau_us out, or export the views anew."
        )
    return sweep_live_fraction(
        peak.counts.sum(axis=0),
        dead_time=dead_time,
        rows_in_view=max(1, round(detector_mm / peak.pixel_mm[1])),
        exposure_s=detector_mm / planar.velocity_mm_per_s,
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
