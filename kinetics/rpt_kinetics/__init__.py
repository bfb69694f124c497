"""Compartment models, and why PET and dose disagree inside an organ; stands alone."""

from rpt_kinetics.dose import PAPER_KIDNEY_CORTEX, OrganSValue, tia_mbq_h_per_g
from rpt_kinetics.inputs import (
    InputFunction,
    feng,
    kabasakal,
    percent_ia_per_l_to_suv,
    siebinga,
)
from rpt_kinetics.models import (
    Rates,
    partial_integral,
    pet_concentration,
    pet_frame_mean,
    time_integrated_activity,
    tissue_concentration,
)

__version__ = "0.1.0"

__all__ = [
    "PAPER_KIDNEY_CORTEX",
    "InputFunction",
    "OrganSValue",
    "Rates",
    "feng",
    "kabasakal",
    "partial_integral",
    "percent_ia_per_l_to_suv",
    "pet_concentration",
    "pet_frame_mean",
    "siebinga",
    "tia_mbq_h_per_g",
    "time_integrated_activity",
    "tissue_concentration",
]
