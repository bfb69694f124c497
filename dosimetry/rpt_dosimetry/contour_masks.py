"""From planar contours to a mask on a volume's grid.

A voxel belongs to a region where its centre does: inside an odd number of the contours of
its plane, so that a contour within another is a hole and a contour within a hole is filled
again. DICOM's keyhole, one contour that leads in and out of a hole along one line, comes out
the same. Centres on an edge count on one side only, so that regions that touch share no voxel.

The even-odd rule: Shimrat, Communications of the ACM 5 (1962) 434. How planes become slabs is
ours.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.structures import Structure

FLAT_VOXELS = 0.1
"""By how much the points of a contour may leave their plane, voxels; ours."""

_EDGE_VOXELS = 1e-3  # beyond the image's outer faces, for decimals cut off
_SAME_PLANE_VOXELS = 0.1
_LARGEST_STEP = 1.5  # of two planes without a gap, in units of the smallest


def contour_mask(
    structure: Structure, image: Volume, warnings: list[str]
) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels whose centres lie in a region.

    The contours must lie in planes of the image, across any one of its axes; the image may
    stand obliquely. Each plane stands for a slab, as thick as the smallest distance of two
    of the region's planes (a voxel where there is one plane), and each slice takes the plane
    in whose slab it lies: a region drawn on slices of another thickness is read too.

    Args:
        structure: The region.
        image: The volume whose grid the mask is to have.
        warnings: Takes that the region has gaps or thick slabs, or holds no voxel's centre.

    Returns:
        The mask, on the axes of ``image``.

    Raises:
        BadInput: No contours or open ones, contours tilted against the grid, or a contour
            that leaves the image.
    """
    contours = _in_voxels(structure, image)
    _check_inside(contours, structure, image.data.shape)
    axis = _plane_axis(contours, structure)
    planes, of_contour = _planes([float(points[:, axis].mean()) for points in contours])
    first, end = _slabs(planes, structure, warnings)
    mask = np.zeros(image.data.shape, dtype=np.bool_)
    slices = np.moveaxis(mask, axis, 0)
    across = [one for one in range(3) if one != axis]
    rows, columns = slices[0].shape
    for plane in range(len(planes)):
        section = np.zeros((rows, columns), dtype=np.bool_)
        for number in np.flatnonzero(of_contour == plane):
            section ^= inside(contours[number][:, across], rows, columns)
        slices[max(first[plane], 0) : max(end[plane], 0)] |= section
    if not mask.any():
        warnings.append(f"ROI {structure.number} holds the centre of no voxel: its mask is empty.")
    return mask


def inside(
    polygon: Float[np.ndarray, "points 2"], rows: int, columns: int
) -> Bool[np.ndarray, "rows columns"]:
    """Find the integer positions inside a polygon by the even-odd rule.

    Args:
        polygon: Its corners, in voxels along rows and columns; the last joins the first.
        rows: Size of the grid along the first axis.
        columns: Size of the grid along the second axis.

    Returns:
        True where a ray along the columns crosses the polygon an odd number of times.
    """
    found = np.zeros((rows, columns), dtype=np.bool_)
    ends = np.roll(polygon, -1, axis=0)
    rises = (polygon[:, 0] < ends[:, 0])[:, np.newaxis]
    # From the lower end, whichever way it is drawn, so that an edge is rounded in one way only.
    bottoms, tops = np.where(rises, polygon, ends), np.where(rises, ends, polygon)
    low = max(int(np.ceil(polygon[:, 0].min())), 0)
    high = min(int(np.floor(polygon[:, 0].max())) + 1, rows)
    for row in range(low, high):
        crossed = (bottoms[:, 0] <= row) & (row < tops[:, 0])
        bottom, top = bottoms[crossed], tops[crossed]
        share = (row - bottom[:, 0]) / (top[:, 0] - bottom[:, 0])
        at = np.sort(bottom[:, 1] + share * (top[:, 1] - bottom[:, 1]))
        found[row] = np.searchsorted(at, np.arange(columns), side="right") % 2 == 1
    return found


def _in_voxels(structure: Structure, image: Volume) -> list[Float[np.ndarray, "_ 3"]]:
    """Return the contours that enclose an area, in voxels of the image."""
    if structure.open_contours:
        raise BadInput(
            f"The contours of ROI {structure.number} must be closed, and "
            f"{structure.open_contours} are open: they enclose nothing. Close them."
        )
    closed = [points for points in structure.contours_mm if len(points) >= 3]
    if not closed:
        raise BadInput(
            f"ROI {structure.number} must have a closed contour of 3 points or more, and it has "
            "none. Name another region."
        )
    to_voxels = np.linalg.inv(image.affine)
    return [points @ to_voxels[:3, :3].T + to_voxels[:3, 3] for points in closed]


def _check_inside(
    contours: list[Float[np.ndarray, "_ 3"]], structure: Structure, shape: tuple[int, ...]
) -> None:
    points = np.concatenate(contours)
    last = np.array(shape) - 0.5
    beyond = (points < -0.5 - _EDGE_VOXELS) | (points > last + _EDGE_VOXELS)
    outside = int(beyond.any(axis=1).sum())
    if outside:
        raise BadInput(
            f"The contours of ROI {structure.number} must lie in the image, and {outside} of "
            f"{len(points)} points lie outside. Give the image that it was drawn on, whole."
        )


def _plane_axis(contours: list[Float[np.ndarray, "_ 3"]], structure: Structure) -> int:
    """Return the axis of the grid that is perpendicular to every contour."""
    thickness = np.max([np.ptp(points, axis=0) for points in contours], axis=0)
    axis = int(np.argmin(thickness))
    if thickness[axis] > FLAT_VOXELS:
        raise BadInput(
            f"The contours of ROI {structure.number} must lie in planes of the image, and they "
            f"leave them by {thickness[axis]:.2g} voxels: they are tilted. Give the image that "
            "they were drawn on."
        )
    return axis


def _planes(
    positions: list[float],
) -> tuple[Float[np.ndarray, " planes"], Int[np.ndarray, " contours"]]:
    """Gather contours that lie in one plane: the planes' positions, and whose each is."""
    order = np.argsort(positions, kind="stable")
    ordered = np.array(positions)[order]
    begins = np.concatenate([np.array([True]), np.diff(ordered) > _SAME_PLANE_VOXELS])
    of_contour = np.empty(len(positions), dtype=np.intp)
    of_contour[order] = np.cumsum(begins) - 1
    return ordered[begins], of_contour


def _slabs(
    planes: Float[np.ndarray, " planes"], structure: Structure, warnings: list[str]
) -> tuple[list[int], list[int]]:
    """Return the first slice of each plane's slab, and the one after its last.

    Neighbours meet half-way, so that decimals cut off leave no slice between them.
    """
    steps = np.diff(planes)
    slab = float(steps.min()) if len(steps) else 1.0
    together = steps <= _LARGEST_STEP * slab
    gaps = int((~together).sum())
    if gaps:
        warnings.append(
            f"ROI {structure.number} has {gaps} gaps between its planes; they were left empty."
        )
    if slab > _LARGEST_STEP:
        warnings.append(
            f"ROI {structure.number} has a plane every {slab:.3g} slices; each was taken for a "
            "slab of that thickness."
        )
    middles = (planes[:-1] + planes[1:]) / 2.0
    low = np.concatenate(
        [planes[:1] - slab / 2, np.where(together, middles, planes[1:] - slab / 2)]
    )
    high = np.concatenate(
        [np.where(together, middles, planes[:-1] + slab / 2), planes[-1:] + slab / 2]
    )
    # A slice half-way between two planes goes to one of them whatever was rounded.
    first, end = (np.ceil(edge - _EDGE_VOXELS).astype(int).tolist() for edge in (low, high))
    return first, end
