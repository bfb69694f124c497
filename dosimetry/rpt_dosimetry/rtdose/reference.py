"""The images that a dose belongs to: whose they are, and where they stand.

This is the one place that reads who the patient is: an RT Dose must lie in the patient's own
study. The values are copied and never shown; a fault is told by file number and tag.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from rpt_cohort import BadInput, Volume

from rpt_dosimetry.dicom.attributes import (
    BIRTH_DATE,
    FRAME_OF_REFERENCE,
    PATIENT_ID,
    PATIENT_NAME,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY_UID,
    Tag,
)
from rpt_dosimetry.dicom.reading import (
    DICOM_ERRORS,
    DicomFile,
    Progress,
    components,
    no_progress,
    quiet,
)
from rpt_dosimetry.dicom.series import Series, find_series
from rpt_dosimetry.dicom.slices import Grid, in_order

IMAGES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
}
"""SOP Class UID → modality: what a dose can refer to, one slice a file."""

COPIED = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
    *("FrameOfReferenceUID", "PositionReferenceIndicator"),
)
"""Patient, study and frame of reference (PS3.3, C.7.1.1, C.7.2.1, C.7.4.1), and what it takes
to read them: the character set of names, the time zone, and how a source was de-identified."""

SMALLEST_SHARE = 0.5
"""Of the dose that must lie in the reference image, ours: a SPECT's field of view may reach
beyond its CT, and two scans that share no frame of reference seldom overlap by this much."""

_SAME = (SOP_CLASS, PATIENT_ID, PATIENT_NAME, BIRTH_DATE, STUDY_UID, FRAME_OF_REFERENCE)
_READ = [*COPIED, "SOPClassUID", "SOPInstanceUID"]


@dataclass(frozen=True)
class Reference:
    """One series of images that a dose refers to; its text form does not tell whose.

    Attributes:
        identity: A pydicom dataset of what is copied from it.
        series_uid: Its Series Instance UID.
        instances: SOP Class and SOP Instance UID of each slice, along the normal.
        grid: Where its slices stand.
    """

    identity: Any = field(repr=False)
    series_uid: str = field(repr=False)
    instances: tuple[tuple[str, str], ...] = field(repr=False)
    grid: Grid

    def share_inside(self, dose_gy: Volume) -> float:
        """Return the share of a dose's sum that lies in the images, 0 to 1.

        Args:
            dose_gy: Absorbed dose, Gy, not below 0. Of zero dose, the share of the voxels.
        """
        to_voxels = np.linalg.inv(self.grid.affine) @ dose_gy.affine
        inside = np.ones(dose_gy.data.shape, dtype=np.bool_)
        x, y, z = (np.arange(size) for size in dose_gy.data.shape)
        for axis, size in enumerate(self.grid.shape):
            a, b, c, start = to_voxels[axis]
            at = (a * x)[:, None, None] + (b * y)[:, None] + (c * z + start)
            inside &= (at >= -0.5) & (at <= size - 0.5)
        total = float(dose_gy.data.sum())
        return float(dose_gy.data[inside].sum()) / total if total > 0 else float(inside.mean())


def read_reference(
    folder: Path,
    *,
    series_uid: str | None = None,
    warnings: list[str] | None = None,
    progress: Progress = no_progress,
) -> Reference:
    """Read the images that a dose belongs to.

    Args:
        folder: A folder of DICOM files of one patient; its subfolders are searched.
        series_uid: A Series Instance UID, or the unique beginning of one; ``None`` takes the
            only series of images.
        warnings: Takes what was passed over.
        progress: Wraps the list of files, to show how far the reading is.

    Returns:
        Whose they are and where they stand.

    Raises:
        BadInput: Damaged files, several patients, no or several series of images, slices
            that are not of one study, frame of reference and grid.
    """
    told: list[str] = [] if warnings is None else warnings
    series = find_series(folder, warnings=told, progress=progress)
    every = [file for one in series for file in one.files]
    _check_same(every, (PATIENT_ID, PATIENT_NAME), "the folder", "Give the folder of one patient.")
    chosen = _choose(series, series_uid)
    _check_same(chosen.files, _SAME, "the series", "Give one series as the scanner wrote it.")
    slices = in_order(chosen, told)
    identities = [_identity(file) for file in slices.files]
    for tag in (STUDY_UID, FRAME_OF_REFERENCE, SOP_INSTANCE):
        if not all(components(one, tag) for one in identities):
            raise BadInput(
                f"{tag} must be in every slice of the reference, and it is missing. Export the "
                "series anew."
            )
    return Reference(
        identity=_copied(identities[0]),
        series_uid=chosen.uid,
        instances=tuple((str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in identities),
        grid=slices.grid,
    )


def check_overlap(reference: Reference, dose_gy: Volume) -> None:
    """Refuse a dose that lies elsewhere than its reference.

    A NIfTI file does not name its frame of reference; where it lies is all there is.

    Raises:
        BadInput: Less than half of the dose lies in the images.
    """
    share = reference.share_inside(dose_gy)
    if share < SMALLEST_SHARE:
        raise BadInput(
            f"{FRAME_OF_REFERENCE} of the reference must be that of the dose, and only "
            f"{share:.0%} of the dose lies in its images. Give the images that the dose was "
            "computed on, or whose frame of reference they share."
        )


def _choose(series: Sequence[Series], wanted: str | None) -> Series:
    images = [one for one in series if IMAGES.keys() & set(one.sop_classes)]
    fitting = images if wanted is None else [one for one in images if one.uid.startswith(wanted)]
    fitting = [one for one in fitting if one.uid == wanted] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        told = "; ".join(map(str, fitting[:4])) + ("; …" if len(fitting) > 4 else "")
        raise BadInput(f"One reference series must be chosen with --series, among {told}.")
    told = ", ".join(sorted({one.kind for one in series}))
    raise BadInput(
        "The reference must hold a series of images, CT, PT or MR with one slice a file, "
        f"{'' if wanted is None else 'named by --series, '}got {told}. Give the CT of the scan "
        "that the dose was computed on."
    )


def _check_same(files: Sequence[DicomFile], tags: Sequence[Tag], whose: str, remedy: str) -> None:
    """Refuse files that do not agree, telling the first that departs from most."""
    ordered = sorted(files, key=lambda file: os.fsencode(file.path))
    identities = [_identity(file) for file in ordered]
    for tag in tags:
        texts = ["\\".join(components(one, tag)).casefold() for one in identities]
        usual = Counter(texts).most_common(1)[0][0]
        if other := [number for number, text in enumerate(texts, start=1) if text != usual]:
            raise BadInput(
                f"{tag} must be the same in all {len(files)} DICOM files of {whose}, and in order "
                f"of path file {other[0]} differs. {remedy}"
            )


def _identity(file: DicomFile) -> Any:
    try:
        with quiet():
            return pydicom.dcmread(file.path, stop_before_pixels=True, specific_tags=_READ)
    except DICOM_ERRORS as error:
        raise BadInput("Every file of the reference must be readable, and one is not.") from error


def _copied(identity: Any) -> Any:
    kept = pydicom.Dataset()
    try:
        with quiet():
            for name in COPIED:
                if name in identity:
                    kept.add(identity[name])
    except DICOM_ERRORS as error:
        raise BadInput(
            "Patient and study of the reference must be readable, and an attribute is malformed. "
            "Export the series anew."
        ) from error
    return kept
