"""Write a cohort folder of virtual patients."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rpt_cohort import (
    BadInput,
    Case,
    CohortInfo,
    CycleInfo,
    Datalist,
    assign_folds,
    json_bytes,
    new_folder,
    nifti_bytes,
    provenance,
)
from rpt_cohort.parallel import in_parallel
from rpt_cohort.schema import SCHEMA_VERSION

from rpt_phantom.grid import SPACING_MM, torso_grid
from rpt_phantom.imaging import (
    CT_FWHM_MM,
    DOSE_BIAS_STD,
    FOV_EDGE_SLICES,
    PET_FWHM_MM,
    SPECT_FWHM_MM,
)
from rpt_phantom.patient import VirtualCycle, virtual_cycle, virtual_person

FOLDS = 5
PATIENTS_MOST = 999
LIBRARIES = ("numpy", "scipy", "nibabel")
HOW = {
    "pet.nii.gz": f"virtual: drawn SUV map, {PET_FWHM_MM} mm FWHM blur, correlated noise",
    "ct.nii.gz": f"virtual: HU by organ, {CT_FWHM_MM} mm FWHM blur, noise",
    "organs.nii.gz": "virtual: stylised solids, exact",
    "lesions.nii.gz": "virtual: spheres in vertebrae and retroperitoneum, exact",
    "fov.nii.gz": f"virtual: the detector's circle less {FOV_EDGE_SLICES} slices at either end",
    "dose.nii.gz": (
        f"virtual: truth/dose.nii.gz with {SPECT_FWHM_MM} mm FWHM blur, correlated noise and a "
        f"calibration off by {DOSE_BIAS_STD:.0%} (SD)"
    ),
    "truth/dose.nii.gz": "virtual: drawn dose map, sharp and free of noise",
    "truth/tia.nii.gz": "virtual: truth/dose.nii.gz, electrons of Lu-177 absorbed on the spot",
}


@dataclass(frozen=True)
class Plan:
    """What is to be made, checked."""

    seed: int
    slices: int
    cycles: dict[str, int]  # patient → number of cycles
    fold: dict[str, int]  # of training patients
    parameters: dict[str, int]


def write_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    slices: int = 64,
    folds: int | None = None,
    test_patients: int | None = None,
    workers: int | None = None,
) -> list[Case]:
    """Write a complete cohort folder of virtual patients, whole or not at all.

    Args:
        out: The cohort folder; new or empty.
        patients: How many patients, 1 to 999; each has one to three cycles.
        seed: Same seed, same data files; patient 3 is the same in any cohort.
        slices: Slices of 4.8 mm, 16 to 140.
        folds: Folds of the training patients; by default 5, or one for each training
            patient where there are fewer.
        test_patients: How many patients, the last ones, are for testing; by default a quarter
            of them, at least 1 of 3 or more.
        workers: Processes; by default one for each core. The files do not depend on it.

    Returns:
        The cases, training first.

    Raises:
        BadInput: A number is out of its range, or ``out`` is not new or empty.
    """
    plan = _plan(patients, seed, slices, folds, test_patients)
    names = [(patient, cycle) for patient, n in plan.cycles.items() for cycle in range(1, n + 1)]
    with new_folder(out) as root:
        write = partial(_write_case, root, plan)
        cases = in_parallel(write, names, description="Virtual cycles", workers=workers)
        datalist = Datalist(
            training=[case for case in cases if case.fold is not None],
            testing=[case for case in cases if case.fold is None],
        )
        content = {
            key: [case.model_dump(mode="json", exclude_none=True) for case in listed]
            for key, listed in (("training", datalist.training), ("testing", datalist.testing))
        }
        (root / "datalist.json").write_bytes(json_bytes(content))
        (root / "cohort.json").write_bytes(json_bytes(_info(plan).model_dump(mode="json")))
    return datalist.training + datalist.testing


def _write_case(root: Path, plan: Plan, name: tuple[str, int]) -> Case:
    """Make one cycle and write its folder."""
    patient, cycle = name
    case = f"{patient}/C{cycle}"
    made = virtual_cycle(seed=plan.seed, patient=_number(patient), cycle=cycle, slices=plan.slices)
    folder = root / patient / f"C{cycle}"
    (folder / "truth").mkdir(parents=True)
    volumes: dict[str, tuple[np.ndarray, type[np.generic]]] = {
        "pet.nii.gz": (made.pet_suv, np.float32),
        "ct.nii.gz": (made.ct_hu, np.int16),
        "organs.nii.gz": (made.organs, np.uint8),
        "lesions.nii.gz": (made.lesions, np.uint16),
        "fov.nii.gz": (made.fov, np.uint8),
        "dose.nii.gz": (made.dose_gy_per_gbq, np.float32),
        "truth/dose.nii.gz": (made.true_dose_gy_per_gbq, np.float32),
        "truth/tia.nii.gz": (made.true_tia_mbq_h_per_ml, np.float32),
    }
    for file, (data, dtype) in volumes.items():
        (folder / file).write_bytes(nifti_bytes(data, made.grid.affine, dtype=dtype))
    info = _cycle_info(made, plan, patient, cycle)
    (folder / "cycle.json").write_bytes(json_bytes(info.model_dump(mode="json")))
    return Case(
        image=f"{case}/pet.nii.gz",
        label=f"{case}/dose.nii.gz",
        ct=f"{case}/ct.nii.gz",
        organs=f"{case}/organs.nii.gz",
        fov=f"{case}/fov.nii.gz",
        patient=patient,
        cycle=cycle,
        administered_activity_mbq=made.record.administered_activity_mbq,
        fold=plan.fold.get(patient),
    )


def _plan(
    patients: int, seed: int, slices: int, folds: int | None, test_patients: int | None
) -> Plan:
    """Check the numbers and deal the patients."""
    if not 1 <= patients <= PATIENTS_MOST:
        raise BadInput(f"patients must be 1 to {PATIENTS_MOST}, got {patients}.")
    torso_grid(slices)
    if test_patients is None:
        test_patients = max(1, round(patients / 4)) if patients >= 3 else 0
    if not 0 <= test_patients < patients:
        raise BadInput(
            f"test-patients must be 0 to {patients - 1}, so that one of {patients} patients is "
            f"left for training, got {test_patients}."
        )
    numbers = range(1, patients + 1)
    cycles = {f"P{n:03d}": virtual_person(seed=seed, patient=n).cycles for n in numbers}
    training = dict(list(cycles.items())[: patients - test_patients])
    folds = min(FOLDS, len(training)) if folds is None else folds
    if folds > len(training):
        raise BadInput(
            f"folds must be at most {len(training)}, one for each training patient, got {folds}. "
            "Ask for fewer folds, fewer test patients or more patients."
        )
    # One fold is no cross-validation; it is what a single training patient can have.
    alone = len(training) == 1 and folds == 1
    fold = dict.fromkeys(training, 0) if alone else assign_folds(training, folds=folds, seed=seed)
    parameters = {
        "patients": patients,
        "slices": slices,
        "folds": folds,
        "test_patients": test_patients,
    }
    return Plan(seed, slices, cycles, fold, parameters)


def _info(plan: Plan) -> CohortInfo:
    return CohortInfo(
        schema_version=SCHEMA_VERSION,
        name=f"virtual PSMA patients, seed {plan.seed}",
        origin="virtual",
        shape=list(torso_grid(plan.slices).shape),
        spacing_mm=[SPACING_MM] * 3,
        provenance=_provenance(plan, plan.parameters),
    )


def _cycle_info(made: VirtualCycle, plan: Plan, patient: str, cycle: int) -> CycleInfo:
    person, record = made.person, made.record
    return CycleInfo(
        patient=patient,
        cycle=cycle,
        tracer="68Ga-PSMA-11",
        therapy="177Lu-PSMA-I&T",
        pet_activity_mbq=record.pet_activity_mbq,
        administered_activity_mbq=record.administered_activity_mbq,
        weight_kg=person.weight_kg,
        height_cm=person.height_cm,
        age_y=person.age_y,
        laboratory=record.laboratory,
        pet_time_min=record.pet_time_min,
        spect_times_h=record.spect_times_h,
        how=HOW,
        provenance=_provenance(
            plan, {"patient": _number(patient), "cycle": cycle, "slices": plan.slices}
        ),
    )


def _provenance(plan: Plan, parameters: dict[str, int]) -> dict[str, Any]:
    return provenance(
        package="rpt-phantom",
        command="cohort",
        parameters=parameters,
        seed=plan.seed,
        libraries=LIBRARIES,
    )


def _number(patient: str) -> int:
    return int(patient.removeprefix("P"))
