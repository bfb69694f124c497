"""Read NM objects that are not trusted: quietly, and only the attributes asked for."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import MODALITY, SERIES_UID, SOP_CLASS, Tag
from rpt_dosimetry.elements import components, object_kind
from rpt_dosimetry.nm.attributes import IMAGE_TYPE, PIXEL_DATA, nm_numbers
from rpt_dosimetry.reading import DICOM_ERRORS, is_dicom, quiet
from rpt_dosimetry.series import Series, find_series
from rpt_dosimetry.tags import Tags

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
RECON_TOMO, WHOLE_BODY = "RECON TOMO", "WHOLE BODY"

_HEADER = nm_numbers()


@dataclass(frozen=True)
class NmSeries:
    """The NM objects of one series.

    Attributes:
        uid: Series Instance UID.
        objects: pydicom datasets with their pixels; attributes that tell who the patient
            is were never loaded.
        sha256: Of each file, in hex.
    """

    uid: str
    objects: tuple[Any, ...]
    sha256: tuple[str, ...]

    @property
    def tags(self) -> Tags:
        """The headers, asked tag by tag."""
        return Tags(self.objects)


def read_nm(
    path: Path, *, kind: str, wanted: str | None = None, warnings: list[str] | None = None
) -> NmSeries:
    """Read the NM series of one kind.

    Args:
        path: One file, or a folder; its subfolders are searched.
        kind: The third value of Image Type, ``RECON TOMO`` or ``WHOLE BODY``.
        wanted: A Series Instance UID or the unique beginning of one; ``None`` takes the only
            series of that kind.
        warnings: Takes how many files of the folder were passed over.

    Returns:
        The series with its pixels.

    Raises:
        BadInput: Nothing there, a damaged file, none or several series of that kind, or an
            object of another modality or kind.
    """
    if not path.exists():
        raise BadInput(
            "The path must be a folder of DICOM files or an NM file, and there is no such file or "
            "folder. Check it."
        )
    files = [path] if path.is_file() else _files_of(path, kind, wanted, warnings)
    read = [_whole(file, f"object {index} of {len(files)}") for index, file in enumerate(files, 1)]
    objects = tuple(dataset for dataset, _ in read)
    for dataset in objects:
        _check_kind(dataset, kind)
    uid = "".join(components(objects[0], SERIES_UID))
    return NmSeries(uid, objects, tuple(digest for _, digest in read))


def items(holder: Any, sequence: Tag) -> list[Any]:
    """Return the items of a sequence; none where it is missing or empty.

    Raises:
        BadInput: It is no sequence.
    """
    try:
        with quiet():
            element = holder.get((sequence.group, sequence.element))
            found = [] if element is None or element.value is None else list(element.value)
            if all(isinstance(item, pydicom.Dataset) for item in found):
                return found
    except DICOM_ERRORS:
        pass
    raise BadInput(f"{sequence} must be readable, and it is malformed.")


def image_kind(dataset: Any) -> str:
    """Return the third value of Image Type, in capitals; empty where it is missing."""
    values = components(dataset, IMAGE_TYPE)
    return values[2].upper() if len(values) > 2 else ""


def _files_of(
    folder: Path, kind: str, wanted: str | None, warnings: list[str] | None
) -> list[Path]:
    found = [one for one in find_series(folder, warnings=warnings) if _is_nm(one)]
    if wanted is not None:
        found = [one for one in found if wanted and one.uid.startswith(wanted)]
        found = [one for one in found if one.uid == wanted] or found
    else:
        found = [one for one in found if _kind_of(one) == kind]
    if len(found) != 1:
        told = "; ".join(str(one) for one in found[:4])
        raise BadInput(
            f"The folder must hold one NM series of {kind}, {MODALITY} NM, and {len(found)} fit"
            f"{': ' + told if told else ''}. Name a folder or a file with that series alone."
        )
    return [file.path for file in found[0].files]


def _is_nm(series: Series) -> bool:
    return series.modality == "NM" and NM_STORAGE in series.sop_classes


def _kind_of(series: Series) -> str:
    try:
        with quiet():
            header = pydicom.dcmread(
                series.files[0].path, stop_before_pixels=True, specific_tags=_HEADER
            )
    except DICOM_ERRORS as error:
        raise BadInput("Every NM object must be a whole DICOM file, and one is not.") from error
    return image_kind(header)


def _whole(path: Path, name: str) -> tuple[Any, str]:
    try:
        if not is_dicom(path):
            raise ValueError("no mark of DICOM")
        content = path.read_bytes()
        with quiet():
            dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=[*_HEADER, PIXEL_DATA])
        if not components(dataset, MODALITY) and "PixelData" not in dataset:
            raise ValueError("cut off in the header, which pydicom passes over")
    except DICOM_ERRORS as error:
        raise BadInput(
            f"An NM object must be a whole DICOM file, and {name} is not. Copy or export it anew."
        ) from error
    return dataset, hashlib.sha256(content).hexdigest()


_OTHER_KINDS: dict[str, str] = {
    "TOMO": "projections, not yet reconstructed",
    "GATED TOMO": "gated projections",
    "RECON GATED TOMO": "gated slices",
    "DYNAMIC": "a dynamic study",
    "GATED": "a gated study",
    "STATIC": "a static view of a part of the body",
    RECON_TOMO: "reconstructed slices",
    WHOLE_BODY: "whole-body views",
}


def _check_kind(dataset: Any, kind: str) -> None:
    modality = "".join(components(dataset, MODALITY))
    if modality != "NM" or "".join(components(dataset, SOP_CLASS)) != NM_STORAGE:
        raise BadInput(
            f"{MODALITY} must be NM, with NM images, got {object_kind(dataset)}. A quantitative "
            "SPECT stored as PT goes by the command activity."
        )
    found = image_kind(dataset)
    if found != kind:
        what = _OTHER_KINDS.get(found, "of a kind not known here")
        raise BadInput(
            f"{IMAGE_TYPE} must tell {kind} in its third value, and the object is {what}. Give "
            "the series of that kind."
        )


def one_object(series: NmSeries) -> Any:
    """Return the only object of a series.

    Raises:
        BadInput: There are several.
    """
    if len(series.objects) != 1:
        raise BadInput(
            f"The series must hold one NM object, got {len(series.objects)}. Name the file of "
            "the one to read."
        )
    return series.objects[0]
