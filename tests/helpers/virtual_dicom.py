"""Grids, a visit and a small virtual cycle for the tests of its DICOM, and how volumes compare."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from rpt_cohort import Volume
from rpt_phantom.dicom import (
    ClinicCycle,
    PetCt,
    PetTiming,
    SpectCt,
    SpectTiming,
    VirtualPatient,
    Visit,
    WholeBody,
)
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


BODY_SHAPE = (40, 40, 24)
VOXEL_MM = 8.0
EFFECTIVE_H = {2: 50.0, 3: 44.0, 5: 70.0, 0: 35.0}
"""Organ number → effective half-life, h; 0 is the rest of the body."""
PEAK_MBQ_PER_ML = {2: 1.0, 3: 0.8, 5: 0.25, 0: 0.02}
SUV = {2: 40.0, 3: 36.0, 5: 6.0, 0: 0.8}
CPS_PER_MBQ = 11.0
TIMES_H = (4.0, 24.0, 96.0)
ADMINISTERED_MBQ = 7400.0


@dataclass
class Body:
    """A cylinder with two kidneys and a liver: organ numbers and a CT."""

    labels: np.ndarray = field(init=False)
    ct_hu: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2.0 for n in BODY_SHAPE], indexing="ij")
        x, y, z = (axis * VOXEL_MM for axis in (x, y, z))
        self.labels = np.zeros(BODY_SHAPE, dtype=np.uint8)
        self.labels[(x / 120) ** 2 + (y / 90) ** 2 <= 1] = 199
        for id_, (cx, cy, cz), (hx, hy, hz) in (
            (5, (55, 12, 20), (50, 50, 44)),
            (2, (60, -40, -45), (28, 26, 40)),
            (3, (-60, -40, -40), (28, 26, 40)),
        ):
            solid = ((x - cx) / hx) ** 2 + ((y - cy) / hy) ** 2 + ((z - cz) / hz) ** 2
            self.labels[solid <= 1] = id_
        self.ct_hu = np.full(BODY_SHAPE, -1000, dtype=np.int16)
        for id_, hu in ((199, 20), (2, 110), (3, 110), (5, 80)):
            self.ct_hu[self.labels == id_] = hu
        spine = (x / 18) ** 2 + ((y + 60) / 18) ** 2 <= 1
        self.ct_hu[spine & (self.labels == 199)] = 420

    def painted(self, values: dict[int, float]) -> np.ndarray:
        made = np.where(self.labels > 0, values[0], 0.0)
        for id_, value in values.items():
            if id_:
                made[self.labels == id_] = value
        return made


def lesions(body: Body) -> np.ndarray:
    made = np.zeros(BODY_SHAPE, dtype=np.uint16)
    made[10:13, 24:27, 4:7] = 1
    made[26:29, 27:29, 15:18] = 2
    return np.where(body.labels == 199, made, 0)


def mbq_per_ml(body: Body, time_h: float) -> np.ndarray:
    return body.painted(
        {id_: peak * 2 ** (-time_h / EFFECTIVE_H[id_]) for id_, peak in PEAK_MBQ_PER_ML.items()}
    )


def small_cycle(*, planar: bool = True) -> ClinicCycle:
    body = Body()
    voxel_ml = VOXEL_MM**3 / 1000
    ct = Volume(body.ct_hu, affine())
    spects = []
    for time_h in TIMES_H:
        timing = SpectTiming(time_h=time_h, duration_s=1200.0)
        counts = mbq_per_ml(body, time_h) * voxel_ml * CPS_PER_MBQ * timing.duration_s
        spects.append(SpectCt(Volume(counts, affine()), timing, ct))
    return ClinicCycle(
        patient=PATIENT,
        cycle=1,
        therapy="177Lu-PSMA-I&T",
        administered_mbq=ADMINISTERED_MBQ,
        pet=PetCt(
            Volume(body.painted(SUV), affine()), ct, PetTiming("68Ga-PSMA-11", 150.0, 61.5, 180.0)
        ),
        spects=tuple(spects),
        cps_per_mbq=CPS_PER_MBQ,
        organs=body.labels,
        lesions=lesions(body),
        planar=views() if planar else None,
    )


def views() -> WholeBody:
    rng = np.random.default_rng(5)
    anterior, posterior = rng.poisson(40.0, (2, 3, 20, 50)).astype(np.float64)
    return WholeBody(anterior, posterior, (4.8, 4.0), 1.0, 1000.0, 2.0)
