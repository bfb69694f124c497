"""Organs and lesions of a cycle on its grid, and the body around them."""

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from rpt_cohort import BadInput, Volume
from rpt_cohort.labels import REMAINING_BODY

from rpt_dosimetry.registration.transform import GridMm, Rigid

BODY_ABOVE_HU = -300.0
"""Ours: between air and fat, half-way as a voxel on the skin is."""


def nearest(labels: Volume, grid: GridMm, rigid: Rigid) -> Shaped[np.ndarray, "x y z"]:
    """Carry labels to a grid: each voxel has the label at its centre, 0 outside.

    Args:
        labels: Numbers on any grid.
        grid: Where they are to stand.
        rigid: Position on the grid → position in ``labels``.
    """
    whole = np.linalg.inv(labels.affine) @ rigid.fixed_to_moving @ grid.affine
    x, y, z = (np.arange(size) for size in grid.shape)
    inside = np.ones(grid.shape, dtype=np.bool_)
    index = []
    for axis, size in enumerate(labels.data.shape):
        a, b, c, start = whole[axis]
        at = (a * x)[:, None, None] + (b * y)[:, None] + (c * z + start)
        # Half a millionth of a voxel, so that rounding does not decide what lies on a face.
        voxel = np.floor(at + 0.5 + 5e-7).astype(np.int32)
        inside &= (voxel >= 0) & (voxel < size)
        index.append(np.clip(voxel, 0, size - 1))
    carried: Shaped[np.ndarray, "x y z"] = labels.data[tuple(index)]
    carried[~inside] = 0
    return carried


def with_body(
    organs: Shaped[np.ndarray, "x y z"] | None, ct_hu: Float[np.ndarray, "x y z"]
) -> UInt8[np.ndarray, "x y z"]:
    """Add the remaining body to organs, from the CT.

    The body is the largest part above −300 HU after an opening of the slices by a voxel, which
    takes the couch off, and the air that it encloses in a slice. The steps are ours.

    Args:
        organs: Numbers; ``None`` for none.
        ct_hu: CT on the same grid, HU.

    Raises:
        BadInput: The CT shows no body.
    """
    from scipy import ndimage

    # Within slices alone: an opening along them would eat the ends of the body.
    cross = ndimage.generate_binary_structure(2, 1)[:, :, np.newaxis]
    thick = ndimage.binary_opening(ct_hu > BODY_ABOVE_HU, cross)
    parts, count = ndimage.label(thick)
    if not count:
        raise BadInput(
            f"The CT must show a body, above {BODY_ABOVE_HU:g} HU, where the first SPECT is, and "
            "it does not. Name the CT of that SPECT."
        )
    body = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    for slice_ in np.moveaxis(body, 2, 0):
        slice_[:] = ndimage.binary_fill_holes(slice_)
    found = np.zeros(ct_hu.shape, dtype=np.uint8) if organs is None else organs.astype(np.uint8)
    return np.where((found == 0) & body, np.uint8(REMAINING_BODY), found)
