"""A virtual therapy cycle as the DICOM that a clinic would hold.

Imports run one way: header → images, nm, rtstruct → cycle.
"""

from rpt_phantom.dicom.cycle import (
    ClinicCycle,
    PetCt,
    SpectCt,
    cycle_entry,
    write_cycle,
    write_study,
)
from rpt_phantom.dicom.header import VirtualPatient, Visit
from rpt_phantom.dicom.images import PetTiming
from rpt_phantom.dicom.nm import SpectTiming, WholeBody

__all__ = [
    "ClinicCycle",
    "PetCt",
    "PetTiming",
    "SpectCt",
    "SpectTiming",
    "VirtualPatient",
    "Visit",
    "WholeBody",
    "cycle_entry",
    "write_cycle",
    "write_study",
]
