"""177Lu SPECT and whole-body views of a virtual patient, with the physics of the camera.

Imports run one way: camera → scatter_kernel → projection → reconstruction, planar. PyTomography
and torch are imported by ``tomography`` as the first view is simulated.
"""

from rpt_phantom.spect.camera import LU177_ME, Camera, Collimator
from rpt_phantom.spect.planar import PlanarScan, scan_planar
from rpt_phantom.spect.projection import (
    Counts,
    Expected,
    Views,
    coarser,
    contour,
    count,
    mu_per_cm,
    project,
)
from rpt_phantom.spect.reconstruction import measure_factor, reconstruct

__all__ = [
    "LU177_ME",
    "Camera",
    "Collimator",
    "Counts",
    "Expected",
    "PlanarScan",
    "Views",
    "coarser",
    "contour",
    "count",
    "measure_factor",
    "mu_per_cm",
    "project",
    "reconstruct",
    "scan_planar",
]
