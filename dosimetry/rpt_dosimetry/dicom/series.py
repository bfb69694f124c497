"""Find the series in a folder and choose the PET or the CT."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.attributes import FRAME_OF_REFERENCE, MODALITY, SOP_CLASS, UNITS
from rpt_dosimetry.dicom.reading import (
    DicomFile,
    Progress,
    components,
    kind_told,
    no_progress,
    read_folder,
)

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
PET_STORAGE = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET_STORAGE = ("1.2.840.10008.5.1.4.1.1.130", "1.2.840.10008.5.1.4.1.1.128.1")


@dataclass(frozen=True)
class Series:
    """The files of one series.

    Attributes:
        uid: Series Instance UID, digits and dots only.
        units: Units (0054,1001) of the first file.
        files: Its files, in the order of their paths.
    """

    uid: str
    modality: str
    sop_classes: tuple[str, ...]
    units: str
    files: tuple[DicomFile, ...]

    @property
    def is_pet(self) -> bool:
        """Whether it is PET by its modality and not a screenshot or raw data."""
        known = {PET_STORAGE, *ENHANCED_PET_STORAGE}
        return self.modality == "PT" and bool(known & set(self.sop_classes))

    @property
    def is_ct(self) -> bool:
        """Whether it is CT by its modality and not a screenshot or raw data."""
        return self.modality == "CT" and CT_STORAGE in self.sop_classes

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID of the first file; empty where it is missing."""
        return "".join(components(self.files[0].header, FRAME_OF_REFERENCE))

    @property
    def kind(self) -> str:
        """Modality and SOP classes, for an error."""
        return kind_told(self.modality, self.sop_classes)

    def __str__(self) -> str:
        """UID, modality, number of files and units, for a listing."""
        units = f", {self.units}" if self.units else ""
        return f"{self.uid}: {self.modality or 'no modality'}, {len(self.files)} files{units}"


def find_series(
    folder: Path,
    *,
    warnings: list[str] | None = None,
    despite_damage: bool = False,
    progress: Progress = no_progress,
) -> list[Series]:
    """Read the header of every DICOM file below a folder and sort them into series.

    Files of other kinds are passed over, and so are a DICOMDIR and objects that are neither images
    nor of a series.

    Args:
        folder: The folder; its subfolders are searched too, links to folders are not.
        despite_damage: List the series although files are damaged, with a warning. Not
            for a conversion: nobody knows to which series a damaged file belongs.

    Returns:
        The series, those of PET first, then by UID.

    Raises:
        BadInput: No such folder, no DICOM file in it, a folder that cannot be searched, or a
            damaged DICOM file.
    """
    told: list[str] = [] if warnings is None else warnings
    content = read_folder(folder, progress=progress)
    if content.damaged and not (despite_damage and content.images):
        raise BadInput(content.damage)
    if content.damaged:
        told.append(f"{content.damage} It may belong to any of these series.")
    if not content.images:
        raise BadInput(
            f"The folder must hold DICOM images, and none of its {content.count} files is one. "
            "Check the path; old files without DICOM's preamble are not read."
        )
    if content.others:
        told.append(
            f"{content.others} of {content.count} files are not DICOM and were passed over."
        )
    if content.without_series:
        told.append(
            f"{content.without_series} of {content.count} files are DICOM without images and of no "
            "series, such as a segmentation, and were passed over."
        )
    files_of: dict[str, list[DicomFile]] = {}
    for file in content.images:
        files_of.setdefault(file.series_uid, []).append(file)
    series = [_series(uid, files) for uid, files in files_of.items()]
    return sorted(series, key=lambda one: (not one.is_pet, one.uid))


def choose_pet(series: Sequence[Series], wanted: str | None) -> Series:
    """Choose the PET series to convert.

    Args:
        wanted: A Series Instance UID or the unique beginning of one; ``None`` takes the
            only PET series.

    Raises:
        BadInput: None or several fit, or the one that fits is no PET that can be read.
    """
    return _single_frame_pet(_choose(series, wanted, [one for one in series if one.is_pet], "PET"))


def choose_ct(series: Sequence[Series], wanted: str | None) -> Series:
    """Choose the CT series to convert; arguments and errors as :func:`choose_pet`."""
    chosen = _choose(series, wanted, [one for one in series if one.is_ct], "CT")
    if chosen.modality != "CT":
        raise BadInput(f"{MODALITY} must be CT, got {chosen.modality or 'none'}.")
    if chosen.sop_classes != (CT_STORAGE,):
        raise BadInput(
            f"{SOP_CLASS} must be that of CT images in every file, got {chosen.kind}. Export the "
            "CT as single slices, one a file."
        )
    return chosen


def _choose(
    series: Sequence[Series], wanted: str | None, of_kind: Sequence[Series], kind: str
) -> Series:
    if wanted is not None:
        fitting = [one for one in series if wanted and one.uid.startswith(wanted)]
        fitting = [one for one in fitting if one.uid == wanted] or fitting
        if len(fitting) != 1:
            raise BadInput(
                "The series must be named by the unique beginning of its UID, and "
                f"{len(fitting)} of {len(series)} series fit. See --list."
            )
        return fitting[0]
    if len(of_kind) > 1:
        told = "; ".join(str(one) for one in of_kind[:4]) + ("; …" if len(of_kind) > 4 else "")
        raise BadInput(
            f"One {kind} series must be chosen with --series, and the folder holds "
            f"{len(of_kind)}: {told}."
        )
    if not of_kind:
        told = ", ".join(sorted({one.kind for one in series}))
        modality = {"PET": "PT", "CT": "CT"}[kind]
        raise BadInput(
            f"The folder must hold a {kind} series, {MODALITY} {modality} with {kind} images, got "
            f"{told}. Name the folder of the {kind}."
        )
    return of_kind[0]


def _single_frame_pet(series: Series) -> Series:
    if series.modality != "PT":
        raise BadInput(f"{MODALITY} must be PT, got {series.modality or 'none'}.")
    if set(ENHANCED_PET_STORAGE) & set(series.sop_classes):
        raise BadInput(
            "The series must be of single-frame PET images, and it is Enhanced PET (several "
            "frames in one file). Export it as classic PET, one slice a file."
        )
    if series.sop_classes != (PET_STORAGE,):
        raise BadInput(
            f"{SOP_CLASS} must be that of PET images in every file, got {series.kind}. "
            "Screenshots and raw data have no SUV."
        )
    return series


def _series(uid: str, files: list[DicomFile]) -> Series:
    first = files[0].header
    classes = {"".join(components(file.header, SOP_CLASS)) for file in files}
    return Series(
        uid=re.sub(r"[^0-9.]", "?", uid)[:64],
        modality=_code(components(first, MODALITY)),
        sop_classes=tuple(sorted(classes)),
        units=_code(components(first, UNITS)),
        files=tuple(files),
    )


def _code(values: list[str]) -> str:
    """Reduce a code string to the letters that DICOM allows, at most 16."""
    return re.sub(r"[^A-Z0-9_ ]", "?", "".join(values))[:16]
