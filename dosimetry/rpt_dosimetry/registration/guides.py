"""The images that steer a registration: CT or emission, made coarse and of one range."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped
from rpt_cohort import BadInput, Volume, grid_fault
from scipy import ndimage

from rpt_dosimetry.dose.anatomy import check_hu
from rpt_dosimetry.registration.transform import (
    check_axes,
    itk_affine,
    itk_values,
    simpleitk,
    to_itk,
)

Kind = Literal["CT", "emission"]

LEVEL_MM = 4.0
"""Ours: voxels of about this size steer; a finer CT costs time and moves nothing."""
TOP = 50.0
"""Ours: values of a guide run from 0 to 50, one a bin of the mutual information."""
_HU = (-1000.0, -200.0, -150.0, 250.0, 1500.0)
_LEVELS = (0.0, 10.0, 12.0, 45.0, TOP)
"""Ours: most bins for soft tissue, where the organs' borders are; lungs and bone keep some.
Mutual information asks for no linear scale."""
BRIGHT_PERCENTILE = 99.9
"""Ours: of an emission image's values above 0; hotter voxels count as this hot."""
BODY_ABOVE_HU = -300.0
BODY_ABOVE_SHARE = 0.02
"""Ours: of the bright value; the blur of a hot organ reaches as far as a patient's skin."""
LEAST_VOXELS = 16
"""Along each axis: the coarsest level leaves a quarter of them."""
SMOOTH_MM = 6.0
"""Ours: standard deviation of a Gaussian, for judging how two scans agree. The noise of a CT
hides the organs from a histogram, and interpolation, which smooths, would look like a gain."""
RIM_MM = 12.0
"""Ours: the body's own border steers too, the couch below it does not."""
NEGATIVE_SHARE = 0.1
"""Ours: some reconstructions leave small negative values; CT numbers are no small ones."""


@dataclass(frozen=True)
class Guide:
    """One image that steers.

    Attributes:
        image: SimpleITK image, values 0 to 50, voxels of about 4 mm.
        smooth: The same, smoothed to judge agreement by.
        body: True in the patient, shape (x, y, z) of the image.
        near: True there and within ``RIM_MM`` of it.
    """

    image: Any
    smooth: Any
    body: Bool[np.ndarray, "x y z"]
    near: Bool[np.ndarray, "x y z"]
    kind: Kind

    @property
    def values(self) -> Shaped[np.ndarray, "x y z"]:
        """The image's values."""
        return itk_values(self.image)

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → position, mm, RAS+."""
        return itk_affine(self.image)

    def box_mm(self) -> Float[np.ndarray, "9 3"]:
        """Return the centre of the body's box and its eight corners, mm, RAS+."""
        inside = np.argwhere(self.body)
        low, high = inside.min(axis=0), inside.max(axis=0)
        corners = low + np.array(list(np.ndindex(2, 2, 2))) * (high - low)
        points = np.concatenate([(low + high)[np.newaxis] / 2.0, corners])
        points_mm: Float[np.ndarray, "9 3"] = points @ self.affine[:3, :3].T + self.affine[:3, 3]
        return points_mm


def guide(volume: Volume, *, kind: Kind, name: str, mask: Volume | None = None) -> Guide:
    """Make the image that steers, from CT (HU) or emission (Bq/mL, or SUV in g/mL).

    Args:
        mask: Where to look, above 0, on the grid of ``volume``; the body by default.

    Raises:
        BadInput: The values cannot be what they are said to be or are constant, or the mask is
            empty or on another grid.
    """
    check_axes(volume, name=name)
    check = check_hu if kind == "CT" else check_emission
    check(volume, name=name)
    wanted = None if mask is None else _of_mask(mask, volume, name)
    # Coarse first: the mean of HU or activity is a larger voxel's, that of its levels is not.
    coarse = _coarse(to_itk(volume.data, volume.affine))
    values = itk_values(coarse)
    image = to_itk(
        _ct_levels(values) if kind == "CT" else _emission_levels(values), itk_affine(coarse)
    )
    if min(image.GetSize()) < LEAST_VOXELS:
        raise BadInput(
            f"{name} must have {LEAST_VOXELS} or more voxels of about {LEVEL_MM:g} mm along each "
            f"axis to be registered, got {image.GetSize()}. Give the whole scan."
        )
    if wanted is not None:
        inside = itk_values(_coarse(to_itk(wanted, volume.affine))) >= 0.5
    else:
        inside = _body(values, kind)
    if not inside.any():
        raise BadInput(
            f"{name} must show a body of many voxels, and it does not. Check its unit, or give "
            "a mask that covers the body."
        )
    if np.ptp(itk_values(image)[inside]) < 1.0:
        raise BadInput(f"{name} must have contrast to be registered, and it is almost constant.")
    return Guide(image, _smooth(image), inside, _near(inside, image.GetSpacing()), kind)


def check_emission(volume: Volume, *, name: str) -> None:
    """Refuse a volume that cannot be an activity concentration or a SUV.

    Raises:
        BadInput: A value is not finite, none is above 0, or some are far below 0, as HU are.
    """
    if not np.isfinite(volume.data).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew.")
    low, high = float(volume.data.min()), float(volume.data.max())
    if not high > 0 or low < -NEGATIVE_SHARE * high or low == high:
        raise BadInput(
            f"{name} must be an activity concentration (Bq/mL) or a SUV (g/mL) with contrast, got "
            f"values from {low:.6g} to {high:.6g}. A CT is given by --fixed-ct and --moving-ct."
        )


def _ct_levels(hu: Shaped[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    levels: Float[np.ndarray, "x y z"] = np.interp(hu, _HU, _LEVELS)
    return levels


def _emission_levels(values: Shaped[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    # The root gives Poisson noise one size, and a hot lesion less than all the bins.
    levels: Float[np.ndarray, "x y z"] = TOP * np.sqrt(np.clip(values / _bright(values), 0.0, 1.0))
    return levels


def _bright(values: Shaped[np.ndarray, "x y z"]) -> float:
    filled = values[values > 0]
    return float(np.percentile(filled, BRIGHT_PERCENTILE)) if filled.size else 1.0


def _body(values: Shaped[np.ndarray, "x y z"], kind: Kind) -> Bool[np.ndarray, "x y z"]:
    if kind == "CT":
        return _largest(ndimage.binary_opening(values > BODY_ABOVE_HU))
    body: Bool[np.ndarray, "x y z"] = values > BODY_ABOVE_SHARE * _bright(values)
    return body


def _of_mask(mask: Volume, volume: Volume, name: str) -> Bool[np.ndarray, "x y z"]:
    fault = grid_fault(mask, volume, name="The mask (--mask)", like_name=name)
    if fault is not None:
        raise BadInput(fault)
    inside: Bool[np.ndarray, "x y z"] = mask.data > 0
    if not inside.any():
        raise BadInput("The mask (--mask) must have voxels above 0, and has none.")
    return inside


def _largest(inside: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    parts, count = ndimage.label(inside)
    if count < 2:
        return inside
    largest: Bool[np.ndarray, "x y z"] = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return largest


def _near(
    body: Bool[np.ndarray, "x y z"], spacing_mm: tuple[float, ...]
) -> Bool[np.ndarray, "x y z"]:
    near: Bool[np.ndarray, "x y z"] = (
        ndimage.distance_transform_edt(~body, sampling=spacing_mm) <= RIM_MM
    )
    return near


def _smooth(image: Any) -> Any:
    sigma = [SMOOTH_MM / side_mm for side_mm in image.GetSpacing()]
    values = ndimage.gaussian_filter(itk_values(image), sigma, mode="nearest")
    return to_itk(values, itk_affine(image))


def _coarse(image: Any) -> Any:
    factors = [max(1, round(LEVEL_MM / side_mm)) for side_mm in image.GetSpacing()]
    factors = [min(factor, size) for factor, size in zip(factors, image.GetSize(), strict=True)]
    return simpleitk().BinShrink(image, factors)
