"""All that a clinic holds of one virtual therapy cycle, as arrays and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.schema import Laboratory, Therapy

from rpt_phantom.dicom.isotope import Administered
from rpt_phantom.dicom.nm_planar import WholeBody
from rpt_phantom.dicom.nm_tomogram import SpectTiming
from rpt_phantom.dicom.pet import PetTiming
from rpt_phantom.dicom.visit import VirtualPatient, infusion_begin

PET_SHIFT_MM = (12.0, -8.0, 20.0)
"""Of the PET scanner's world against the camera's, RAS; ours."""
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class PetCt:
    """The PET/CT before the therapy.

    Attributes:
        suv: Body-weight SUV, g/mL.
        ct_hu: HU, whole numbers, in the world of ``suv``, on any grid.
        timing: What was injected and when was scanned.
        shift_mm: Added to every position when it is written, RAS: another scanner's world.
    """

    suv: Volume
    ct_hu: Volume
    timing: PetTiming
    shift_mm: Vector = PET_SHIFT_MM


@dataclass(frozen=True)
class SpectCt:
    """One SPECT/CT.

    Attributes:
        counts: Reconstructed counts.
        timing: When and how it was acquired.
        ct_hu: HU, whole numbers, in the world of ``counts``; the first SPECT must have it.
        shift_mm: Added to every position when it is written, RAS.
    """

    counts: Volume
    timing: SpectTiming
    ct_hu: Volume | None = None
    shift_mm: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ClinicCycle:
    """All that a clinic holds of one therapy cycle.

    Attributes:
        patient: Who is treated.
        cycle: Number of the cycle, from 1.
        therapy: The contract's name.
        administered_mbq: At the begin of the infusion, no residual subtracted, MBq.
        pet: PET/CT.
        spects: SPECT/CTs, in the order of time.
        cps_per_mbq: Counts of the reconstructed SPECT per second and MBq.
        organs: Organ numbers of the contract on the grid of the first SPECT's CT.
        lesions: Lesion numbers from 1 on that grid; ``None`` for none.
        planar: Whole-body views; ``None`` for none.
        residual_mbq: Not given, MBq.
        infusion_h: Duration of the infusion, h.
        laboratory: Name → value and unit.
        calibration_sd_pct: Standard uncertainty of ``cps_per_mbq``, %.
    """

    patient: VirtualPatient
    cycle: int
    therapy: Therapy
    administered_mbq: float
    pet: PetCt
    spects: tuple[SpectCt, ...]
    cps_per_mbq: float
    organs: Shaped[np.ndarray, "x y z"]
    lesions: Shaped[np.ndarray, "x y z"] | None = None
    planar: WholeBody | None = None
    residual_mbq: float = 0.0
    infusion_h: float = 0.0
    laboratory: Mapping[str, Laboratory] = field(default_factory=dict)
    calibration_sd_pct: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a cycle without a SPECT/CT to draw on."""
        if not self.spects or self.spects[0].ct_hu is None:
            raise BadInput("spects must begin with a SPECT/CT, on whose CT the organs are drawn.")

    @property
    def administered(self) -> Administered:
        """The therapy, on the fictitious calendar."""
        begin = infusion_begin(self.cycle)
        return Administered(self.therapy, "Lu-177", self.administered_mbq, begin)

    @property
    def has_lesions(self) -> bool:
        """Whether there is a lesion to draw."""
        return self.lesions is not None and bool(np.any(self.lesions))
