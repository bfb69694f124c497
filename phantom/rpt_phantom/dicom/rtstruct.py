"""Regions as an RT Structure Set: contours along the edges of the CT's pixels.

A contour through pixel corners encloses exactly the centres that it was traced from; one through
centres or half-way values would lose or gain pixels when a mask is made of it again. A region with
a hole has contours of the type CLOSEDPLANAR_XOR, which then all contours of that region have.

Source: DICOM PS3.3, A.19 (RT Structure Set IOD), C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour)
and C.8.8.8 (RT ROI Observations).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from jaxtyping import Bool, Int, Shaped
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage
from rpt_cohort import BadInput, Volume, grid_fault
from rpt_cohort.labels import REMAINING_BODY
from rpt_dosimetry.masks.names import read_organ_table

from rpt_phantom.dicom.header import (
    Slices,
    Visit,
    clock,
    date,
    item,
    new_object,
    put_frame_of_reference,
    slices_of,
)

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Row and column of a step to the right, down, to the left and up; each turns clockwise."""
Corner = tuple[int, int]
_DECIMALS = 4  # 0.1 µm; a corner is half a voxel from the next centre
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0))
"""Okabe and Ito's, for the colour-blind."""


def outlines(mask: Bool[np.ndarray, "rows columns"]) -> list[Int[np.ndarray, "corners 2"]]:
    """Trace the outlines of a mask, holes included.

    Args:
        mask: One plane.

    Returns:
        Closed polygons, row and column of each corner, counted from the outer corner of the first
        pixel: corner (r, c) lies at the position (r − 0.5, c − 0.5). Pixels that touch at a
        corner alone have polygons of their own. A point lies in the mask where an odd number of
        polygons enclose it.
    """
    steps_from = _edges(mask)
    found = []
    for corner in sorted(steps_from):
        while steps_from[corner]:
            found.append(np.array(list(_corners(corner, steps_from)), dtype=np.int64))
    return found


def _edges(mask: Bool[np.ndarray, "rows columns"]) -> dict[Corner, set[int]]:
    """Return the steps that leave each corner along an edge, the mask on their right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0)),  # the upper side begins at the upper left corner
        (inside & ~padded[1:-1, 2:], (0, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1)),
        (inside & ~padded[1:-1, :-2], (1, 0)),
    )
    steps_from: dict[Corner, set[int]] = defaultdict(set)
    for step, (edge, (down, right)) in enumerate(sides):
        for row, column in np.argwhere(edge).tolist():
            steps_from[row + down, column + right].add(step)
    return dict(steps_from)


def _corners(start: Corner, steps_from: dict[Corner, set[int]]) -> Iterator[Corner]:
    """Follow one outline, taking its edges away, and yield the corners where it turns."""
    corner, last = start, None
    while steps := steps_from[corner]:
        # Where two regions touch, the clockwise turn stays with the one.
        step = min(steps) if last is None else next(s for s in _turns(last) if s in steps)
        steps.remove(step)
        if step != last:
            yield corner
        corner = (corner[0] + _STEPS[step][0], corner[1] + _STEPS[step][1])
        last = step
        if corner == start:
            return


def _turns(last: int) -> tuple[int, int, int]:
    """Return the steps that may follow one: clockwise, straight on, counter-clockwise."""
    return (last + 1) % 4, last, (last + 3) % 4


@dataclass(frozen=True)
class Drawing:
    """The CT that regions are drawn on.

    Attributes:
        ct_hu: Its volume.
        ct: Its objects, as ``ct_series`` made them of ``ct_hu``.
        visit: Theirs.
    """

    ct_hu: Volume
    ct: tuple[Dataset, ...]
    visit: Visit


def organ_names(labels: Shaped[np.ndarray, "x y z"]) -> dict[int, str]:
    """Name the organs of a label volume as ``rpt_dosimetry`` knows them.

    Args:
        labels: Organ numbers of the contract; 0 and the remaining body have no contour.

    Raises:
        BadInput: A number is of no organ.
    """
    names = read_organ_table().names
    found = [int(id_) for id_ in np.unique(labels) if id_ not in (0, REMAINING_BODY)]
    if unknown := [id_ for id_ in found if id_ not in names]:
        raise BadInput(
            f"Organ numbers must be the contract's, and {unknown} are none. See organs.csv."
        )
    return {id_: names[id_] for id_ in found}


def lesion_names(labels: Shaped[np.ndarray, "x y z"]) -> dict[int, str]:
    """Name the lesions of a label volume ``Lesion 1``, ``Lesion 2`` …, by their numbers."""
    return {int(id_): f"Lesion {int(id_)}" for id_ in np.unique(labels) if id_ != 0}


def structure_set(
    labels: Volume,
    names: Mapping[int, str],
    on: Drawing,
    *,
    label: str,
    kind: str,
    begin: datetime,
) -> Dataset:
    """Make a structure set of the regions of a label volume.

    Args:
        labels: Numbers, on the grid of the CT.
        names: Number → ROI Name; other numbers are left out.
        on: The CT that they are drawn on.
        label: Structure Set Label, 16 characters at most, such as ``ORGANS``.
        kind: RT ROI Interpreted Type, such as ``ORGAN`` or ``GTV``.
        begin: When it was drawn.

    Returns:
        One object, of which ``rpt_dosimetry.dicom.contours`` makes the same masks.

    Raises:
        BadInput: The labels are not on the CT's grid, none of ``names`` is in them, or all slices
            of a region stand apart, so that its contours would be read as of thicker slices.
    """
    if fault := grid_fault(labels, on.ct_hu, name="The labels", like_name="the CT"):
        raise BadInput(fault)
    slices = slices_of(labels, name="The labels")
    masks = {name: slices.values == id_ for id_, name in names.items()}
    if not any(mask.any() for mask in masks.values()):
        raise BadInput("The labels must hold a region that is named, and they hold none.")
    for name, mask in masks.items():
        _check_slices(name, mask)
    dataset = _empty_set(on, label=label, begin=begin)
    numbered = [(str(number), name) for number, name in enumerate(masks, start=1)]
    dataset.StructureSetROISequence = [_roi(number, name, on.visit) for number, name in numbered]
    dataset.ROIContourSequence = [
        _roi_contour(number, masks[name], slices, on.ct) for number, name in numbered
    ]
    dataset.RTROIObservationsSequence = [_observation(number, kind) for number, _ in numbered]
    return dataset


def _empty_set(on: Drawing, *, label: str, begin: datetime) -> Dataset:
    dataset = new_object(
        on.visit,
        sop_class=RTStructureSetStorage,
        modality="RTSTRUCT",
        series=f"Structures: {label}",
        number=3,
        begin=begin,
    )
    # An element of explicit VR ends at 65,534 bytes, and a contour may be longer.
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    put_frame_of_reference(dataset, on.visit)
    dataset.StructureSetLabel = label
    dataset.StructureSetDate, dataset.StructureSetTime = date(begin), clock(begin)
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_reference(on)]
    return dataset


def _check_slices(name: str, mask: Bool[np.ndarray, "slice row column"]) -> None:
    apart = np.diff(np.flatnonzero(mask.any(axis=(1, 2))))
    if len(apart) and apart.min() > 1:
        raise BadInput(
            f"{name} must have two neighbouring slices or one alone, and its slices stand "
            f"{apart.min()} or more apart: contours so far apart mean thicker slices. Leave it out."
        )


def _roi(number: str, name: str, visit: Visit) -> Dataset:
    return item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=visit.frame_of_reference_uid,
        ROIName=name,
        ROIGenerationAlgorithm="AUTOMATIC",
    )


def _observation(number: str, kind: str) -> Dataset:
    return item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType=kind,
        ROIInterpreter="",
    )


def _reference(on: Drawing) -> Dataset:
    series = item(
        SeriesInstanceUID=on.ct[0].SeriesInstanceUID,
        ContourImageSequence=[_image(one) for one in on.ct],
    )
    study = item(
        # Detached Study Management, retired; what readers expect here.
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=on.visit.study_uid,
        RTReferencedSeriesSequence=[series],
    )
    return item(
        FrameOfReferenceUID=on.visit.frame_of_reference_uid, RTReferencedStudySequence=[study]
    )


def _image(image: Dataset) -> Dataset:
    return item(
        ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID
    )


def _roi_contour(
    number: str, mask: Bool[np.ndarray, "slice row column"], slices: Slices, ct: Sequence[Dataset]
) -> Dataset:
    planes = {index: outlines(mask[index]) for index in np.flatnonzero(mask.any(axis=(1, 2)))}
    several = any(_has_hole(polygons) for polygons in planes.values())
    geometric_type = "CLOSEDPLANAR_XOR" if several else "CLOSED_PLANAR"
    contours: list[Dataset] = []
    for index, polygons in planes.items():
        for corners in polygons:
            points = _points(corners, int(index), slices)
            contours.append(
                item(
                    ContourNumber=str(len(contours) + 1),
                    ContourImageSequence=[_image(ct[int(index)])],
                    ContourGeometricType=geometric_type,
                    NumberOfContourPoints=str(len(corners)),
                    ContourData=points,
                )
            )
    return item(
        ROIDisplayColor=list(_COLOURS[(int(number) - 1) % len(_COLOURS)]),
        ReferencedROINumber=number,
        ContourSequence=contours,
    )


def _points(corners: np.ndarray, index: int, slices: Slices) -> list[str]:
    """Return x, y, z of each corner, LPS mm."""
    affine = slices.grid.affine  # of column, row, slice
    at = np.column_stack([corners[:, 1] - 0.5, corners[:, 0] - 0.5, np.full(len(corners), index)])
    points_mm = at @ affine[:3, :3].T + affine[:3, 3]
    return [f"{value:.{_DECIMALS}f}" for value in (points_mm + 0.0).ravel()]


def _has_hole(polygons: Sequence[np.ndarray]) -> bool:
    """Tell whether one runs counter-clockwise, as the edge of a hole does."""
    return any(_area(corners) < 0 for corners in polygons)


def _area(corners: np.ndarray) -> float:
    """Return the area inside a polygon, below 0 where it runs counter-clockwise."""
    row, column = corners.T
    return float(column @ np.roll(row, -1) - row @ np.roll(column, -1)) / 2.0
