"""Read a DICOM structure set: regions of interest as planar contours.

Source: DICOM PS3.3, C.8.8.5 (Structure Set) and C.8.8.6 (ROI Contour).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Float
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import FRAME_OF_REFERENCE, MODALITY, SOP_CLASS, Tag
from rpt_dosimetry.elements import components, object_kind
from rpt_dosimetry.reading import DICOM_ERRORS, quiet

STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
XOR = "CLOSEDPLANAR_XOR"

_ROIS = Tag("Structure Set ROI Sequence", 0x3006, 0x0020)
_ROI_CONTOURS = Tag("ROI Contour Sequence", 0x3006, 0x0039)
_ROI_NUMBER = Tag("ROI Number", 0x3006, 0x0022)
_CONTOUR_DATA = Tag("Contour Data", 0x3006, 0x0050)
_LARGEST_MM = 1e5  # as of Image Position (Patient)
# Nothing else of the file is loaded, least of all the names of patient and operator.
_TAGS = [(tag.group, tag.element) for tag in (SOP_CLASS, MODALITY, _ROIS, _ROI_CONTOURS)]


@dataclass(frozen=True)
class Structure:
    """One region of interest.

    Attributes:
        number: ROI Number, by which errors call it: a name is free text.
        name: ROI Name, such as ``Kidney_L``.
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
        path: An RTSTRUCT file.
        frame_of_reference_uid: Frame of Reference UID of the image: a contour drawn in
            another frame lies elsewhere, even if it is the same patient's.

    Returns:
        The regions in the order of the file, those without contours and faulty ones too. POINT
        contours are left out: they mark a place and enclose nothing.

    Raises:
        BadInput: The file is damaged, no structure set, or holds no region. No name is repeated.
    """
    dataset = _read(path)
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
        raise BadInput(f"The structure set must hold a region, and {_ROIS} is empty.")
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


def _read(path: Path) -> Any:
    try:
        with quiet():
            dataset = pydicom.dcmread(path, specific_tags=_TAGS)
    except DICOM_ERRORS as error:  # the file's name may hold the patient's
        raise BadInput(
            "The structure set must be a whole DICOM file that can be read, and it is not."
        ) from error
    if components(dataset, SOP_CLASS) != [STRUCTURE_SET_STORAGE]:
        raise BadInput(
            f"The structure set must be an RT Structure Set, got {object_kind(dataset)}. Name the "
            "RTSTRUCT file."
        )
    return dataset


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
            f"{_ROI_NUMBER} must be a whole number of 0 or more, and that of region {place} of the "
            "structure set is not. Export it anew."
        )
    if numbers.count(number) > 1:
        raise BadInput(
            f"Each {_ROI_NUMBER} must stand once, and {number} is repeated. Export the structure "
            "set anew."
        )


def _check_frame(item: Any, number: int, frame_of_reference_uid: str) -> None:
    if str(item.get("ReferencedFrameOfReferenceUID", "")) != frame_of_reference_uid:
        raise BadInput(
            f"{FRAME_OF_REFERENCE} of ROI {number} must be that of the image, and it is not: the "
            "region was drawn on another image. Give the image that it was drawn on."
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
            f"{_CONTOUR_DATA} must be three numbers a point, and in a contour of ROI {number} it "
            f"is {len(listed)} for {told} points. Export the structure set anew."
        )
    points_mm = np.array([float(value) for value in listed]).reshape(-1, 3)
    if not (np.abs(points_mm) <= _LARGEST_MM).all():  # NaN compares as false
        raise BadInput(
            f"{_CONTOUR_DATA} must be within {_LARGEST_MM:g} mm, and in ROI {number} it is not."
        )
    points_mm[:, :2] *= -1.0
    return points_mm
