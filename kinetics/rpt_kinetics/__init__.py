"""Compartment models, and why PET and dose disagree inside an organ."""

from rpt_kinetics.inputs import InputFunction
from rpt_kinetics.models import Rates, pet_concentration, time_integrated_activity

__version__ = "0.1.0"

__all__ = ["InputFunction", "Rates", "pet_concentration", "time_integrated_activity"]
