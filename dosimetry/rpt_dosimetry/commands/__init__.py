"""The commands of ``python -m rpt_dosimetry``, one module each."""
