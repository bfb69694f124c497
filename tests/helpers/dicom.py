"""DICOM objects as vendors write them, to be damaged: PET and CT, NM, structure sets, SEG.

What is sound and virtual is written by ``rpt_phantom.dicom``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    ExplicitVRLittleEndian,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)
from scipy.spatial.transform import Rotation

PATIENT = "Doe^Jane^Quarantine"
ROOT_UID = "1.2.826.0.1.3680043.10.999"
FRAME = f"{ROOT_UID}.9"
PEAK, LOWER, UPPER = (187.5, 229.2), (166.7, 187.5), (229.2, 250.0)


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def items(**values: Any) -> list[Dataset]:
    return [item(**values)]


def code(value: str, meaning: str, scheme: str = "SRT") -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def put(dataset: Dataset, name: str, value: Any) -> None:
    """Set an attribute by keyword; ``None`` removes it."""
    if value is not None:
        setattr(dataset, name, value)
    elif name in dataset:
        delattr(dataset, name)


def begun(
    sop_class: str, modality: str, instance: str, syntax: str = ExplicitVRLittleEndian
) -> Dataset:
    """Begin an object of the synthetic patient."""
    dataset = item(SOPClassUID=sop_class, SOPInstanceUID=instance, Modality=modality)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
    return dataset


def save(dataset: Dataset, folder: Path) -> Path:
    path = folder / "Doe_Jane_4711.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def store(dataset: Dataset, stored: np.ndarray) -> None:
    """Write pixels of the shape (…, rows, columns)."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    content = np.ascontiguousarray(stored).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)


@dataclass
class PetSeries:
    """A PET series to write: a stack of stored values and the headers to change.

    ``stored`` has the shape (slices, rows, columns); slice k stands at
    ``origin_mm + k * step_mm * normal``. The patient weighs 70 kg and had 370 MBq of F-18
    one hour before the scan. Decay Factor is left to the tests that ask for it.
    """

    stored: np.ndarray = field(
        default_factory=lambda: np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    )
    slope: list[float] | float = 2.0
    spacing_mm: tuple[float, float] = (4.0, 4.0)  # distance of rows, of columns
    step_mm: float = 3.0
    origin_mm: tuple[float, float, float] = (-10.0, -20.0, 30.0)
    cosines: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    series: int = 1
    syntax: str = ExplicitVRLittleEndian
    change: Callable[[Dataset, int], None] | None = None
    set: dict[str, Any] = field(default_factory=dict)
    inject: dict[str, Any] = field(default_factory=dict)

    def slices(self) -> list[Dataset]:
        return [self._slice(index) for index in range(len(self.stored))]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index, dataset in enumerate(self.slices()):
            path = folder / f"Doe_Jane_{self.series}_{(index * 7) % 11}_{index}.dcm"
            dataset.save_as(path, enforce_file_format=True)
        return folder

    def _slice(self, index: int) -> Dataset:
        dataset = self._identity(index)
        self._geometry(dataset, index)
        self._pet(dataset)
        store(dataset, self.stored[index])
        slope = self.slope[index] if isinstance(self.slope, list) else self.slope
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), "0"
        for name, value in self.set.items():
            put(dataset, name, value)
        for name, value in self.inject.items():
            put(dataset.RadiopharmaceuticalInformationSequence[0], name, value)
        if self.change is not None:
            self.change(dataset, index)
        return dataset

    def _identity(self, index: int) -> Dataset:
        uid = f"{ROOT_UID}.{self.series}.{index + 1}"
        dataset = begun(PositronEmissionTomographyImageStorage, "PT", uid, self.syntax)
        dataset.StudyInstanceUID = ROOT_UID
        dataset.SeriesInstanceUID = f"{ROOT_UID}.{self.series}"
        dataset.FrameOfReferenceUID = FRAME
        dataset.PatientBirthDate = "19330303"
        dataset.SeriesDescription = "PET of Jane Quarantine"
        dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = "70", "1.75", "F"
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240229"
        dataset.SeriesTime = dataset.AcquisitionTime = "110000.000000"
        dataset.Manufacturer = "Synthetic"
        dataset.InstanceNumber = str(index + 1)
        return dataset

    def _geometry(self, dataset: Dataset, index: int) -> None:
        row, column = np.array(self.cosines[:3]), np.array(self.cosines[3:])
        position = np.array(self.origin_mm) + index * self.step_mm * np.cross(row, column)
        dataset.ImagePositionPatient = [f"{value:.8g}" for value in position]
        dataset.ImageOrientationPatient = [f"{value:.8g}" for value in self.cosines]
        dataset.PixelSpacing = [f"{value:.8g}" for value in self.spacing_mm]
        dataset.SliceThickness = "99"  # a lie: distances come from positions

    def _pet(self, dataset: Dataset) -> None:
        dataset.SeriesType = ["STATIC", "IMAGE"]
        dataset.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
        dataset.Units, dataset.DecayCorrection = "BQML", "START"
        dataset.ActualFrameDuration, dataset.FrameReferenceTime = "300000", "150000"
        given = item(
            Radiopharmaceutical="PSMA-1007",
            RadiopharmaceuticalStartTime="100000.000000",
            RadiopharmaceuticalStartDateTime="20240229100000.000000",
            RadionuclideTotalDose="370000000",
            RadionuclideHalfLife="6586.2",
            RadionuclideCodeSequence=[code("C-111A1", "^18^Fluorine")],
        )
        dataset.RadiopharmaceuticalInformationSequence = [given]


NM_UID = "1.2.826.0.1.3680043.10.998"


def energy_window(lower_kev: float, upper_kev: float) -> Dataset:
    limits = item(EnergyWindowLowerLimit=str(lower_kev), EnergyWindowUpperLimit=str(upper_kev))
    return item(EnergyWindowRangeSequence=[limits])


@dataclass
class NmObject:
    """An NM object: ``stored`` has the shape (frames, rows, columns).

    Of 7,400 MBq of Lu-177 given at 09:00, scanned from 13:00.
    """

    stored: np.ndarray
    kind: str = "RECON TOMO"
    pixel_mm: tuple[float, float] = (4.8, 4.8)  # distance of rows, of columns
    spacing_mm: float = 5.0
    position_mm: Sequence[float] = (-100.0, -80.0, 30.0)
    cosines: Sequence[float] = (1, 0, 0, 0, 1, 0)
    windows: Sequence[tuple[float, float]] = (PEAK,)
    views: Sequence[tuple[str, str]] = (("G-5215", "Anterior"), ("G-5216", "Posterior"))
    series: int = 1
    set: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Dataset], None] | None = None

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.dataset().save_as(path, enforce_file_format=True)
        return path

    def dataset(self) -> Dataset:
        dataset = self._identity()
        self._pixels(dataset)
        dataset.EnergyWindowInformationSequence = [
            energy_window(*limits) for limits in self.windows
        ]
        dataset.NumberOfEnergyWindows = len(self.windows)
        if self.kind == "WHOLE BODY":
            self._whole_body(dataset)
        else:
            self._tomography(dataset)
        self._radiopharmaceutical(dataset)
        for name, value in self.set.items():
            put(dataset, name, value)
        if self.change is not None:
            self.change(dataset)
        return dataset

    def _identity(self) -> Dataset:
        uid = f"{NM_UID}.{self.series}"
        dataset = begun(NuclearMedicineImageStorage, "NM", f"{uid}.1")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = NM_UID, uid
        dataset.ImageType = ["ORIGINAL", "PRIMARY", self.kind, "EMISSION"]
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240229"
        dataset.SeriesTime = dataset.AcquisitionTime = "130000"
        dataset.Manufacturer = "Synthetic"
        return dataset

    def _pixels(self, dataset: Dataset) -> None:
        store(dataset, self.stored)
        dataset.NumberOfFrames = len(self.stored)
        dataset.PixelSpacing = [str(size) for size in self.pixel_mm]

    def _tomography(self, dataset: Dataset) -> None:
        count = len(self.stored)
        dataset.FrameIncrementPointer = (0x0054, 0x0080)
        dataset.SliceVector, dataset.NumberOfSlices = list(range(1, count + 1)), count
        dataset.SpacingBetweenSlices = str(self.spacing_mm)
        dataset.SliceThickness = "99"  # a lie: the spacing counts
        dataset.NumberOfDetectors = dataset.NumberOfRotations = 1
        dataset.DetectorInformationSequence = [
            item(
                ImagePositionPatient=[f"{value:.8g}" for value in self.position_mm],
                ImageOrientationPatient=[f"{value:.8g}" for value in self.cosines],
            )
        ]
        dataset.RotationInformationSequence = [
            item(
                ScanArc="360",
                AngularStep="6",
                ActualFrameDuration="25000",
                NumberOfFramesInRotation=60,
            )
        ]

    def _whole_body(self, dataset: Dataset) -> None:
        heads, windows = len(self.views), len(self.windows)
        dataset.FrameIncrementPointer = [(0x0054, 0x0010), (0x0054, 0x0020)]
        dataset.EnergyWindowVector = [w for w in range(1, windows + 1) for _ in range(heads)]
        dataset.DetectorVector = list(range(1, heads + 1)) * windows
        dataset.NumberOfDetectors = heads
        dataset.DetectorInformationSequence = [
            item(ViewCodeSequence=[code(*view)]) for view in self.views
        ]
        dataset.ActualFrameDuration = "1200000"

    def _radiopharmaceutical(self, dataset: Dataset) -> None:
        dataset.RadiopharmaceuticalInformationSequence = [
            item(
                Radiopharmaceutical="PSMA-617",
                RadiopharmaceuticalStartTime="090000",
                RadiopharmaceuticalStartDateTime="20240229090000",
                RadionuclideTotalDose="7400",  # MBq, as the NM module has it
                RadionuclideCodeSequence=[code("C-199A4", "^177^Lutetium")],
            )
        ]


def structure_set(rois: dict[str, Sequence[np.ndarray]], **change: Any) -> Dataset:
    """Make an RTSTRUCT of ROIs with closed planar contours, points in mm, LPS."""
    dataset = begun(RTStructureSetStorage, "RTSTRUCT", f"{FRAME}.1")
    dataset.OperatorsName = PATIENT
    dataset.StructureSetROISequence = [roi(number, name) for number, name in enumerate(rois, 1)]
    dataset.ROIContourSequence = [
        roi_contour(number, contours) for number, contours in enumerate(rois.values(), 1)
    ]
    for name, value in change.items():
        setattr(dataset, name, value)
    return dataset


def roi(number: int, name: str) -> Dataset:
    return item(ROINumber=str(number), ROIName=name, ReferencedFrameOfReferenceUID=FRAME)


def roi_contour(number: int, contours: Sequence[np.ndarray]) -> Dataset:
    drawn = [contour(points) for points in contours]
    return item(ReferencedROINumber=str(number), ContourSequence=drawn)


def contour(points_mm: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    return item(
        ContourGeometricType=kind,
        NumberOfContourPoints=str(len(points_mm)),
        ContourData=[f"{value:.3f}" for value in np.ravel(points_mm)],
    )


def described(number: int, label: str, side: str | None = None) -> Dataset:
    kind = code("64033007", "Kidney", "SCT")
    if side:
        kind.SegmentedPropertyTypeModifierCodeSequence = [code(side, "side", "SCT")]
    return item(SegmentNumber=number, SegmentLabel=label, SegmentedPropertyTypeCodeSequence=[kind])


def segmentation(masks, affine, *, step_mm=None, drop_empty=True, **change):
    """Make a SEG of masks [i, j, k] on an LPS affine, their frames in falling order."""
    dataset = begun(SegmentationStorage, "SEG", "1.2.3")
    dataset.SegmentationType = "BINARY"
    dataset.FrameOfReferenceUID = FRAME
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = np.concatenate([affine[:3, 0] / spacing_mm[0], affine[:3, 1] / spacing_mm[1]])
    dataset.SharedFunctionalGroupsSequence = items(
        PlaneOrientationSequence=items(ImageOrientationPatient=[f"{x:.10f}" for x in cosines]),
        PixelMeasuresSequence=items(
            PixelSpacing=[f"{spacing_mm[1]:g}", f"{spacing_mm[0]:g}"],
            SliceThickness=f"{step_mm or spacing_mm[2]:g}",
        ),
    )
    dataset.SegmentSequence = [
        described(1, "Kidney_L", "7771000"),
        described(2, "Doe's kidney"),
    ][: len(masks)]
    frames, own = [], []
    for number, mask in enumerate(masks, start=1):
        for k in reversed(range(mask.shape[2])):
            if drop_empty and not mask[:, :, k].any():
                continue
            position = affine[:3, 2] * k + affine[:3, 3]
            own += items(
                PlanePositionSequence=items(ImagePositionPatient=[f"{x:.6f}" for x in position]),
                SegmentIdentificationSequence=items(ReferencedSegmentNumber=number),
            )
            frames.append(mask[:, :, k].T)
    dataset.PerFrameFunctionalGroupsSequence = own
    dataset.NumberOfFrames = len(frames)
    dataset.Columns, dataset.Rows = masks[0].shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.PixelData = pack_bits(np.array(frames, dtype=np.uint8))
    for name, value in change.items():
        setattr(dataset, name, value)
    return dataset


def lps_affine(angles_deg=(0.0, 0.0, 0.0), spacing_mm=(2.0, 3.0, 4.0)):
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.diag(spacing_mm)
    affine[:3, 3] = (-30.0, 12.0, 400.0)
    return affine
