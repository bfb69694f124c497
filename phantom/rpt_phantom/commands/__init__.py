"""The commands of ``python -m rpt_phantom``, a module each."""
