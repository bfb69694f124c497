"""Grids and a visit for the tests of virtual DICOM, and how a volume is compared."""

import subprocess
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from rpt_cohort import Volume
from rpt_phantom.dicom import VirtualPatient, Visit
from rpt_phantom.dicom.header import infusion_begin

PATIENT = VirtualPatient("P001", weight_kg=81.3, height_cm=176.0, age_y=71)
SHAPE = (7, 9, 5)


def visit(name: str = "C1/spect_ct_1", *, seed: str = "tests") -> Visit:
    return Visit(PATIENT, seed, name, infusion_begin(1), "test")


def affine(spacing_mm=(8.0, 8.0, 8.0), shape=(40, 40, 24), middle_mm=(0.0, 0.0, 0.0)) -> np.ndarray:
    made = np.diag([*spacing_mm, 1.0])
    made[:3, 3] = np.array(middle_mm) - (np.array(shape) - 1) / 2.0 * spacing_mm
    return made


def turned() -> np.ndarray:
    """Anisotropic voxels, turned about two axes."""
    a, b = np.deg2rad([11.0, -6.0])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    made = np.eye(4)
    made[:3, :3] = about_x @ about_z @ np.diag([4.1, 5.3, 7.7])
    made[:3, 3] = -31.123456, 17.9, 1201.00049
    return made


GRIDS = {
    "cubes": affine(shape=SHAPE),
    "anisotropic": affine((4.1, 5.3, 7.7), SHAPE, (-300.2, 12.34567, 400.1)),
    "to the left": affine((-4.1, 5.3, 7.7), SHAPE, (3.0, 2.0, 1.0)),
    "turned": turned(),
}


def in_ras(volume: Volume) -> Volume:
    turn = io_orientation(volume.affine)
    return Volume(
        apply_orientation(volume.data, turn),
        volume.affine @ inv_ornt_aff(turn, volume.data.shape),
    )


def farthest_mm(read: Volume, written: Volume) -> float:
    """Largest distance of a corner voxel from where it was."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(written.data.shape) - 1)
    off = read.affine - written.affine
    return float(np.linalg.norm(corners @ off[:3, :3].T + off[:3, 3], axis=1).max())


def dciodvfy(path: Path) -> list[str]:
    """Return what dciodvfy says of a file, a line each."""
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return (told.stderr + told.stdout).splitlines()
