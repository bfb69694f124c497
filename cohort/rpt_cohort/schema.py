"""The contract's JSON files as types: ``cohort.json``, ``datalist.json``, ``cycle.json``,
``prediction.json``.

Bounds marked "plausible" are ours: wide enough for any adult patient, narrow enough
that a value in the wrong unit (GBq for MBq, m for cm, s for min) is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rpt_cohort.errors import BadInput

SCHEMA_VERSION = 1
FILES_REQUIRED = ("pet.nii.gz", "ct.nii.gz", "organs.nii.gz", "fov.nii.gz", "dose.nii.gz")
TRUTH = ("truth/dose.nii.gz", "truth/tia.nii.gz")
FILES_BESIDE = ("lesions.nii.gz", "dose_gy.nii.gz", "tia.nii.gz")
FILES_OPTIONAL = (*FILES_BESIDE, *TRUTH, "truth/kinetics.nii.gz")


@dataclass(frozen=True)
class Labelled:
    """A nuclide on a ligand.

    Attributes:
        nuclide: ICRP-107's name, such as ``Ga-68``.
        spelled: How headers write the ligand: a pattern of capitals and digits alone.
        codes: Of the Radiopharmaceutical Code Sequence, SNOMED RT and CT.
    """

    nuclide: str
    ligand: str
    spelled: str
    codes: tuple[str, ...] = ()


_PSMA_11 = ("PSMA-11", r"PSMA11(?!\d)|PSMAHBEDCC|GOZETOTIDE")

TRACERS = {
    "68Ga-PSMA-11": Labelled("Ga-68", *_PSMA_11),
    "18F-PSMA-1007": Labelled("F-18", "PSMA-1007", r"PSMA1007(?!\d)"),
    "18F-PSMA-11": Labelled("F-18", *_PSMA_11),
    "18F-DCFPyL": Labelled("F-18", "DCFPyL", "DCFPYL|PIFLUFOLASTAT"),
    "18F-FDG": Labelled(
        "F-18", "FDG", "FDG|FLUORODEOXYGLUCOSE|FLUDEOXYGLUCOSE", ("C-B1031", "35321007")
    ),
}
"""The tracers: this is the one list. The phantom has those with a file of rates."""
THERAPIES = {
    "177Lu-PSMA-I&T": Labelled("Lu-177", "PSMA-I&T", "PSMAIT(?![A-Z])"),
    "177Lu-PSMA-617": Labelled("Lu-177", "PSMA-617", r"PSMA617(?!\d)"),
}
OTHER_LIGANDS = {
    "rhPSMA": "RHPSMA|FLOTUFOLASTAT",
    "DOTATATE": "DOTATATE|OXODOTREOTIDE",
    "DOTATOC": "DOTATOC|EDOTREOTIDE",
    "DOTANOC": "DOTANOC",
    "FAPI": "FAPI",
    "choline": "CHOLINE",
    "fluciclovine": "FLUCICLOVINE|FACBC",
    "fluoride": "SODIUMFLUORIDE",
}
"""How headers spell ligands that are not in the contract: they name another tracer."""
if TYPE_CHECKING:
    Tracer: TypeAlias = str
    Therapy: TypeAlias = str
else:
    Tracer = Literal[(*TRACERS, "unknown")]
    Therapy = Literal[tuple(THERAPIES)]


def _inside_folder(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts or ":" in parts[0]:
        raise ValueError("must be a path below the cohort folder, with '/' and without '..'")
    return path


PatientName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
RelativePath = Annotated[str, AfterValidator(_inside_folder)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# Not Literal[1], which takes JSON's true for 1.
SchemaVersion = Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
CaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}/C[1-9][0-9]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CohortInfo(_Strict):
    """``cohort.json``."""

    schema_version: SchemaVersion
    name: Annotated[str, Field(min_length=1)]
    origin: Literal["virtual", "clinical"]
    shape: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=3, max_length=3)]
    spacing_mm: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    provenance: dict[str, Any]


class Laboratory(_Strict):
    """One laboratory value with its unit."""

    value: Annotated[float, Field(allow_inf_nan=False)]
    unit: str


class CycleInfo(_Strict):
    """``cycle.json``: one therapy cycle of one patient.

    Activities are net of residuals; ``pet_time_min`` runs from injection to mid-scan,
    ``spect_times_h`` from the start of infusion to mid-scan.
    """

    patient: PatientName
    cycle: Annotated[int, Field(ge=1)]
    tracer: Tracer
    therapy: Therapy
    # plausible: 1–2,000 MBq of a PET tracer; 100–50,000 MBq of 177Lu
    pet_activity_mbq: Annotated[float, Field(ge=1, le=2_000)]
    administered_activity_mbq: Annotated[float, Field(ge=100, le=50_000)]
    weight_kg: Annotated[float, Field(ge=20, le=400)]  # plausible
    height_cm: Annotated[float, Field(ge=80, le=250)] | None  # plausible
    age_y: Annotated[float, Field(ge=0, le=120)] | None  # plausible
    laboratory: dict[str, Laboratory]
    pet_time_min: Annotated[float, Field(ge=0, le=600)]  # plausible
    spect_times_h: Annotated[list[Annotated[float, Field(gt=0, le=1_000)]], Field(min_length=1)]
    how: dict[str, str]
    provenance: dict[str, Any]


class Case(_Strict):
    """One entry of the MONAI datalist."""

    image: RelativePath
    label: RelativePath
    ct: RelativePath
    organs: RelativePath
    fov: RelativePath
    patient: PatientName
    cycle: Annotated[int, Field(ge=1)]
    administered_activity_mbq: Annotated[float, Field(ge=100, le=50_000)]
    fold: Annotated[int, Field(ge=0)] | None = None

    @property
    def name(self) -> str:
        """The case's folder, ``P001/C1``."""
        return f"{self.patient}/C{self.cycle}"


class Datalist(_Strict):
    """``datalist.json``; cases under ``testing`` have no fold."""

    training: list[Case]
    testing: list[Case]


class PredictionInfo(_Strict):
    """``prediction.json``.

    ``weights_sha256`` names every file of weights that was used (empty for a method
    without weights); ``fold`` says per case which fold's weights predicted it, ``null``
    where the weights do not belong to a fold of this cohort. ``pet_seen_in`` says per case
    whether the weights were trained on its PET, or chosen by it; absent where they do not tell.
    """

    schema_version: SchemaVersion
    method: Annotated[str, Field(min_length=1)]
    weights_sha256: dict[str, Sha256]
    fold: Annotated[dict[CaseName, Annotated[int, Field(ge=0)] | None], Field(min_length=1)]
    pet_seen_in: dict[CaseName, Literal["training", "validation"] | None] | None = None
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Cohort:
    """A cohort folder whose JSON files have been read and hold."""

    root: Path
    info: CohortInfo
    training: tuple[Case, ...]
    testing: tuple[Case, ...]

    @property
    def cases(self) -> tuple[Case, ...]:
        """Training cases, then testing cases."""
        return self.training + self.testing

    def folder(self, case: Case) -> Path:
        """Where a case's files are."""
        return self.root / case.patient / f"C{case.cycle}"


def assign_folds(cycles_of_patient: Mapping[str, int], *, folds: int, seed: int) -> dict[str, int]:
    """Deal patients into folds with about equally many cycles each.

    Args:
        cycles_of_patient: Patient → number of cycles.
        folds: How many folds, at least 2.
        seed: Orders patients with equally many cycles.

    Returns:
        Patient → fold, 0 … ``folds`` − 1, in the order given; no fold is empty.

    Raises:
        BadInput: Fewer patients than folds, or fewer than two folds.
    """
    if folds < 2:
        raise BadInput(f"folds must be at least 2, got {folds}.")
    if len(cycles_of_patient) < folds:
        raise BadInput(
            f"There must be a patient for every fold, got {len(cycles_of_patient)} patients for "
            f"{folds} folds. Ask for fewer folds."
        )
    patients = sorted(cycles_of_patient)
    shuffled = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    shuffled.sort(key=lambda patient: -cycles_of_patient[patient])
    load = [(0, 0)] * folds  # cycles, patients
    fold_of: dict[str, int] = {}
    for patient in shuffled:
        fold = load.index(min(load))
        fold_of[patient] = fold
        load[fold] = (load[fold][0] + cycles_of_patient[patient], load[fold][1] + 1)
    return {patient: fold_of[patient] for patient in cycles_of_patient}
