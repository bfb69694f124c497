"""Read the headers of every DICOM file below a folder, and tell what cannot be read."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import UID
from rpt_cohort import BadInput

from rpt_dosimetry.attributes import SERIES_UID, SOP_CLASS
from rpt_dosimetry.elements import components
from rpt_dosimetry.reading import DICOM_ERRORS, is_dicom, quiet, read_header

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
        progress: Wraps the list of files, to show how far the reading is.

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
            header = read_header(path)
            uid = "".join(components(header, SERIES_UID))
            if uid:
                images.append(DicomFile(path, uid, header))
            elif _is_no_image(header):
                without_series += 1
            elif not _is_directory(header):
                raise BadInput(f"{SERIES_UID} must be there, and it is missing.")
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
        name = UID("".join(components(header, SOP_CLASS))).name
    return name.endswith("Storage") and "Image Storage" not in name
