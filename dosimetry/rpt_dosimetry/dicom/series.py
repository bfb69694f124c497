"""Find the series in a folder and choose the PET or the CT."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.dicom import vendors
from rpt_dosimetry.dicom.reading import (
    DICOM_ERRORS,
    components,
    is_dicom,
    kind_told,
    quiet,
    shown,
    text_of,
)

OVERLAY_POSITIONS = tuple((group << 16) | 0x0102 for group in range(0x6000, 0x6020, 2))
"""Overlay Bit Position of each overlay."""
HEADER: tuple[int | str, ...] = (
    *("SOPClassUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "ImageType"),
    *("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "TimezoneOffsetFromUTC"),
    *("PatientWeight", "PatientSize", "PatientSex", "RadiopharmaceuticalInformationSequence"),
    *("Units", "SUVType", "SeriesType", "NumberOfSlices", "LossyImageCompression"),
    *("CorrectedImage", "DecayCorrection", "DecayFactor", "ActualFrameDuration"),
    *("FrameReferenceTime", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *OVERLAY_POSITIONS,
    *("ScanVelocity", "RealWorldValueMappingSequence", "EnergyWindowInformationSequence"),
    *("DetectorInformationSequence", "RotationInformationSequence", "EnergyWindowVector"),
    *("DetectorVector", "PhaseVector", "RotationVector", "RRIntervalVector", "TimeSlotVector"),
    *("SliceVector", "TimeSliceVector"),
    *(number for private in vendors.PRIVATE for number in private.to_load()),
)
"""What is loaded of an image, by keyword or number; nothing here tells who the patient is."""

Progress = Callable[[Sequence[Path], str], Iterable[Path]]

DIRECTORY_STORAGE = "1.2.840.10008.1.3.10"
_MOST_ORDINALS = 10


def no_progress(paths: Sequence[Path], description: str) -> Iterable[Path]:
    """Yield ``paths`` without telling anybody."""
    return paths


@dataclass(frozen=True)
class DicomFile:
    """One file, its Series Instance UID and its header, which does not name the patient."""

    path: Path
    series_uid: str
    header: Any


@dataclass(frozen=True)
class FolderContent:
    """What a folder holds.

    Attributes:
        images: The DICOM files, in the order of their paths.
        count: Number of files of any kind.
        damaged: Which of them cannot be read, counted from 1 in the order of their paths.
        others: How many are no DICOM file; a DICOMDIR does not count.
        without_series: How many are of no series, and by their class no images, such as a
            segmentation of a writer that left its series out.
    """

    images: list[DicomFile]
    count: int
    damaged: list[int]
    others: int
    without_series: int

    @property
    def damage(self) -> str:
        """What is damaged, a sentence without names; empty where all is whole."""
        if not self.damaged:
            return ""
        told = ", ".join(map(str, self.damaged[:_MOST_ORDINALS]))
        more = ", …" if len(self.damaged) > _MOST_ORDINALS else ""
        return (
            f"Every DICOM file must be whole, and {len(self.damaged)} of {self.count} files are "
            "damaged, empty or, for all their suffix .dcm, no DICOM: in order of path "
            f"{'file' if len(self.damaged) == 1 else 'files'} {told}{more} of {self.count}. Copy "
            "or export the series anew."
        )


def read_folder(folder: Path, *, progress: Progress = no_progress) -> FolderContent:
    """Read the header of every DICOM file below a folder.

    Args:
        folder: The folder; its subfolders are searched too, links to folders are not.

    Returns:
        What it holds. Damaged are files that cannot be opened or parsed, every file
        without content, and files named ``.dcm`` without DICOM's mark: each may have
        been a slice.

    Raises:
        BadInput: No such folder, or a part of it cannot be searched.
    """
    paths = _files_below(folder)
    images: list[DicomFile] = []
    damaged: list[int] = []
    others = without_series = 0
    for ordinal, path in enumerate(progress(paths, "Reading headers"), start=1):
        try:
            if not _should_be_dicom(path):
                others += 1
                continue
            with quiet():
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER))
            uid = text_of(header, "SeriesInstanceUID")
            if uid:
                images.append(DicomFile(path, uid, header))
            elif _is_no_image(header):
                without_series += 1
            elif not _is_directory(header):
                raise BadInput(f"{shown('SeriesInstanceUID')} must be there, and it is missing.")
        except DICOM_ERRORS:
            damaged.append(ordinal)
    return FolderContent(images, len(paths), damaged, others, without_series)


def _files_below(folder: Path) -> list[Path]:
    """List the files, sorted as ``LC_ALL=C sort`` does, so that an ordinal can be found."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        if folder.is_dir():
            walk = os.walk(folder, onerror=refuse)
            paths = [Path(above, name) for above, _, names in walk for name in names]
            # A pipe would block; a link that leads nowhere may stand for a lost slice.
            kept = [path for path in paths if path.is_file() or not path.exists()]
            return sorted(kept, key=os.fsencode)
    except OSError as error:  # its own message would repeat a file's name
        raise BadInput(
            "The folder must be readable with all its subfolders, and a part of it is not. Check "
            "the permissions."
        ) from error
    what = "it is a file. Name its folder." if folder.is_file() else "there is none. Check it."
    raise BadInput(f"The path must be a folder of DICOM files, and {what}")


def _should_be_dicom(path: Path) -> bool:
    """Tell DICOM from other files, and raise for a file that can only be a lost slice."""
    if is_dicom(path):
        return True
    # "._1.dcm" is what macOS leaves beside "1.dcm" on foreign disks.
    if path.suffix.lower() == ".dcm" and not path.name.startswith("._"):
        raise BadInput("A file named .dcm must have the mark of DICOM.")
    if path.stat().st_size == 0:
        raise BadInput("A file must not be empty.")
    return False


def _is_directory(header: Any) -> bool:
    with quiet():
        return bool(header.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY_STORAGE)


def _is_no_image(header: Any) -> bool:
    """Tell by a class of the standard, such as Segmentation Storage, that it can be no slice."""
    with quiet():
        name = UID(text_of(header, "SOPClassUID")).name
    return name.endswith("Storage") and "Image Storage" not in name


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
        return text_of(self.files[0].header, "FrameOfReferenceUID")

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


def named(series: Sequence[Series], wanted: str) -> list[Series]:
    """Return the series of that UID, else those whose UID begins so."""
    fitting = [one for one in series if wanted and one.uid.startswith(wanted)]
    return [one for one in fitting if one.uid == wanted] or fitting


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
        raise BadInput(f"{shown('Modality')} must be CT, got {chosen.modality or 'none'}.")
    if chosen.sop_classes != (CT_STORAGE,):
        raise BadInput(
            f"{shown('SOPClassUID')} must be that of CT images in every file, got {chosen.kind}. "
            "Export the CT as single slices, one a file."
        )
    return chosen


def _choose(
    series: Sequence[Series], wanted: str | None, of_kind: Sequence[Series], kind: str
) -> Series:
    if wanted is not None:
        fitting = named(series, wanted)
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
            f"The folder must hold a {kind} series, {shown('Modality')} {modality} with {kind} "
            f"images, got {told}. Name the folder of the {kind}."
        )
    return of_kind[0]


def _single_frame_pet(series: Series) -> Series:
    if series.modality != "PT":
        raise BadInput(f"{shown('Modality')} must be PT, got {series.modality or 'none'}.")
    if set(ENHANCED_PET_STORAGE) & set(series.sop_classes):
        raise BadInput(
            "The series must be of single-frame PET images, and it is Enhanced PET (several "
            "frames in one file). Export it as classic PET, one slice a file."
        )
    if series.sop_classes != (PET_STORAGE,):
        raise BadInput(
            f"{shown('SOPClassUID')} must be that of PET images in every file, got {series.kind}. "
            "Screenshots and raw data have no SUV."
        )
    return series


def _series(uid: str, files: list[DicomFile]) -> Series:
    first = files[0].header
    classes = {text_of(file.header, "SOPClassUID") for file in files}
    return Series(
        uid=re.sub(r"[^0-9.]", "?", uid)[:64],
        modality=_code(components(first, "Modality")),
        sop_classes=tuple(sorted(classes)),
        units=_code(components(first, "Units")),
        files=tuple(files),
    )


def _code(values: list[str]) -> str:
    """Reduce a code string to the letters that DICOM allows, at most 16."""
    return re.sub(r"[^A-Z0-9_ ]", "?", "".join(values))[:16]
