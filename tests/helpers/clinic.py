"""A synthetic clinic: PET/CT, SPECT/CTs and contours of one patient, written as DICOM."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from helpers.dicom import structure_set

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
VOXEL_MM = 8.0
SHAPE = (40, 32, 24)  # x, y, z of the SPECT
LU_HALF_LIFE_S = 6.647 * 86400
EFFECTIVE_H = 50.0
SPECT_H = (4.0, 24.0, 96.0)
FRAME = "1.2.826.0.1.3680043.10.999.9"


@dataclass(frozen=True)
class Ellipsoid:
    """A solid, mm, in the frame of the first SPECT (LPS, origin in the middle)."""

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]

    def inside(self, points_mm: np.ndarray, *, soft_mm: float = 4.0) -> np.ndarray:
        """Share of a voxel inside, with an edge some mm wide."""
        scaled = (points_mm - np.array(self.centre_mm)) / np.array(self.half_mm)
        radius = np.sqrt((scaled**2).sum(axis=-1))
        return np.clip((1.0 - radius) * min(self.half_mm) / soft_mm + 0.5, 0.0, 1.0)


BODY = Ellipsoid((0, 0, 0), (130, 95, 150))
LIVER = Ellipsoid((-55, -10, 20), (45, 50, 40))
KIDNEYS = (Ellipsoid((-60, 45, -35), (22, 20, 34)), Ellipsoid((60, 45, -30), (22, 20, 34)))
LUNG = Ellipsoid((45, -15, 70), (40, 45, 45))
SPINE = Ellipsoid((0, 62, 0), (16, 16, 140))
LESION = Ellipsoid((40, -40, -60), (18, 18, 18))


def ct_hu(points_mm: np.ndarray) -> np.ndarray:
    """HU of air, a body of soft tissue, lung, spine and organs that differ a little."""
    hu = -1000.0 + 1020.0 * BODY.inside(points_mm)
    for solid, step in ((LUNG, -780.0), (SPINE, 400.0), (LIVER, 60.0), (LESION, 120.0)):
        hu += step * solid.inside(points_mm)
    for kidney in KIDNEYS:
        hu += 90.0 * kidney.inside(points_mm)
    return np.rint(np.maximum(hu, -1000.0))


def uptake(points_mm: np.ndarray) -> np.ndarray:
    """Concentration, kidneys 1."""
    shares = [(BODY, 0.03), (LIVER, 0.2), (LESION, 0.7), *((one, 0.9) for one in KIDNEYS)]
    return sum(value * solid.inside(points_mm) for solid, value in shares)


@dataclass
class Clinic:
    """Writes the folders of one patient's cycle.

    Attributes:
        pet_series: The tests' writer of PET series.
        root: Where the study's folders are.
        patient_id: Patient ID in every file.
        prefix: Begins the names of the folders.
    """

    pet_series: Any
    root: Path
    patient_id: str = "Quarantine-4711"
    prefix: str = "Doe_Jane"

    def write(self, **changes: Any) -> dict[str, Any]:
        """Write all scans and return the cycle's entry of STUDY.yaml."""
        spects = []
        for number, time_h in enumerate(SPECT_H, start=1):
            shift_mm = (6.0 * (number - 1), -4.0 * (number - 1), 5.0 * (number - 1))
            self.spect(number, time_h, shift_mm)
            spects.append({"folder": self._name(f"spect_{number}")})
        self.pet((12.0, -8.0, 20.0))
        self.contours()
        entry = {
            "patient": "P001",
            "cycle": 1,
            "therapy": "177Lu-PSMA-I&T",
            "administered_mbq": 7400.0,
            "pet": {"folder": self._name("pet")},
            "spect": spects,
            "organs": {"file": self._name("organs")},
            "lesions": {"file": self._name("lesions")},
        }
        return entry | changes

    def spect(self, number: int, time_h: float, shift_mm: tuple[float, float, float]) -> None:
        points_mm = self._points(SHAPE, VOXEL_MM, shift_mm)
        bq_per_ml = 1.0e6 * uptake(points_mm) * 2.0 ** (-time_h / EFFECTIVE_H)
        day, clock = _after_injection(time_h * 3600 - 600)
        folder = self.root / self._name(f"spect_{number}")
        series = self.pet_series(
            **self._stored(bq_per_ml, VOXEL_MM, 10 * number),
            set=self._set(day, clock, number) | {"ActualFrameDuration": "1200000"},
            inject={
                "Radiopharmaceutical": "PSMA-I&T",
                "RadionuclideHalfLife": f"{LU_HALF_LIFE_S:.1f}",
                "RadionuclideTotalDose": "7400000000",
                "RadiopharmaceuticalStartDateTime": "20240226080000.000000",
                "RadiopharmaceuticalStartTime": "080000.000000",
                "RadionuclideCodeSequence": None,
            },
        )
        series.set["DecayCorrection"] = "NONE"
        series.write(folder)
        self._ct(folder, points_mm, 10 * number + 1, day, clock, number)

    def pet(self, shift_mm: tuple[float, float, float]) -> None:
        points_mm = self._points((32, 28, 30), 7.0, shift_mm)
        folder = self.root / self._name("pet")
        day, clock = "20240220", "110000.000000"
        series = self.pet_series(
            **self._stored(2.0e4 * uptake(points_mm), 7.0, 50),
            set=self._set(day, clock, 5),
            inject={
                "RadiopharmaceuticalStartDateTime": "20240220100000.000000",
                "RadiopharmaceuticalStartTime": "100000.000000",
            },
        )
        series.write(folder)
        self._ct(folder, points_mm, 51, day, clock, 5, spacing_mm=7.0)

    def contours(self) -> None:
        """Write organs and lesion as drawn on the first SPECT's CT."""
        for name, regions in (
            ("organs", {"Kidney_R": KIDNEYS[0], "Kidney_L": KIDNEYS[1], "Liver": LIVER}),
            ("lesions", {"Lesion 1": LESION}),
        ):
            folder = self.root / self._name(name)
            folder.mkdir(parents=True, exist_ok=True)
            rois = {roi: _circles(solid) for roi, solid in regions.items()}
            dataset = structure_set(rois, PatientID=self.patient_id)
            for item in dataset.StructureSetROISequence:
                item.ReferencedFrameOfReferenceUID = f"{FRAME}.1"
            dataset.save_as(folder / f"{self.prefix}.dcm", enforce_file_format=True)

    def _ct(
        self,
        folder: Path,
        points_mm: np.ndarray,
        series_number: int,
        day: str,
        clock: str,
        frame: int,
        *,
        spacing_mm: float = VOXEL_MM,
    ) -> None:
        told = self._stored(ct_hu(points_mm), spacing_mm, series_number, ct=True)
        series = self.pet_series(
            **told,
            set=self._set(day, clock, frame)
            | {"Modality": "CT", "SOPClassUID": CT_STORAGE, "RescaleType": "HU"}
            | dict.fromkeys(("Units", "DecayCorrection", "SeriesType", "CorrectedImage")),
        )
        series.write(folder)

    def _stored(
        self, values: np.ndarray, spacing_mm: float, series: int, *, ct: bool = False
    ) -> dict[str, Any]:
        """Return what the writer needs of values (x, y, z), x and y as in DICOM."""
        slope = 1.0 if ct else float(f"{values.max() / 30000.0:.6g}")
        stored = np.rint(values / slope).astype(np.int16).transpose(2, 1, 0)
        first_mm = tuple(-(n - 1) / 2.0 * spacing_mm for n in values.shape)
        return {
            "stored": np.ascontiguousarray(stored),
            "slope": slope,
            "spacing_mm": (spacing_mm, spacing_mm),
            "step_mm": spacing_mm,
            "origin_mm": first_mm,
            "series": series,
        }

    def _set(self, day: str, clock: str, frame: int) -> dict[str, Any]:
        dates = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate"), day)
        return dates | {
            "SeriesTime": clock,
            "AcquisitionTime": clock,
            "FrameOfReferenceUID": f"{FRAME}.{frame}",
            "PatientID": self.patient_id,
            "DecayFactor": None,
        }

    def _points(
        self, shape: tuple[int, int, int], spacing_mm: float, shift_mm: tuple[float, float, float]
    ) -> np.ndarray:
        axes = [(np.arange(n) - (n - 1) / 2.0) * spacing_mm for n in shape]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return grid - np.array(shift_mm)

    def _name(self, what: str) -> str:
        return f"{self.prefix}_{what}"


def write_study(path: Path, cycles: list[dict[str, Any]], **changes: Any) -> Path:
    """Write a STUDY.yaml of cycles; one SPECT tells no washout and needs a model that is named."""
    content = {"name": "synthetic", "engine": "local", "slice_voxels": 40, "cycles": cycles}
    if any(len(cycle.get("spect", ())) == 1 for cycle in cycles):
        content["model"] = "physical"
    path.write_text(yaml.safe_dump(content | changes, allow_unicode=True))
    return path


def _after_injection(seconds: float) -> tuple[str, str]:
    """Return day and clock so long after 08:00 on 26 February 2024."""
    days, rest = divmod(8 * 3600 + seconds, 86400)
    hours, rest = divmod(rest, 3600)
    day = 26 + int(days)
    date = f"202402{day}" if day <= 29 else f"202403{day - 29:02d}"
    return date, f"{int(hours):02d}{int(rest // 60):02d}{rest % 60:09.6f}"


def _circles(solid: Ellipsoid) -> list[np.ndarray]:
    """Return the outlines of a solid in the planes of the first SPECT's CT, mm, LPS."""
    planes_mm = (np.arange(SHAPE[2]) - (SHAPE[2] - 1) / 2.0) * VOXEL_MM
    angle = np.linspace(0.0, 2.0 * math.pi, 40, endpoint=False)
    found = []
    for z_mm in planes_mm:
        left = 1.0 - ((z_mm - solid.centre_mm[2]) / solid.half_mm[2]) ** 2
        if left > 0.05:
            around = np.stack([np.cos(angle), np.sin(angle), np.zeros(40)], axis=1)
            half = np.array([solid.half_mm[0], solid.half_mm[1], 0.0]) * math.sqrt(left)
            found.append(around * half + [*solid.centre_mm[:2], z_mm])
    return found
