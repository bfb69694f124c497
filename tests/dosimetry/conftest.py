"""A writer of synthetic PET series, and the ways to convert one."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage
from rpt_cohort.command import run_app
from rpt_dosimetry import Suv, choose_pet, convert, find_series
from rpt_dosimetry.__main__ import app

PATIENT = "Doe^Jane^Quarantine"
ROOT_UID = "1.2.826.0.1.3680043.10.999"


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SRT", meaning
    return item


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
        dataset = Dataset()
        self._identity(dataset, index)
        self._geometry(dataset, index)
        self._pet(dataset)
        plane = np.ascontiguousarray(self.stored[index])
        dataset.PixelData = plane.tobytes()
        slope = self.slope[index] if isinstance(self.slope, list) else self.slope
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), "0"
        for name, value in self.set.items():
            put(dataset, name, value)
        for name, value in self.inject.items():
            put(dataset.RadiopharmaceuticalInformationSequence[0], name, value)
        if self.change is not None:
            self.change(dataset, index)
        return dataset

    def _identity(self, dataset: Dataset, index: int) -> None:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self.syntax
        dataset.SOPClassUID = PositronEmissionTomographyImageStorage
        dataset.SOPInstanceUID = f"{ROOT_UID}.{self.series}.{index + 1}"
        dataset.StudyInstanceUID = ROOT_UID
        dataset.SeriesInstanceUID = f"{ROOT_UID}.{self.series}"
        dataset.FrameOfReferenceUID = f"{ROOT_UID}.9"
        dataset.Modality = "PT"
        dataset.PatientName, dataset.PatientID = PATIENT, "Quarantine-4711"
        dataset.PatientBirthDate = "19330303"
        dataset.SeriesDescription = "PET of Jane Quarantine"
        dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = "70", "1.75", "F"
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240229"
        dataset.SeriesTime = dataset.AcquisitionTime = "110000.000000"
        dataset.Manufacturer = "Synthetic"
        dataset.InstanceNumber = str(index + 1)

    def _geometry(self, dataset: Dataset, index: int) -> None:
        row, column = np.array(self.cosines[:3]), np.array(self.cosines[3:])
        position = np.array(self.origin_mm) + index * self.step_mm * np.cross(row, column)
        dataset.ImagePositionPatient = [f"{value:.8g}" for value in position]
        dataset.ImageOrientationPatient = [f"{value:.8g}" for value in self.cosines]
        dataset.PixelSpacing = [f"{value:.8g}" for value in self.spacing_mm]
        dataset.SliceThickness = "99"  # a lie: distances come from positions
        _, dataset.Rows, dataset.Columns = self.stored.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        bits = self.stored.dtype.itemsize * 8
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
        dataset.PixelRepresentation = int(self.stored.dtype.kind == "i")

    def _pet(self, dataset: Dataset) -> None:
        dataset.SeriesType = ["STATIC", "IMAGE"]
        dataset.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
        dataset.Units, dataset.DecayCorrection = "BQML", "START"
        dataset.ActualFrameDuration, dataset.FrameReferenceTime = "300000", "150000"
        item = Dataset()
        item.Radiopharmaceutical = "PSMA-1007"
        item.RadiopharmaceuticalStartTime = "100000.000000"
        item.RadiopharmaceuticalStartDateTime = "20240229100000.000000"
        item.RadionuclideTotalDose, item.RadionuclideHalfLife = "370000000", "6586.2"
        item.RadionuclideCodeSequence = [code("C-111A1", "^18^Fluorine")]
        dataset.RadiopharmaceuticalInformationSequence = [item]


def put(dataset: Dataset, name: str, value: Any) -> None:
    """Set an attribute by keyword; ``None`` removes it."""
    if value is not None:
        setattr(dataset, name, value)
    elif name in dataset:
        delattr(dataset, name)


@pytest.fixture(scope="session")
def pet_series() -> type[PetSeries]:
    return PetSeries


@pytest.fixture
def patient_words() -> list[str]:
    """What no output may hold: names, numbers and dates of the synthetic patient."""
    return ["Doe", "Jane", "Quarantine", "4711", "19330303", "20240229", "2024-02-29"]


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run ``python -m rpt_dosimetry`` in this process."""

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rpt_dosimetry", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            run_app(app)
        told = capsys.readouterr()
        return Outcome(int(ending.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def in_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[object]]:
    """Write rarer choices to a file and return the words that name it."""

    def words(**choices: Any) -> list[object]:
        path = tmp_path_factory.mktemp("options") / "OPTIONS.yaml"
        path.write_text(yaml.safe_dump(choices))
        return ["--options", path]

    return words


@pytest.fixture
def convert_series(tmp_path: Path) -> Callable[[PetSeries], Suv]:
    """Write a synthetic series and convert it."""
    count = itertools.count()

    def run(series: PetSeries) -> Suv:
        return convert(choose_pet(find_series(series.write(tmp_path / str(next(count)))), None))

    return run
