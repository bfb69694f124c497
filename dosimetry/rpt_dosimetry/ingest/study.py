"""``STUDY.yaml``: which folders make which cycles, checked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator
from rpt_cohort import BadInput
from rpt_cohort.command import Options, fault_sentence, read_yaml
from rpt_cohort.schema import Laboratory, PatientName, Positive, Therapy, Tracer

from rpt_dosimetry.options import (
    CalibrationOptions,
    DeadTime,
    DoseOptions,
    NotNegative,
    Percent,
    SpectOptions,
    VoxelCurve,
)
from rpt_dosimetry.registration.pair import Start

EXAMPLE = Path(__file__).with_name("study_example.yaml")
FileName = Annotated[str, Field(min_length=1)]
"""Relative to STUDY.yaml, or absolute."""


class ScanSource(Options):
    """Where a scan and its CT are: folders of DICOM, or NIfTI files."""

    folder: FileName
    series: str | None = None
    ct: FileName | None = None
    ct_series: str | None = None
    same_frame: bool = False


class PetSource(ScanSource):
    """Where the PET/CT is."""

    start: Start = "search"
    tracer: Tracer | None = None
    time_min: Annotated[float, Field(ge=0, le=600)] | None = None


class SpectSource(ScanSource, SpectOptions):
    """Where one SPECT/CT is."""

    start: Start = "world"
    calibration: FileName | None = None


class PlanarSource(CalibrationOptions):
    """The whole-body scan that calibrates SPECTs in counts."""

    folder: FileName
    time_h: Positive | None = None


class MaskSource(Options):
    """Where regions are, and on which scan they were drawn."""

    file: FileName
    drawn_on: Literal["spect_ct", "pet_ct"] = "spect_ct"
    regions: Annotated[list[str], Field(min_length=1)] | None = None


class OrganSource(Options):
    """Where the organs are: in a file, or in what TotalSegmentator makes of a CT."""

    file: FileName | None = None
    totalsegmentator: Literal["normal", "fast"] | None = None
    drawn_on: Literal["spect_ct", "pet_ct"] = "spect_ct"
    regions: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "OrganSource":
        if (self.file is None) == (self.totalsegmentator is None):
            raise ValueError("one of file and totalsegmentator must be given")
        if self.totalsegmentator is not None and self.regions is not None:
            raise ValueError("regions must be left out with totalsegmentator")
        return self

    @property
    def drawn(self) -> MaskSource | None:
        """The file; ``None`` where TotalSegmentator is to make it."""
        if self.file is None:
            return None
        return MaskSource(file=self.file, drawn_on=self.drawn_on, regions=self.regions)


class CycleSource(Options):
    """One therapy cycle."""

    patient: PatientName
    cycle: Annotated[int, Field(ge=1)]
    therapy: Therapy
    administered_mbq: Positive
    residual_mbq: NotNegative = 0.0
    infusion_h: NotNegative = 0.0
    age_y: Annotated[float, Field(ge=0, le=120)] | None = None
    height_cm: Annotated[float, Field(ge=80, le=250)] | None = None
    laboratory: dict[str, Laboratory] = Field(default_factory=dict)
    ids_differ: bool = False
    activities_differ: bool = False
    pet: PetSource
    spect: Annotated[list[SpectSource], Field(min_length=1)]
    planar: PlanarSource | None = None
    dead_time: DeadTime | None = None
    organs: OrganSource | None = None
    lesions: MaskSource | None = None

    @model_validator(mode="after")
    def _dead_time_whole(self) -> "CycleSource":
        rates = [one.head_cps is not None for one in self.spect]
        if (self.dead_time is not None) != any(rates) or any(rates) != all(rates):
            raise ValueError("dead_time and a head_cps of every SPECT must come together")
        if self.planar is not None:
            if (self.planar.detector_mm is None) != (self.dead_time is None):
                raise ValueError("planar.detector_mm and dead_time must come together")
            if self.spect[0].calibration is not None:
                raise ValueError("one of planar and calibration of the first SPECT must be given")
        return self

    @property
    def name(self) -> str:
        """The cycle's folder in the cohort, ``P001/C1``."""
        return f"{self.patient}/C{self.cycle}"


class FixedGrid(Options):
    """The grid that all cycles are brought to."""

    slices: Annotated[int, Field(ge=2, le=2000)]
    voxel_mm: Annotated[
        list[Annotated[float, Field(ge=0.5, le=20)]], Field(min_length=3, max_length=3)
    ]


class Study(DoseOptions):
    """``STUDY.yaml``; what is told of the dose is for all cycles."""

    name: Annotated[str, Field(min_length=1)]
    origin: Literal["clinical", "virtual"] = "clinical"
    voxel_curve: VoxelCurve = "organ"
    calibration_sd_pct: Percent = 5.0
    slice_voxels: Annotated[int, Field(ge=8, le=512)] = 128
    grid: FixedGrid | None = None
    organ_table: FileName | None = None
    ids_tell_patients: bool = True
    testing: list[PatientName] = Field(default_factory=list)
    folds: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 0
    cycles: Annotated[list[CycleSource], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_fit(self) -> "Study":
        names = [cycle.name for cycle in self.cycles]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"cycles must list {', '.join(repeated)} once, and list it again")
        patients = {cycle.patient for cycle in self.cycles}
        if absent := sorted(set(self.testing) - patients):
            raise ValueError(f"testing names {', '.join(absent)}, of whom cycles has none")
        return self


def read_study(path: Path) -> Study:
    """Read and check a study; no folder that it names is looked at.

    Raises:
        BadInput: No YAML, or a value is missing, unknown or impossible; the sentence names its
            place, such as ``cycles.0.spect.1.time_h``, and repeats no text: a folder's name may
            hold a patient's. That of the study itself was typed.
    """
    try:
        return Study.model_validate(read_yaml(path, noun="The study"))
    except ValidationError as error:
        raise BadInput(f"{path}: {fault_sentence(error)} See --example.") from error
