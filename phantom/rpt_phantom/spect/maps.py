"""Maps on the camera's grids: attenuation from CT, cropping to the body, coarser voxels."""

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from rpt_dosimetry.calibration.planar import linear_attenuation_per_cm

from rpt_phantom.spect.camera import PHOTON_KEV, Camera

Map = Float32[np.ndarray, "_ _ _"]
"""Shape (x, y, z), RAS+. Whether two are of one shape is for ``check_map`` to say."""

BODY_ABOVE_PER_CM = 0.03
"""A quarter of water's: lung is body, air and cloth are not; ours."""
MARGIN_MM = 30.0
"""Around the body, for the blur: 3 standard deviations at 30 cm; ours."""


def mu_per_cm(ct_hu: Shaped[np.ndarray, "x y z"]) -> Map:
    """Return the attenuation coefficient at 208 keV, 1/cm, of a CT in HU.

    See ``linear_attenuation_per_cm`` for how.
    """
    per_cm: Map = linear_attenuation_per_cm(ct_hu, photon_kev=PHOTON_KEV).astype(np.float32)
    return per_cm


def coarser(values: Shaped[np.ndarray, "x y z"], factor: int) -> Map:
    """Average over cubes of ``factor`` voxels; what is left over at the end in z gets zeros.

    Raises:
        ValueError: The voxels in x or y are no multiple of ``factor``.
    """
    x, y, z = values.shape
    if x % factor or y % factor:
        raise ValueError(
            f"x and y must be multiples of {factor} voxels, got {x} and {y}. Pad the map evenly."
        )
    padded = np.pad(values, ((0, 0), (0, 0), (0, -z % factor)))
    blocks = padded.reshape(x // factor, factor, y // factor, factor, -1, factor)
    averaged: Map = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return averaged


def body_width(body: Bool[np.ndarray, "x y z"], *, spacing_mm: float, multiple: int) -> int:
    """Return the width of the centred square that holds the body, in voxels.

    Args:
        body: Where it is.
        spacing_mm: Edge of a voxel, mm.
        multiple: What the width must be a multiple of.

    Returns:
        At most the width of ``body``.
    """
    n = int(body.shape[0])
    filled = np.concatenate(np.nonzero(np.any(body, axis=2)))
    if not filled.size:
        return n
    reach = float(np.abs(filled - (n - 1) / 2).max()) + 0.5 + MARGIN_MM / spacing_mm
    width = int(np.ceil(2 * reach / multiple)) * multiple
    return min(width, n)


def cropped(values: Shaped[np.ndarray, "x y z"], width: int) -> Shaped[np.ndarray, "w w z"]:
    """Cut the centred square of ``width`` voxels out of x and y."""
    first = (values.shape[0] - width) // 2
    return values[first : first + width, first : first + width]


def pixels_per_voxel(spacing_mm: float, camera: Camera) -> int:
    """Return how many voxels a pixel of the camera is wide.

    Raises:
        ValueError: It is no whole number.
    """
    ratio = round(camera.pixel_mm / spacing_mm)
    if ratio < 1 or abs(ratio * spacing_mm - camera.pixel_mm) > 1e-3 * camera.pixel_mm:
        raise ValueError(
            f"spacing_mm must be {camera.pixel_mm} mm (the camera's pixel) or a whole part of it, "
            f"got {spacing_mm} mm. Resample the map."
        )
    return ratio


def check_map(values: Map, name: str, *, like: Map | None = None) -> None:
    """Refuse a map that cannot be projected.

    Raises:
        ValueError: It is not square, of an odd width, of another shape, negative or not finite.
    """
    x, y, _ = values.shape
    if x != y or x % 2:
        raise ValueError(f"{name} must be of one even width in x and y, got {x} and {y}. Pad it.")
    if like is not None and values.shape != like.shape:
        raise ValueError(
            f"{name} must be on the activity's grid {like.shape}, got {values.shape}. Resample it."
        )
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{name} must be finite and nowhere negative. Set such voxels to 0.")
