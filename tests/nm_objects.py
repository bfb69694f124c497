"""Write NM objects as vendors do: frame vectors, detector and energy-window sequences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage

PATIENT = "Doe^Jane^Quarantine"
ROOT_UID = "1.2.826.0.1.3680043.10.998"
PEAK, LOWER, UPPER = (187.5, 229.2), (166.7, 187.5), (229.2, 250.0)


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def code(value: str, meaning: str, scheme: str = "SRT") -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def energy_window(lower_kev: float, upper_kev: float) -> Dataset:
    limits = item(EnergyWindowLowerLimit=str(lower_kev), EnergyWindowUpperLimit=str(upper_kev))
    return item(EnergyWindowRangeSequence=Items([limits]))


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
        dataset.EnergyWindowInformationSequence = Items(
            [energy_window(*limits) for limits in self.windows]
        )
        dataset.NumberOfEnergyWindows = len(self.windows)
        if self.kind == "WHOLE BODY":
            self._whole_body(dataset)
        else:
            self._tomography(dataset)
        self._radiopharmaceutical(dataset)
        for name, value in self.set.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
        if self.change is not None:
            self.change(dataset)
        return dataset

    def _identity(self) -> Dataset:
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = NuclearMedicineImageStorage
        dataset.SOPInstanceUID = f"{ROOT_UID}.{self.series}.1"
        dataset.StudyInstanceUID = ROOT_UID
        dataset.SeriesInstanceUID = f"{ROOT_UID}.{self.series}"
        dataset.Modality = "NM"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", self.kind, "EMISSION"]
        dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240229"
        dataset.SeriesTime = dataset.AcquisitionTime = "130000"
        dataset.Manufacturer = "Synthetic"
        return dataset

    def _pixels(self, dataset: Dataset) -> None:
        frames, dataset.Rows, dataset.Columns = self.stored.shape
        dataset.NumberOfFrames = frames
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        bits = self.stored.dtype.itemsize * 8
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
        dataset.PixelRepresentation = int(self.stored.dtype.kind == "i")
        dataset.PixelSpacing = [str(size) for size in self.pixel_mm]
        dataset.PixelData = np.ascontiguousarray(self.stored).tobytes()
        if len(dataset.PixelData) % 2:
            dataset.PixelData += b"\0"

    def _tomography(self, dataset: Dataset) -> None:
        count = len(self.stored)
        dataset.FrameIncrementPointer = (0x0054, 0x0080)
        dataset.SliceVector, dataset.NumberOfSlices = list(range(1, count + 1)), count
        dataset.SpacingBetweenSlices = str(self.spacing_mm)
        dataset.SliceThickness = "99"  # a lie: the spacing counts
        dataset.NumberOfDetectors = dataset.NumberOfRotations = 1
        dataset.DetectorInformationSequence = Items(
            [
                item(
                    ImagePositionPatient=[f"{value:.8g}" for value in self.position_mm],
                    ImageOrientationPatient=[f"{value:.8g}" for value in self.cosines],
                )
            ]
        )
        dataset.RotationInformationSequence = Items(
            [
                item(
                    ScanArc="360",
                    AngularStep="6",
                    ActualFrameDuration="25000",
                    NumberOfFramesInRotation=60,
                )
            ]
        )

    def _whole_body(self, dataset: Dataset) -> None:
        heads, windows = len(self.views), len(self.windows)
        dataset.FrameIncrementPointer = [(0x0054, 0x0010), (0x0054, 0x0020)]
        dataset.EnergyWindowVector = [w for w in range(1, windows + 1) for _ in range(heads)]
        dataset.DetectorVector = list(range(1, heads + 1)) * windows
        dataset.NumberOfDetectors = heads
        dataset.DetectorInformationSequence = Items(
            [item(ViewCodeSequence=Items([code(*view)])) for view in self.views]
        )
        dataset.ActualFrameDuration = "1200000"

    def _radiopharmaceutical(self, dataset: Dataset) -> None:
        dataset.RadiopharmaceuticalInformationSequence = Items(
            [
                item(
                    Radiopharmaceutical="PSMA-617",
                    RadiopharmaceuticalStartTime="090000",
                    RadiopharmaceuticalStartDateTime="20240229090000",
                    RadionuclideTotalDose="7400",  # MBq, as the NM module has it
                    RadionuclideCodeSequence=Items([code("C-199A4", "^177^Lutetium")]),
                )
            ]
        )
