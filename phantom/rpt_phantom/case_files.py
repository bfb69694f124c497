"""The files of one virtual cycle, with how far the measured dose is from the true one.

No predictor can be expected to do better than a second measurement of the same patient.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from rpt_cohort import CycleInfo, json_bytes, nifti_bytes, provenance, table_bytes
from rpt_cohort.labels import ORGANS
from rpt_cohort.seal import OUTPUTS, output_sha256, sealed_bytes
from rpt_dosimetry.ingest.cycle_files import FINGERPRINT

from rpt_phantom.agents.agent import rate_table
from rpt_phantom.anatomy.voxels import CT_FWHM_MM
from rpt_phantom.coverage import patient_number
from rpt_phantom.imaging import CPS_PER_MBQ, FAST, FOV_EDGE_SLICES
from rpt_phantom.measured import CALIBRATION_LOG_STD, ENGINE
from rpt_phantom.patient import VirtualCycle, dose_again, make_cycle
from rpt_phantom.pet import PET_FWHM_MM, PET_NOISE_LENGTH_MM, PET_NOISE_SUV
from rpt_phantom.settings import CohortSettings

LEAST_VOXELS = 10
"""Ours: below, a correlation says nothing."""
CEILING = "truth/ceiling.csv"
_LIBRARIES = ("rpt-cohort", "rpt-kinetics", "rpt-dosimetry", "numpy", "scipy", "nibabel")
_LIBRARIES_FULL = ("SimpleITK", "pytomography", "torch")
MAKES = 5
"""Raised whenever the same settings give other data: cycles made before are then made anew. What
was matched to measurements (``_matched``) counts by itself."""


def ceiling_rows(
    made: VirtualCycle, again: Float32[np.ndarray, "x y z"], *, patient: str, cycle: int
) -> list[dict[str, Any]]:
    """Compare true dose and two measurements in every region, the columns of ``ceiling.csv``.

    Means are in Gy/GBq, r and differences over voxels: ‖measured − true‖ over ‖true‖ and ‖again −
    measured‖ over ‖measured‖.

    Args:
        again: The second measurement, Gy/GBq.

    Returns:
        Rows of regions with at least 10 voxels in the field of view.
    """
    doses = (made.true_dose_gy_per_gbq, made.dose_gy_per_gbq, again)
    rows = []
    for region, here in regions(made).items():
        if np.count_nonzero(here) < LEAST_VOXELS:
            continue
        true, measured, other = (dose[here].astype(np.float64) for dose in doses)
        rows.append(
            {
                "patient": patient,
                "cycle": cycle,
                "region": region,
                "voxels": int(true.size),
                "true_gy_per_gbq": float(true.mean()),
                "measured_gy_per_gbq": float(measured.mean()),
                "again_gy_per_gbq": float(other.mean()),
                "measured_over_true": float(measured.mean() / true.mean()),
                "again_over_measured": float(other.mean() / measured.mean()),
                "voxel_r_true": _r(measured, true),
                "voxel_r_again": _r(other, measured),
                "difference_true": _relative(measured, true),
                "difference_again": _relative(other, measured),
            }
        )
    return rows


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode rows as CSV, in full precision."""
    return table_bytes({name: [row[name] for row in rows] for name in rows[0]})


def read_rows(content: bytes) -> list[dict[str, str]]:
    """Read what ``csv_bytes`` wrote, as text."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def regions(made: VirtualCycle) -> dict[str, Bool[np.ndarray, "x y z"]]:
    """Return region → where it is, in the field of view."""
    known, free = made.fov > 0, made.lesions == 0
    organs = {name: np.isin(made.organs, labels) & known & free for name, labels in ORGANS.items()}
    return organs | {"lesions": known & ~free, "body": known & (made.organs > 0)}


# Sums, and no BLAS, whose order depends on how many threads it has.
def _r(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _relative(one: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.square(one - reference).sum() / np.square(reference).sum()))


@dataclass(frozen=True)
class Task:
    """One cycle to be made.

    Attributes:
        patient: Name, ``P001``.
        organs: That the field of view must hold whole.
        command: That makes it.
    """

    settings: CohortSettings
    patient: str
    cycle: int
    organs: tuple[str, ...] = ()
    command: str = "cohort"

    @property
    def name(self) -> str:
        """The case's folder, ``P001/C1``."""
        return f"{self.patient}/C{self.cycle}"

    def parameters(self) -> dict[str, Any]:
        """Return what the files depend on, but the seed."""
        return {
            "patient": self.patient,
            "cycle": self.cycle,
            **self.settings.parameters(),
            "fine_truth": self.settings.fine_truth,
        }

    def fingerprint(self) -> str:
        """Return a hash of all that the files depend on."""
        told = {
            "makes": MAKES,
            "seed": self.settings.seed,
            **self.parameters(),
            "matched": _matched(self.settings),
        }
        return hashlib.sha256(json_bytes(told)).hexdigest()


def libraries(settings: CohortSettings) -> tuple[str, ...]:
    """Return what the files depend on, by the names of distributions."""
    return _LIBRARIES + (_LIBRARIES_FULL if settings.imaging == "full" else ())


def _matched(settings: CohortSettings) -> dict[str, Any]:
    """Return numbers that were fitted, which change more often than what uses them."""
    agents = (settings.tracer, settings.therapy)
    rates = [asdict(row) for name in agents for _, row in sorted(rate_table(name).items())]
    spect: dict[str, Any] = {"fast": asdict(FAST), "full": CPS_PER_MBQ}
    return {
        "rates": rates,
        "spect": spect[settings.imaging],
        "pet": [PET_FWHM_MM, PET_NOISE_SUV, PET_NOISE_LENGTH_MM],
        "calibration": CALIBRATION_LOG_STD,
    }


def write_case(folder: Path, task: Task) -> None:
    """Make a cycle and write its files.

    Args:
        folder: There and empty.

    Raises:
        BadInput: The field of view cuts an organ that it must hold.
    """
    number = patient_number(task.patient)
    made = make_cycle(task.settings, patient=number, cycle=task.cycle, organs=task.organs)
    (folder / "truth").mkdir()
    written = [*_write_volumes(folder, made)]
    if task.settings.fine_truth:
        written += _write_fine(folder, made)
    again = dose_again(made, patient=number, cycle=task.cycle)
    rows = ceiling_rows(made, again, patient=task.patient, cycle=task.cycle)
    (folder / CEILING).write_bytes(csv_bytes(rows))
    info = _cycle_info(made, task, written, outputs=output_sha256(folder))
    (folder / "cycle.json").write_bytes(sealed_bytes(info))


def _write_volumes(folder: Path, made: VirtualCycle) -> list[str]:
    volumes: dict[str, tuple[np.ndarray, type[np.generic]]] = {
        "pet.nii.gz": (made.pet_suv, np.float32),
        "ct.nii.gz": (made.ct_hu, np.int16),
        "organs.nii.gz": (made.organs, np.uint8),
        "lesions.nii.gz": (made.lesions, np.uint16),
        "fov.nii.gz": (made.fov, np.uint8),
        "dose.nii.gz": (made.dose_gy_per_gbq, np.float32),
        "truth/dose.nii.gz": (made.true_dose_gy_per_gbq, np.float32),
        "truth/tia.nii.gz": (made.true_tia_mbq_h_per_ml, np.float32),
        "truth/kinetics.nii.gz": (_kinetics(made), np.float32),
    }
    for file, (data, dtype) in volumes.items():
        (folder / file).write_bytes(nifti_bytes(data, made.grid.affine, dtype=dtype))
    return list(volumes)


def _kinetics(made: VirtualCycle) -> np.ndarray:
    """Return the true activity at the SPECTs on the case's grid, MBq/mL per GBq, time last."""
    there = made.truth.kinetics_mbq_per_ml(times_h=made.record.spect_times_h)
    boxes = [made.truth.box.on_case(one) for one in np.moveaxis(there, -1, 0)]
    return np.stack(boxes, axis=-1)


def _write_fine(folder: Path, made: VirtualCycle) -> list[str]:
    """Write the truth on the box of 2.4 mm around the body."""
    truth = made.truth
    volumes = {
        "truth/dose_fine.nii.gz": truth.dose.total_fine(),
        "truth/tia_fine.nii.gz": truth.tia_fine(),
    }
    for file, data in volumes.items():
        content = nifti_bytes(data, truth.box.fine.affine, dtype=np.float32)
        (folder / file).write_bytes(content)
    return list(volumes)


def how(settings: CohortSettings) -> dict[str, str]:
    """Return for every file what made it."""
    labels = "labels of a CT (anatomy)" if settings.anatomy else "label map of real organs"
    spect = {
        "fast": (
            f"virtual: SPECT, breathing, as blur of {FAST.seen_fwhm_mm:g} mm FWHM, recovered, with "
            "correlated noise and a rest of registration"
        ),
        "full": (
            "virtual: SPECT/CT simulated and reconstructed by PyTomography, "
            f"{CPS_PER_MBQ} cps/MBq, and registered"
        ),
    }[settings.imaging]
    field = {
        "fast": f"virtual: the detector's circle less {FOV_EDGE_SLICES} slices at either end",
        "full": "virtual: where every registered SPECT/CT is",
    }[settings.imaging]
    return {
        "pet.nii.gz": (
            f"virtual: true SUV, breathing, {PET_FWHM_MM} mm FWHM blur, a rest of registration, "
            "correlated noise that grows with depth"
        ),
        "ct.nii.gz": f"virtual: HU by tissue, {CT_FWHM_MM} mm FWHM blur, noise",
        "organs.nii.gz": f"virtual: deformed {labels}, exact",
        "lesions.nii.gz": "virtual: irregular, in marrow, nodes, prostate and liver, exact",
        "fov.nii.gz": field,
        "dose.nii.gz": (
            f"{spect}; calibration off by {CALIBRATION_LOG_STD:.0%} (SD); curve fit of each organ "
            f"and engine {ENGINE} of rpt_dosimetry"
        ),
        "truth/dose.nii.gz": (
            "virtual: true decays; electrons on the spot by density on 2.4 mm, averaged by mass; "
            "photons by voxel kernel on 4.8 mm"
        ),
        "truth/tia.nii.gz": "virtual: kinetics of each voxel of 2.4 mm, averaged by volume",
        "truth/kinetics.nii.gz": (
            "virtual: as truth/tia.nii.gz, activity at the SPECTs (spect_times_h), MBq/mL per GBq"
        ),
        "truth/dose_fine.nii.gz": "virtual: as truth/dose.nii.gz, on 2.4 mm around the body",
        "truth/tia_fine.nii.gz": "virtual: as truth/tia.nii.gz, on 2.4 mm around the body",
    }


def _cycle_info(
    made: VirtualCycle, task: Task, written: Sequence[str], *, outputs: dict[str, str]
) -> CycleInfo:
    person, record = made.person, made.record
    told = how(task.settings)
    return CycleInfo(
        patient=task.patient,
        cycle=task.cycle,
        tracer=task.settings.tracer,
        therapy=task.settings.therapy,
        pet_activity_mbq=record.pet_activity_mbq,
        administered_activity_mbq=record.administered_activity_mbq,
        weight_kg=person.weight_kg,
        height_cm=person.height_cm,
        age_y=person.age_y,
        laboratory=record.laboratory,
        pet_time_min=record.pet_time_min,
        spect_times_h=record.spect_times_h,
        how={file: told[file] for file in written},
        provenance=provenance(
            package="rpt-phantom",
            command=task.command,
            parameters=task.parameters() | {FINGERPRINT: task.fingerprint()},
            seed=task.settings.seed,
            libraries=libraries(task.settings),
        )
        | {OUTPUTS: outputs},
    )
