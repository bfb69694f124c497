"""Two opposite views become one that knows no depth.

Source: the conjugate-view method, MIRD Pamphlet 16 (Siegel et al., J Nucl Med 40 (1999) 37S): the
activity of a source at any depth goes as √(A P) e^(μL/2). Its correction for the thickness of the
source is left out; it is nearly the same in and out of a field of view.
"""

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput

from rpt_dosimetry.calibration.attenuation_path import FrontalPlane

BIN_MM = 10.0
"""Counts are added over squares of about this size before the roots are taken; ours. A camera for
therapy resolves no finer, and the root of few counts is too low: by 1/(8A) + 1/(8P)."""


def geometric_mean(
    anterior: Float64[np.ndarray, "x z"], posterior: Float64[np.ndarray, "x z"]
) -> Float64[np.ndarray, "x z"]:
    """Return the geometric mean of two views; 0 where one has no count above 0.

    Args:
        anterior: Primary counts, shape (x, z).
        posterior: Primary counts, on the same axes.
    """
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
        pixel_mm: Of ``counts``, mm.

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

    Args:
        path: From the CT.
        like: Where it is wanted.

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
