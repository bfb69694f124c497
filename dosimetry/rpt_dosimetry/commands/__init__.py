"""The commands of ``python -m rpt_dosimetry``."""
