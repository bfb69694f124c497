"""The fraction of the body's activity in the field of view of the SPECT, from planar views.

Source: Halty et al., EJNMMI Phys 5 (2018) 11. How the parts that the CT does not show are bounded,
and what the alignment is uncertain by, is ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput

from rpt_dosimetry.calibration.attenuation_path import FrontalPlane

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
        fraction: From 0 to 1.
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
        mean: Geometric mean of the primary counts.
        path: Integral of μ from front to back; NaN where it is not known.
        spect: The SPECT from in front; its edges are the field.

    Returns:
        The fraction and its parts of uncertainty.

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

    Raises:
        BadInput: The bound is no fraction.
    """
    if at_most_outside is None:
        return 1.0, None if edges else 0.0
    if not 0 <= at_most_outside < 1:
        raise BadInput(
            "outside_views_at_most must be a fraction from 0 to below 1, got "
            f"{at_most_outside!r}. 5 % is 0.05."
        )
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
