"""Between volumes in NIfTI's RAS world and SimpleITK's images, which live in LPS."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from rpt_cohort import BadInput, Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Its own inverse: x and y change sign."""
SKEW = 1e-3
"""Largest cosine between two axes; beyond, voxels are no boxes."""


def simpleitk() -> Any:
    """Return SimpleITK, loaded only where it is used.

    Raises:
        BadInput: It is not installed.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise BadInput(
            "Registration needs SimpleITK, and it is not installed. Run: pip install SimpleITK."
        ) from error
    return SimpleITK


@contextmanager
def one_thread() -> Iterator[None]:
    """Let SimpleITK work on one core, and put back what was set.

    Sums over threads differ in their last digits from run to run, and an optimiser makes
    more of it; on one core the same images give the same transform, bit for bit.
    """
    process = simpleitk().ProcessObject
    before = process.GetGlobalDefaultNumberOfThreads()
    process.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        process.SetGlobalDefaultNumberOfThreads(before)


def check_axes(volume: Volume, *, name: str) -> None:
    """Refuse a volume whose voxels are no boxes, or whose axes stand in another order.

    Raises:
        BadInput: Its axes are not at right angles, or do not run across, front to back and
            along the patient, in this order.
    """
    order = [name for code in volume.axis_codes for name in ("RL", "AP", "SI") if code in name]
    if order != ["RL", "AP", "SI"]:
        raise BadInput(
            f"{name} must have its axes in the order right, front, head (RAS), got "
            f"{volume.axis_codes}. Turn it to RAS."
        )
    axes = volume.affine[:3, :3] / np.array(volume.spacing_mm)
    if np.abs(axes.T @ axes - np.eye(3)).max() > SKEW:
        raise BadInput(
            f"{name} must have axes at right angles, and it does not. Resample it to a grid of "
            "boxes."
        )


def to_itk(data: Shaped[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Any:
    """Return values on a grid as a SimpleITK image of float32.

    Args:
        data: Values, shape (x, y, z).
        affine: Voxel index → position, mm, RAS+.
    """
    image = simpleitk().GetImageFromArray(np.ascontiguousarray(data.T.astype(np.float32)))
    in_lps = LPS @ affine
    spacing_mm = np.linalg.norm(in_lps[:3, :3], axis=0)
    image.SetSpacing(spacing_mm.tolist())
    image.SetOrigin(in_lps[:3, 3].tolist())
    image.SetDirection((in_lps[:3, :3] / spacing_mm).ravel().tolist())
    return image


def itk_values(image: Any) -> Shaped[np.ndarray, "x y z"]:
    """Return an image's values, shape (x, y, z)."""
    # A copy in any case: a view's memory goes with the image.
    return np.array(simpleitk().GetArrayViewFromImage(image).T, order="C", copy=True)


def itk_affine(image: Any) -> Float[np.ndarray, "4 4"]:
    """Return voxel index → position, mm, RAS+, of an image."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine
