"""``STUDY.yaml``: which folders make which cycles, checked."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rpt_cohort import BadInput
from rpt_cohort.schema import Laboratory, PatientName, Positive, Therapy, Tracer

from rpt_dosimetry.dose.calculation import VOXEL_CURVES
from rpt_dosimetry.dose.engines import ENGINES
from rpt_dosimetry.registration.pair import Start
from rpt_dosimetry.tia.region_fit import NEEDED

EXAMPLE = Path(__file__).with_name("study_example.yaml")
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
FileName = Annotated[str, Field(min_length=1)]
"""Relative to STUDY.yaml, or absolute."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ScanSource(_Strict):
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


class SpectSource(ScanSource):
    """Where one SPECT/CT is."""

    start: Start = "world"
    time_h: Positive | None = None
    calibration: FileName | None = None
    heads: Annotated[int, Field(ge=1, le=16)] = 2
    duration_s: Positive | None = None
    head_cps: Positive | None = None
    decay_reference: Literal["scan", "injection"] | None = None


class DeadTimeSource(_Strict):
    """How the camera loses counts; see the command calibrate."""

    tau_us: NotNegative
    sd_pct: Annotated[float, Field(ge=0, lt=100)] = 0.0
    model: Literal["paralyzable", "non-paralyzable"] = "paralyzable"


class PlanarSource(_Strict):
    """The whole-body scan that calibrates SPECTs in counts; see the command calibrate."""

    folder: FileName
    time_h: Positive | None = None
    biological_h: Positive | None = None
    effective_h: Positive | None = None
    excreted: Fraction | None = None
    excreted_at_most: Fraction | None = None
    excretion_sd: NotNegative | None = None
    outside_views_at_most: Fraction | None = None
    administered_sd_pct: Percent | None = None
    scatter: Literal["tew", "dew", "none"] = "tew"
    dew_factor: Positive | None = None
    detector_mm: Positive | None = None
    place_mm: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None


class MaskSource(_Strict):
    """Where regions are, and on which scan they were drawn."""

    file: FileName
    drawn_on: Literal["spect_ct", "pet_ct"] = "spect_ct"
    regions: Annotated[list[str], Field(min_length=1)] | None = None


class OrganSource(_Strict):
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


class CycleSource(_Strict):
    """One therapy cycle."""

    patient: PatientName
    cycle: Annotated[int, Field(ge=1)]
    therapy: Therapy
    administered_mbq: Positive
    residual_mbq: NotNegative = 0.0
    infusion_h: NotNegative = 0.0
    age_y: Annotated[float, Field(ge=0, le=120)] | None = None
    height_cm: Annotated[float, Field(ge=80, le=250)] | None = None
    laboratory: dict[str, Laboratory] = {}
    ids_differ: bool = False
    activities_differ: bool = False
    pet: PetSource
    spect: Annotated[list[SpectSource], Field(min_length=1)]
    planar: PlanarSource | None = None
    dead_time: DeadTimeSource | None = None
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


class FixedGrid(_Strict):
    """The grid that all cycles are brought to."""

    slices: Annotated[int, Field(ge=2, le=2000)]
    voxel_mm: Annotated[
        list[Annotated[float, Field(ge=0.5, le=20)]], Field(min_length=3, max_length=3)
    ]


class Study(_Strict):
    """``STUDY.yaml``."""

    name: Annotated[str, Field(min_length=1)]
    origin: Literal["clinical", "virtual"] = "clinical"
    engine: str
    model: str = "auto"
    voxel_curve: str = "organ"
    calibration_sd_pct: Annotated[float, Field(ge=0, le=100)] = 5.0
    slice_voxels: Annotated[int, Field(ge=8, le=512)] = 128
    grid: FixedGrid | None = None
    organ_table: FileName | None = None
    ids_tell_patients: bool = True
    testing: list[PatientName] = []
    folds: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 0
    cycles: Annotated[list[CycleSource], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_fit(self) -> "Study":
        for key, value, known in (
            ("engine", self.engine, tuple(ENGINES)),
            ("model", self.model, ("auto", *NEEDED)),
            ("voxel_curve", self.voxel_curve, VOXEL_CURVES),
        ):
            if value not in known:
                raise ValueError(f"{key} must be one of {', '.join(known)}")
        names = [cycle.name for cycle in self.cycles]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"cycles must list {', '.join(repeated)} once, and list it again")
        patients = {cycle.patient for cycle in self.cycles}
        if absent := sorted(set(self.testing) - patients):
            raise ValueError(f"testing names {', '.join(absent)}, of whom cycles has none")
        return self


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            raise yaml.MarkedYAMLError(problem="key repeated", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def read_study(path: Path) -> Study:
    """Read and check a study; no folder that it names is looked at.

    Raises:
        BadInput: No YAML, or a value is missing, unknown or impossible; the sentence names its
            place, such as ``cycles.0.spect.1.time_h``, and repeats no text: a folder's name may
            hold a patient's. That of the study itself was typed.
    """
    if not path.exists():
        raise BadInput(
            f"The study must be a readable YAML file in UTF-8, and there is no file '{path}'. "
            "Check the path; see --example."
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except yaml.MarkedYAMLError as error:
        line = "a line" if error.problem_mark is None else f"line {error.problem_mark.line + 1}"
        raise BadInput(
            f"The study must be YAML with every key once, and at {line} it is not, in '{path}'. "
            "See --example."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(
            f"The study must be a readable YAML file in UTF-8, and '{path}' is not. See --example."
        ) from error
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise BadInput(f"{path}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    faults = error.errors()
    fault = faults[0]
    place = ".".join(map(str, fault["loc"]))
    got = f", got {fault['input']!r}" if isinstance(fault["input"], int | float) else ""
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place + ': ' if place else ''}{message}{got}{more}. See --example."
