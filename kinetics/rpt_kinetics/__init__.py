"""Compartment models, and why PET and dose disagree inside an organ; stands alone."""

__version__ = "0.1.0"
