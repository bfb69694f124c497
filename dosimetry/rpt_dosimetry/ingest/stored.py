"""Scans as their files tell them, before the study's own word."""

from dataclasses import dataclass

from rpt_cohort import Volume
from rpt_cohort.schema import Tracer

from rpt_dosimetry.calibration.factor import Spect
from rpt_dosimetry.dicom.tags import Moment


@dataclass(frozen=True)
class StoredPet:
    """A PET as read from DICOM or NIfTI.

    Attributes:
        suv: SUV, g/mL.
        tracer: The contract's name.
        activity_mbq: Injected activity, MBq.
        time_min: Injection to mid-scan, min; ``None`` where it is not told.
        weight_kg: Of the patient, kg.
        height_cm: Of the patient, cm; ``None`` where it is not told.
        injected: When, if told.
        nuclide: The coded one, such as ``Ga-68``; ``None`` where nothing known is coded.
        branch: How the SUV was found.
        warnings: A sentence each.
    """

    suv: Volume
    tracer: Tracer
    activity_mbq: float
    time_min: float | None
    weight_kg: float
    height_cm: float | None
    injected: Moment | None
    nuclide: str | None
    branch: str
    warnings: list[str]


@dataclass(frozen=True)
class StoredSpect:
    """A SPECT as read from DICOM or NIfTI.

    Attributes:
        image: Counts or Bq/mL; its time is the study's where that tells one.
        header_h: Start of infusion to mid-scan by the header, h, if told.
        infusion: Start of infusion by the header, if told.
        told_mbq: Administered activity by the header, MBq, if told.
    """

    image: Spect
    header_h: float | None
    infusion: Moment | None
    told_mbq: float | None
