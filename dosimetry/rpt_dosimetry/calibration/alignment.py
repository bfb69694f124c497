"""Where a planar view lies over the SPECT: no DICOM tag tells it.

The SPECT, seen from in front, is moved over the geometric mean of the views to where the two
correlate best. The method and its limit are ours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from rpt_cohort import BadInput
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from rpt_dosimetry.calibration.attenuation_path import FrontalPlane
from rpt_dosimetry.calibration.conjugate import mean_over

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
        view: Geometric mean of the views, shape (x, z).
        pixel_mm: Of ``view``, mm.
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
