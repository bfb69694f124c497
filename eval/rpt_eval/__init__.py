"""Evaluation of predicted absorbed-dose maps; reads folders, knows no network."""

__version__ = "0.1.0"
