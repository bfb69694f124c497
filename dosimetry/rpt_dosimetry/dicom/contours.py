"""Read a structure set's planar contours, and make masks on a volume's grid of them.

A voxel belongs to a region where its centre does. Of the contours of one plane, one that lies
inside another is a hole in it, and one inside a hole is filled again; others are united, and
where all are of the type CLOSEDPLANAR_XOR, a place in an even number of them is outside. A
contour that is stored twice counts once. Each contour by itself is read by the even-odd rule, so
that DICOM's keyhole, one contour that leads in and out of a hole along one line, has its hole.
Centres on an edge count on one side only, so that regions that touch share no voxel.

Source: DICOM PS3.3, C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour) and C.8.8.6.3; the even-odd
rule: Shimrat, Communications of the ACM 5 (1962) 434. How contours are compared and how planes
become slabs is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.reading import DICOM_ERRORS, quiet, read_object, shown
from rpt_dosimetry.nifti import voxel_ml

STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
XOR = "CLOSEDPLANAR_XOR"

_LARGEST_MM = 1e5  # as of Image Position (Patient)


@dataclass(frozen=True)
class Structure:
    """One region of interest.

    Attributes:
        number: ROI Number, by which errors call it: a name is free text.
        contours_mm: The points of its closed planar contours, mm, RAS+ world of NIfTI.
        xor: Which of these are of the type CLOSEDPLANAR_XOR.
        open_contours: How many of its contours are open and so have no inside.
        fault: Why it cannot be used, a sentence; empty where it can. Who asks for the region
            is refused with it, and who does not is not.
    """

    number: int
    name: str
    contours_mm: tuple[Float[np.ndarray, "_ 3"], ...]
    xor: tuple[bool, ...]
    open_contours: int
    fault: str = ""


def read_structures(path: Path, *, frame_of_reference_uid: str) -> list[Structure]:
    """Read the regions of a structure set that was drawn on one image.

    Args:
        frame_of_reference_uid: Frame of Reference UID of the image: a contour drawn in
            another frame lies elsewhere, even if it is the same patient's.

    Returns:
        The regions in the order of the file, those without contours and faulty ones too. POINT
        contours are left out: they mark a place and enclose nothing.

    Raises:
        BadInput: The file is damaged, no structure set, or holds no region. No name is repeated.
    """
    # Nothing else of the file is loaded, least of all the names of patient and operator.
    dataset, _ = read_object(
        path,
        STRUCTURE_SET_STORAGE,
        "a structure set",
        to_load=("StructureSetROISequence", "ROIContourSequence"),
        remedy="Name the RTSTRUCT file.",
    )
    try:
        with quiet():
            drawn = list(dataset.get("ROIContourSequence") or [])
            items = list(dataset.get("StructureSetROISequence") or [])
            contours = [(_number(item, "ReferencedROINumber"), item) for item in drawn]
            numbers = [_number(item, "ROINumber") for item in items]
    except DICOM_ERRORS as error:
        raise BadInput(
            "The structure set must hold a sequence of ROIs and one of their contours, and one is "
            "malformed. Export it anew."
        ) from error
    if not items:
        raise BadInput(
            f"The structure set must hold a region, and {shown('StructureSetROISequence')} is "
            "empty."
        )
    structures = []
    for place, (item, number) in enumerate(zip(items, numbers, strict=True), start=1):
        name = _name(item)
        try:
            with quiet():
                _check_number(number, numbers, place)
                _check_frame(item, number, frame_of_reference_uid)
                own = [one for of, one in contours if of == number]
                if not own and any(of < 0 for of, _ in contours):
                    raise BadInput(_malformed(number))  # they may be whose number is lost
                structures.append(_structure(number, name, own))
        except DICOM_ERRORS as error:
            fault = str(error) if isinstance(error, BadInput) else _malformed(number)
            structures.append(Structure(number, name, (), (), 0, fault))
    return structures


def _number(item: Any, name: str) -> int:
    """Return the ROI Number in an item; -1 where none can be read."""
    try:
        return int(item[name].value)
    except DICOM_ERRORS:
        return -1


def _name(item: Any) -> str:
    try:
        with quiet():
            return str(item.get("ROIName", "") or "").strip()
    except DICOM_ERRORS:
        return ""


def _malformed(number: int) -> str:
    return (
        f"Each contour of ROI {number} must have its type and points, and one is malformed. Export "
        "the structure set anew."
    )


def _check_number(number: int, numbers: Sequence[int], place: int) -> None:
    if number < 0:
        raise BadInput(
            f"{shown('ROINumber')} must be a whole number of 0 or more, and that of region {place} "
            "of the structure set is not. Export it anew."
        )
    if numbers.count(number) > 1:
        raise BadInput(
            f"Each {shown('ROINumber')} must stand once, and {number} is repeated. Export the "
            "structure set anew."
        )


def _check_frame(item: Any, number: int, frame_of_reference_uid: str) -> None:
    if str(item.get("ReferencedFrameOfReferenceUID", "")) != frame_of_reference_uid:
        raise BadInput(
            f"{shown('FrameOfReferenceUID')} of ROI {number} must be that of the image, and it is "
            "not: the region was drawn on another image. Give the image that it was drawn on."
        )


def _structure(number: int, name: str, items: Sequence[Any]) -> Structure:
    closed, xor, opened = [], [], 0
    for contour in (one for item in items for one in item.get("ContourSequence") or []):
        kind = str(contour.get("ContourGeometricType", "")).strip()
        if kind in ("CLOSED_PLANAR", XOR):
            closed.append(_points_mm(contour, number))
            xor.append(kind == XOR)
        elif kind != "POINT":
            opened += 1
    return Structure(number, name, tuple(closed), tuple(xor), opened)


def _points_mm(contour: Any, number: int) -> Float[np.ndarray, "points 3"]:
    """Return a contour's points; DICOM's axes are LPS, NIfTI's world is RAS."""
    values = contour.get("ContourData")
    listed: Sequence[Any] = [] if values is None else values
    told = int(contour.get("NumberOfContourPoints") or len(listed) // 3)
    if len(listed) != 3 * told or told < 1:
        raise BadInput(
            f"{shown('ContourData')} must be three numbers a point, and in a contour of ROI "
            f"{number} it is {len(listed)} for {told} points. Export the structure set anew."
        )
    points_mm = np.array([float(value) for value in listed]).reshape(-1, 3)
    if not (np.abs(points_mm) <= _LARGEST_MM).all():  # NaN compares as false
        raise BadInput(
            f"{shown('ContourData')} must be within {_LARGEST_MM:g} mm, and in ROI {number} it is "
            "not."
        )
    points_mm[:, :2] *= -1.0
    return points_mm


FLAT_VOXELS = 0.1
"""By how much the points of a contour may leave their plane, voxels; ours."""
SAME_PLANE_MM = 0.05
"""How far apart contours of one plane may stand at least, ours: decimals cut off. Slices are
0.1 mm apart or more."""
SAME_PLANE_SHARE = 0.1
"""The same, of the distance of a region's planes: by how much the plane of a hole is off. Ours."""
SAME_LINE_VOXELS = 0.1
"""How far a contour may reach beyond one that it lies in, voxels; ours: decimals cut off, and
corners set elsewhere along the same line."""
LARGEST_HOLE = 0.8
"""Area of a contour over that of the one it lies in, up to which nobody is told; ours. The wall of
a heart or a bladder leaves a smaller hole, a contour drawn a second time a larger one."""

_EDGE_VOXELS = 1e-3  # beyond the image's outer faces, for decimals cut off
_LARGEST_STEP = 1.5  # of two planes without a gap, in units of the typical one
_SHORT_STEP_VOXELS = 0.5  # of planes between the slices
_FINE = 128  # steps across a plane's contours, to measure their area
_SAMPLE_VOXELS = 0.25  # distance of the points at which two contours are compared


@dataclass(frozen=True)
class _Plane:
    """The contours of one plane.

    Attributes:
        polygons: Their corners, in voxels along the two axes of the plane.
        parts: A contour that is filled, and the holes in it; by their place in ``polygons``.
        xor: Whether the parts are combined by exclusive or, and not united.
        low: Where the plane's slab begins, in voxels across the plane.
    """

    polygons: list[Float[np.ndarray, "_ 2"]]
    parts: list[tuple[int, list[int]]]
    xor: bool
    low: float
    high: float

    def filled(self, rows: int, columns: int) -> Bool[np.ndarray, "rows columns"]:
        """Find the integer positions in the region."""
        found = np.zeros((rows, columns), dtype=np.bool_)
        for outer, holes in self.parts:
            part = inside(self.polygons[outer], rows, columns)
            for hole in holes:
                part &= ~inside(self.polygons[hole], rows, columns)
            found = found ^ part if self.xor else found | part
        return found

    def area(self) -> float:
        """Measure the region, in pixels of the plane."""
        points = np.concatenate(self.polygons)
        corner, size = points.min(axis=0), np.ptp(points, axis=0)
        if not (size > 0).all():
            return 0.0
        scale = _FINE / size
        fine = [(polygon - corner) * scale - 0.5 for polygon in self.polygons]
        return float(replace(self, polygons=fine).filled(_FINE, _FINE).sum() / scale.prod())


def contour_mask(
    structure: Structure, image: Volume, warnings: list[str]
) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels whose centres lie in a region.

    The contours must lie in planes of the image, across any one of its axes; the image may
    stand obliquely. Each plane stands for a slab that reaches half-way to its neighbours, and
    half of the typical distance of two planes (a voxel where there is one plane) at the ends
    and into gaps. Each slice takes the plane in whose slab it lies: a region drawn on slices
    of another thickness is read too.

    Args:
        image: The volume whose grid the mask is to have.

    Returns:
        The mask, on the axes of ``image``.

    Raises:
        BadInput: The region is faulty, no contours or open ones, contours tilted against
            the grid, or a contour that leaves the image.
    """
    axis, planes = _planes(structure, image, warnings)
    mask = np.zeros(image.data.shape, dtype=np.bool_)
    slices = np.moveaxis(mask, axis, 0)
    for plane in planes:
        # A slice half-way between two planes goes to one of them whatever was rounded.
        first, end = (int(np.ceil(edge - _EDGE_VOXELS)) for edge in (plane.low, plane.high))
        slices[max(first, 0) : max(end, 0)] |= plane.filled(*slices[0].shape)
    if not mask.any():
        warnings.append(f"ROI {structure.number} holds the centre of no voxel: its mask is empty.")
    return mask


def contour_volume_ml(structure: Structure, image: Volume) -> float:
    """Measure the volume that a region's contours enclose, whatever the voxels.

    Args:
        image: A volume whose planes it was drawn in.

    Returns:
        Sum over the planes of area times thickness of the slab, mL, within 1 %.
    """
    planes = _planes(structure, image, [])[1]
    return sum(plane.area() * (plane.high - plane.low) for plane in planes) * voxel_ml(image.affine)


def inside(
    polygon: Float[np.ndarray, "points 2"], rows: int, columns: int
) -> Bool[np.ndarray, "rows columns"]:
    """Find the integer positions inside a polygon by the even-odd rule.

    Args:
        polygon: Its corners, in voxels along rows and columns; the last joins the first.

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


def _in_voxels(
    structure: Structure, image: Volume
) -> tuple[list[Float[np.ndarray, "_ 3"]], list[bool]]:
    """Return the contours that enclose an area, in voxels of the image, and which are XOR."""
    if structure.fault:
        raise BadInput(structure.fault)
    if structure.open_contours:
        raise BadInput(
            f"The contours of ROI {structure.number} must be closed, and "
            f"{structure.open_contours} are open: they enclose nothing. Close them."
        )
    contours = zip(structure.contours_mm, structure.xor, strict=True)
    closed = [(points_mm, xor) for points_mm, xor in contours if len(points_mm) >= 3]
    if not closed:
        raise BadInput(
            f"ROI {structure.number} must have a closed contour of 3 points or more, and it has "
            "none. Name another region."
        )
    to_voxels = np.linalg.inv(image.affine)
    points = [points_mm @ to_voxels[:3, :3].T + to_voxels[:3, 3] for points_mm, _ in closed]
    return points, [xor for _, xor in closed]


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


def _planes(structure: Structure, image: Volume, warnings: list[str]) -> tuple[int, list[_Plane]]:
    """Return the axis across which a region was drawn, and its planes in rising order."""
    contours, is_xor = _in_voxels(structure, image)
    _check_inside(contours, structure, image.data.shape)
    axis = _plane_axis(contours, structure)
    positions = np.array([float(points[:, axis].mean()) for points in contours])
    of_contour = _plane_numbers(positions * image.spacing_mm[axis])
    groups = [np.flatnonzero(of_contour == plane) for plane in range(of_contour.max() + 1)]
    slabs = _slabs(np.array([positions[group].mean() for group in groups]), structure, warnings)
    across = [one for one in range(3) if one != axis]
    planes, copies, crossed, shells = [], 0, 0, []
    for group, low, high in zip(groups, *slabs, strict=True):
        polygons = [contours[number][:, across] for number in group]
        xor = all(is_xor[number] for number in group)
        compared = _Compared(polygons)
        parts = [(one, []) for one in compared.distinct] if xor else compared.parts()
        planes.append(_Plane(polygons, parts, xor, float(low), float(high)))
        copies += len(polygons) - len(compared.distinct)
        crossed += compared.crossing and not xor
        shells += [share for share in [compared.largest_hole()] if share > LARGEST_HOLE]
    if copies:
        warnings.append(
            f"ROI {structure.number} has {copies} contours twice; each was counted once."
        )
    if crossed:
        warnings.append(
            f"ROI {structure.number} has contours that cross in {crossed} planes; they were united."
        )
    if shells:
        warnings.append(
            f"ROI {structure.number} has in {len(shells)} planes a contour inside another, of up "
            f"to {max(shells):.1%} of its area: it was taken for a hole, and what is left between "
            "the two is thin. Delete one of them if it is the same outline drawn twice."
        )
    gaps = [(one, two) for one, two in pairwise(planes) if two.low - one.high > _EDGE_VOXELS]
    if gaps:
        empty = sum((one.area() + two.area()) / 2.0 * (two.low - one.high) for one, two in gaps)
        warnings.append(
            f"ROI {structure.number} has {len(gaps)} gaps between its planes; they were left "
            f"empty, {empty * voxel_ml(image.affine):.3g} mL if the region goes on through them."
        )
    return axis, planes


def _plane_numbers(
    positions_mm: Float[np.ndarray, " contours"],
) -> Int[np.ndarray, " contours"]:
    """Number the planes of contours, in the order of their positions.

    A plane reaches so far from its first contour, not from one contour to the next: planes that
    stand close together do not become one.
    """
    of_contour = np.empty(len(positions_mm), dtype=np.intp)
    steps_mm = np.diff(np.sort(positions_mm))
    steps_mm = steps_mm[steps_mm > SAME_PLANE_MM]
    # Three quarters of the way up: where each plane comes twice, half of the steps are short.
    typical_mm = float(np.quantile(steps_mm, 0.75)) if len(steps_mm) else 0.0
    together_mm = max(SAME_PLANE_MM, SAME_PLANE_SHARE * typical_mm)
    plane, begin_mm = -1, -np.inf
    for contour in np.argsort(positions_mm, kind="stable"):
        if positions_mm[contour] - begin_mm > together_mm:
            plane, begin_mm = plane + 1, float(positions_mm[contour])
        of_contour[contour] = plane
    return of_contour


class _Compared:
    """How the contours of one plane lie to each other.

    Attributes:
        distinct: Contours without copies of others, by falling area.
        around: Which contours each of them lies in.
        crossing: Whether two of them overlap and neither lies in the other.
    """

    def __init__(self, polygons: Sequence[Float[np.ndarray, "_ 2"]]) -> None:
        self._areas = areas = [_area(polygon) for polygon in polygons]
        boxes = np.array([[polygon.min(axis=0), polygon.max(axis=0)] for polygon in polygons])
        self.distinct: list[int] = []
        self.around: dict[int, list[int]] = {}
        self.crossing = False
        for one in sorted(range(len(polygons)), key=lambda one: -areas[one]):
            others = boxes[self.distinct]
            same = np.abs(boxes[one] - others).max(axis=(1, 2), initial=0.0) <= SAME_LINE_VOXELS
            meets = (boxes[one, 0] <= others[:, 1]) & (boxes[one, 1] >= others[:, 0])
            around = []
            for place in np.flatnonzero(same | meets.all(axis=1)):
                other = self.distinct[place]
                lies_in, enters = _position(polygons[one], polygons[other])
                if lies_in and same[place] and _position(polygons[other], polygons[one])[0]:
                    break
                if lies_in:
                    around.append(other)
                else:  # its line enters the larger one's inside wherever the two overlap
                    self.crossing |= enters
            else:
                self.distinct.append(one)
                self.around[one] = around

    def parts(self) -> list[tuple[int, list[int]]]:
        """Return each contour that is filled, and the holes in it."""
        depth: dict[int, int] = {}
        for one in self.distinct:  # the larger ones, in which it may lie, came before
            depth[one] = 1 + max((depth[other] for other in self.around[one]), default=-1)
        return [
            (outer, [o for o in depth if outer in self.around[o] and depth[o] == depth[outer] + 1])
            for outer in self.distinct
            if depth[outer] % 2 == 0
        ]

    def largest_hole(self) -> float:
        """Return the largest area of a contour over that of one that it lies in."""
        shares = (
            self._areas[one] / self._areas[other]
            for one, others in self.around.items()
            for other in others
            if self._areas[other] > 0
        )
        return max(shares, default=0.0)


def _area(polygon: Float[np.ndarray, "points 2"]) -> float:
    x, y = (polygon - polygon[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2.0


def _position(
    one: Float[np.ndarray, "points 2"], other: Float[np.ndarray, "corners 2"]
) -> tuple[bool, bool]:
    """Tell whether the line of one polygon lies in another, and whether it enters it.

    Both within ``SAME_LINE_VOXELS``: along an edge it may go on either side.
    """
    ends = np.roll(one, -1, axis=0)
    counts = np.ceil(np.linalg.norm(ends - one, axis=1) / _SAMPLE_VOXELS).astype(int) + 1
    points = np.concatenate(
        [
            np.linspace(begin, end, count, endpoint=False)
            for begin, end, count in zip(one, ends, counts, strict=True)
        ]
    )
    begins, stops = other, np.roll(other, -1, axis=0)
    # Only edges that a point may be near to, or that a ray along the columns may cross.
    low = np.minimum(begins, stops) - SAME_LINE_VOXELS
    high = np.maximum(begins, stops) + SAME_LINE_VOXELS
    met = (low[:, 0] <= one[:, 0].max()) & (high[:, 0] >= one[:, 0].min())
    met &= low[:, 1] <= one[:, 1].max()
    if not met.any():
        return False, False
    begins, stops, edges = begins[met], stops[met], (stops - begins)[met]
    lengths = np.maximum((edges**2).sum(axis=1), 1e-12)
    lies_in, enters = True, False
    for few in np.array_split(points, 1 + len(points) * len(begins) // 1_000_000):
        arms = few[:, np.newaxis] - begins
        share = np.clip((arms * edges).sum(axis=2) / lengths, 0.0, 1.0)
        away = np.linalg.norm(arms - share[:, :, np.newaxis] * edges, axis=2).min(axis=1)
        near = away <= SAME_LINE_VOXELS
        rises = (begins[:, 0] <= few[:, :1]) != (stops[:, 0] <= few[:, :1])
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = arms[:, :, 1] > arms[:, :, 0] / edges[:, 0] * edges[:, 1]
        within = (rises & beyond).sum(axis=1) % 2 == 1
        lies_in &= bool((within | near).all())
        enters |= bool((within & ~near).any())
    return lies_in, enters


def _slabs(
    planes: Float[np.ndarray, " planes"], structure: Structure, warnings: list[str]
) -> tuple[Float[np.ndarray, " planes"], Float[np.ndarray, " planes"]]:
    """Return where each plane's slab begins and ends.

    Neighbours meet half-way, so that decimals cut off leave no slice between them, unless they
    stand so far apart that there is a gap.
    """
    steps = np.diff(planes)
    slab = _typical_step(steps) if len(steps) else 1.0
    if slab > _LARGEST_STEP:
        warnings.append(
            f"ROI {structure.number} has a plane every {slab:.3g} slices; each was taken for a "
            "slab of that thickness."
        )
    half = np.where(steps <= _LARGEST_STEP * slab, steps, slab) / 2.0
    half = np.concatenate([[slab / 2.0], half, [slab / 2.0]])
    return planes - half[:-1], planes + half[1:]


def _typical_step(steps: Float[np.ndarray, " steps"]) -> float:
    """Return the median distance of neighbouring planes, whatever extra planes and gaps there are.

    Planes between the slices, that are no more than those on them, do not count. Of two steps in
    the middle it is the larger one, unless that is more than twice the smaller: a gap.
    """
    longer = np.sort(steps[steps >= _SHORT_STEP_VOXELS])
    counted = longer if 2 * len(longer) >= len(steps) else np.sort(steps)
    low, high = counted[(len(counted) - 1) // 2], counted[len(counted) // 2]
    return float(high if high <= 2.0 * low + _EDGE_VOXELS else low)
