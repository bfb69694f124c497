"""Write an absorbed dose as an RT Dose object that joins a patient's images.

This is the one place that reads who the patient is: an RT Dose must lie in the patient's own
study. The values are copied and never shown; a fault is told by file number and tag. Numbers do
not tell Gy from Gy/GBq: the contract's names do, and so does the JSON beside.

There is no RT Plan in radiopharmaceutical therapy, and none is made up. Of the terms for Dose
Summation Type only PLAN_OVERVIEW asks for no reference to a plan or record; that it stands here
without an overview is ours. dciodvfy, which does not know the term yet, finds no error.

Dose Grid Scaling is a decimal string of 16 characters, so that it cannot be any number. It is
chosen and rounded first; the values are divided by what is written, and come back within half of
it. Of 16 or 32 bits, unsigned, we take 32: with 16 the steps of a tumour's 100 Gy are 1.5 mGy,
coarser than the dose of distant tissue. Of the 32 bits, 31 are used (ours), for readers that
take the values as signed; the steps of 100 Gy are 47 nGy.

No clock and no host is in the object, and its UIDs are drawn from its content: the same dose,
reference and library versions give the same bytes, which an archive takes for the same object.

Source: DICOM PS3.3, A.18.3 (RT Dose IOD), C.8.8.3 (RT Dose), C.12.1 (SOP Common, Content
Qualification).
"""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Num, Shaped, UInt32
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from rpt_cohort import BadInput, Volume, provenance, read_volume

from rpt_dosimetry.dicom.reading import DICOM_ERRORS, components, quiet, shown
from rpt_dosimetry.dicom.series import (
    DicomFile,
    Progress,
    Series,
    find_series,
    named,
    no_progress,
)
from rpt_dosimetry.dicom.slices import Grid, in_order
from rpt_dosimetry.nifti import nifti_and_beside
from rpt_dosimetry.rtdose.reading import (
    NOT_CLINICAL,
    RT_DOSE_STORAGE,
    FrameGrid,
    RtDose,
    to_frames,
)

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

_SAME = (
    "SOPClassUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "FrameOfReferenceUID",
)
_READ = [*COPIED, "SOPClassUID", "SOPInstanceUID"]


@dataclass(frozen=True)
class Reference:
    """One series of images that a dose refers to; its text form does not tell whose.

    Attributes:
        identity: A pydicom dataset of what is copied from it.
        instances: SOP Class and SOP Instance UID of each slice, along the normal.
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

    Raises:
        BadInput: Damaged files, several patients, no or several series of images, slices
            that are not of one study, frame of reference and grid.
    """
    told: list[str] = [] if warnings is None else warnings
    series = find_series(folder, warnings=told, progress=progress)
    every = [file for one in series for file in one.files]
    _check_same(
        every, ("PatientID", "PatientName"), "the folder", "Give the folder of one patient."
    )
    chosen = _choose(series, series_uid)
    _check_same(chosen.files, _SAME, "the series", "Give one series as the scanner wrote it.")
    slices = in_order(chosen, told)
    identities = [_identity(file) for file in slices.files]
    for tag in ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"):
        if not all(components(one, tag) for one in identities):
            raise BadInput(
                f"{shown(tag)} must be in every slice of the reference, and it is missing. Export "
                "the series anew."
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
            f"{shown('FrameOfReferenceUID')} of the reference must be that of the dose, and only "
            f"{share:.0%} of the dose lies in its images. Give the images that the dose was "
            "computed on, or whose frame of reference they share."
        )


def _choose(series: Sequence[Series], wanted: str | None) -> Series:
    images = [one for one in series if IMAGES.keys() & set(one.sop_classes)]
    fitting = images if wanted is None else named(images, wanted)
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


def _check_same(files: Sequence[DicomFile], tags: Sequence[str], whose: str, remedy: str) -> None:
    """Refuse files that do not agree, telling the first that departs from most."""
    ordered = sorted(files, key=lambda file: os.fsencode(file.path))
    identities = [_identity(file) for file in ordered]
    for tag in tags:
        texts = ["\\".join(components(one, tag)).casefold() for one in identities]
        usual = Counter(texts).most_common(1)[0][0]
        if other := [number for number, text in enumerate(texts, start=1) if text != usual]:
            raise BadInput(
                f"{shown(tag)} must be the same in all {len(files)} DICOM files of {whose}, and in "
                f"order of path file {other[0]} differs. {remedy}"
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


LARGEST_STORED = 2**31 - 1
LARGEST_GY = 1e6
"""Ours: no therapy comes near; what is beyond is of another unit."""
SMALLEST_SCALING_GY = 1e-20
"""Ours, for a dose of zero everywhere: a scaling must be above 0."""


def quantise(
    dose_gy: Shaped[np.ndarray, "frame row column"],
) -> tuple[UInt32[np.ndarray, "frame row column"], str]:
    """Store a dose as integers.

    Returns:
        The stored values, and Dose Grid Scaling, Gy, as it is to be written.

    Raises:
        BadInput: A dose is negative, not finite or above 1e6 Gy.
    """
    dose = dose_gy.astype(np.float64)
    _check(dose)
    scaling = f"{max(float(dose.max()) / LARGEST_STORED, SMALLEST_SCALING_GY):.10e}"
    return np.rint(dose / float(scaling)).astype(np.uint32), scaling


def _check(dose: Num[np.ndarray, "frame row column"]) -> None:
    """Refuse what is no absorbed dose."""
    bad = int((~np.isfinite(dose)).sum())
    if bad:
        raise BadInput(
            f"The dose must be finite in every voxel, and in {bad} of {dose.size} it is not. "
            "Compute it anew."
        )
    negative = int((dose < 0).sum())
    if negative:
        raise BadInput(
            f"The dose must be 0 Gy or more in every voxel, and {negative} of {dose.size} are "
            f"below, down to {dose.min():.4g} Gy. Set what noise or interpolation made negative "
            "to 0."
        )
    if dose.max() > LARGEST_GY:
        raise BadInput(
            f"The dose must be at most {LARGEST_GY:g} Gy, got {dose.max():.4g}. Check its unit."
        )


PER_ACTIVITY, IN_GY = "dose.nii.gz", "dose_gy.nii.gz"
"""By the contract always Gy/GBq; ``dose_gy.nii.gz`` is Gy."""

LEAST_GBQ, LARGEST_GBQ = 0.01, 50.0
"""Ours: a MBq value is beyond them."""
_TOLD = "absorbed dose, Gy"


def read_dose_per_activity(path: Path, *, administered_gbq: float) -> Volume:
    """Read a dose per activity and multiply it by the activity.

    Args:
        path: A NIfTI file in Gy/GBq. A JSON of the same name beside it must not tell Gy.
        administered_gbq: Net administered activity, GBq.

    Raises:
        BadInput: The file cannot be read or is in Gy, or the activity is out of its bounds.
    """
    if not LEAST_GBQ <= administered_gbq <= LARGEST_GBQ:
        raise BadInput(
            f"--administered-gbq must be from {LEAST_GBQ:g} to {LARGEST_GBQ:g} GBq, got "
            f"{administered_gbq:g} GBq. 7400 MBq is 7.4 GBq."
        )
    if path.name.lower() == IN_GY or nifti_and_beside(path).text("quantity") == _TOLD:
        raise BadInput(
            "With --administered-gbq the dose must be in Gy/GBq, and its name or JSON tells Gy. "
            "Leave the option out."
        )
    volume = read_volume(path, name="The dose")
    return Volume(volume.data.astype(np.float64) * administered_gbq, volume.affine)


def read_dose_gy(path: Path) -> Volume:
    """Read an absorbed dose in Gy.

    Args:
        path: A NIfTI file. A JSON of the same name beside it is asked for its quantity.

    Raises:
        BadInput: The file cannot be read, or its name or JSON tells another quantity.
    """
    if path.name.lower() == PER_ACTIVITY:
        raise BadInput(
            f"The dose must be in Gy, and {PER_ACTIVITY} is the name of a dose per activity, "
            "Gy/GBq. Give dose_gy.nii.gz, or the administered activity by --administered-gbq."
        )
    quantity = nifti_and_beside(path).text("quantity")
    if quantity is not None and quantity != _TOLD:
        raise BadInput(
            f"The dose must be in Gy, and the JSON beside it does not tell '{_TOLD}' but another "
            "quantity. Give the map in Gy."
        )
    volume = read_volume(path, name="The dose")
    return Volume(volume.data.astype(np.float64), volume.affine)


WHOLE = ("PLAN", "MULTI_PLAN", "PLAN_OVERVIEW")
"""Dose Summation Types that stand for a therapy and not for a part of it."""


def rtdose_report(dose_gy: Volume, told: RtDose) -> dict[str, Any]:
    """Tell what an RT Dose object held, without UIDs, dates and free text."""
    warnings = []
    if told.summation_type not in WHOLE:
        warnings.append(
            f"Dose Summation Type is {told.summation_type or 'missing'}: the dose may be that of "
            "a part of the therapy."
        )
    return {
        "quantity": "absorbed dose, Gy",
        "summation_type": told.summation_type,
        "predicted": told.is_prediction,
        "scaling_gy": told.scaling_gy,
        "bits": told.bits,
        "gy_max": float(dose_gy.data.max()),
        "gy_mean": float(dose_gy.data.mean()),
        "shape": list(dose_gy.data.shape),
        "spacing_mm": list(dose_gy.spacing_mm),
        "warnings": warnings,
        "provenance": provenance(
            package="rpt-dosimetry",
            command="rtdose",
            parameters={},
            inputs={"rtdose": told.sha256},
            libraries=("nibabel", "numpy", "pydicom"),
        ),
    }


SERIES = "Absorbed dose of radiopharmaceutical therapy"
PREDICTED_SERIES = "PREDICTED dose, FOR RESEARCH ONLY"
"""Series Description; LO holds 64 characters."""

_EMPTY_WHERE_MISSING = (  # type 2: must be there, may be empty
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("PositionReferenceIndicator", "OperatorsName", "SeriesNumber"),
)


def rtdose_bytes(dose_gy: Volume, reference: Reference, *, predicted: bool) -> bytes:
    """Encode a dose as an RT Dose object of the reference's patient, study and frame.

    Args:
        dose_gy: Absorbed dose, Gy, on a grid of its own, upright or oblique.
        predicted: It was predicted before therapy; series and comment then say so, and
            that it is for research only.

    Returns:
        The content of a DICOM file. A stored value times Dose Grid Scaling is within half
        of the scaling of its dose, and each centre within 1e-3 mm of its own.

    Raises:
        BadInput: The dose is negative, not finite, on a sheared grid or in one slice, or
            lies elsewhere than the reference.
    """
    frames_gy, grid = to_frames(dose_gy)
    stored, scaling_gy = quantise(frames_gy)
    check_overlap(reference, dose_gy)
    dataset = deepcopy(reference.identity)
    for name in _EMPTY_WHERE_MISSING:
        if name not in dataset:
            setattr(dataset, name, "")
    _describe(dataset, predicted=predicted)
    _place(dataset, grid)
    _store(dataset, stored, scaling_gy)
    _refer(dataset, reference)
    return _with_uids(dataset)


def _describe(dataset: Dataset, *, predicted: bool) -> None:
    dataset.SOPClassUID = RT_DOSE_STORAGE
    dataset.Modality = "RTDOSE"
    dataset.SeriesDescription = PREDICTED_SERIES if predicted else SERIES
    dataset.InstanceNumber = "1"
    dataset.Manufacturer = "rpt-dosegan"
    dataset.ManufacturerModelName = "rpt-dosimetry"
    dataset.SoftwareVersions = version("rpt-dosimetry")
    dataset.ContentQualification = "RESEARCH"  # nothing here is a medical device
    dataset.DoseUnits, dataset.DoseType = "GY", "PHYSICAL"
    dataset.DoseSummationType = "PLAN_OVERVIEW"
    if predicted:
        dataset.DoseComment = NOT_CLINICAL


def _place(dataset: Dataset, grid: FrameGrid) -> None:
    dataset.ImagePositionPatient = list(grid.position_mm)
    dataset.ImageOrientationPatient = list(grid.orientation)
    dataset.PixelSpacing = list(grid.spacing_mm)
    dataset.SliceThickness = grid.offsets_mm[1]
    dataset.GridFrameOffsetVector = list(grid.offsets_mm)
    dataset.FrameIncrementPointer = tag_for_keyword("GridFrameOffsetVector")


def _store(
    dataset: Dataset, stored: UInt32[np.ndarray, "frame row column"], scaling_gy: str
) -> None:
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 32, 31
    dataset.PixelRepresentation = 0
    dataset.DoseGridScaling = scaling_gy
    dataset.PixelData = stored.astype("<u4").tobytes()
    dataset["PixelData"].VR = "OW"


def _refer(dataset: Dataset, reference: Reference) -> None:
    """Name the images, in the object and by series."""
    series = Dataset()
    dataset.ReferencedImageSequence = [_item(*one) for one in reference.instances]
    series.SeriesInstanceUID = reference.series_uid
    series.ReferencedInstanceSequence = [_item(*one) for one in reference.instances]
    dataset.ReferencedSeriesSequence = [series]


def _item(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item


def _with_uids(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SeriesInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["none yet"])
    content = hashlib.sha256(_encoded(dataset)).hexdigest()
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", content])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", content])
    return _encoded(dataset)


def _encoded(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
