"""A simulated patient on a planar scan and a SPECT, with scatter, attenuation and dead time.

The simulation is apart from what it tests: photons are attenuated voxel by voxel from each source
to each side with water's coefficient, the sweep goes through time, and the dead time acts on it.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from helpers.dicom import LOWER, PEAK, UPPER, NmObject, item

CPS_PER_MBQ = 9.0
GIVEN_MBQ, HALF_LIFE_H = 7400.0, 6.647 * 24
TAU_S, DETECTOR_ROWS, ROW_S = 6e-6, 80, 0.25
VOXEL_MM = 4.8
SHAPE = (100, 56, 340)
FIELD = slice(165, 245)
WATER_PER_CM, BONE_PER_CM = 0.1351, 0.1351 * 1.3
SPECT_S, SPECT_H, PLANAR_H = 1500.0, 24.0, 1.0
RETAINED = 0.7
HEAD_SHARE = 0.5


@dataclass
class Scans:
    """Files of one simulated patient and what was put in."""

    spect: object
    planar: object
    ct: object
    spect_cps: float
    in_field: float


def ellipsoid(centre, radii) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij", sparse=True)
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


def patient() -> tuple[np.ndarray, np.ndarray]:
    """CT in HU and activity at the planar scan, MBq a voxel; x right, y front, z head."""
    x, y = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    trunk = ((x - 49.5) / 36) ** 2 + ((y - 27.5) / 22) ** 2 <= 1
    legs = ((np.abs(x - 49.5) - 16) / 14) ** 2 + ((y - 27.5) / 14) ** 2 <= 1
    body = np.zeros(SHAPE, dtype=bool)
    body[:, :, 10:160], body[:, :, 160:300] = legs[..., None], trunk[..., None]
    body |= ellipsoid((49.5, 27.5, 315), (16, 19, 22))
    hu = np.where(body, 0.0, -1000.0)
    for side in (30, 69):
        hu[ellipsoid((side, 30, 265), (13, 15, 28))] = -750.0
    hu[ellipsoid((49.5, 14, 230), (5, 5, 75))] = 400.0
    density = np.where(body & (hu > -500), 1.0, 0.0)
    for centre, radii, hot in (
        ((66, 30, 225), (18, 14, 14), 8.0),  # liver
        ((30, 18, 215), (6, 6, 11), 40.0),
        ((69, 18, 215), (6, 6, 11), 40.0),  # kidneys
        ((49.5, 34, 168), (8, 8, 7), 30.0),  # bladder
        ((40, 30, 190), (4, 4, 4), 60.0),  # a lesion
        ((49.5, 34, 318), (10, 5, 5), 15.0),  # salivary glands
    ):
        density[ellipsoid(centre, radii)] = hot
    return hu, density * GIVEN_MBQ * 2 ** (-PLANAR_H / HALF_LIFE_H) / density.sum()


def view(activity: np.ndarray, hu: np.ndarray, *, posterior: bool) -> np.ndarray:
    """Primary photons of one head in cps, by each voxel's own way out."""
    per_cm = np.where(hu > 200, BONE_PER_CM, np.maximum(WATER_PER_CM * (1 + hu / 1000), 0))
    if not posterior:
        activity, per_cm = activity[:, ::-1], per_cm[:, ::-1]
    way_cm = (np.cumsum(per_cm, axis=1) - per_cm / 2) * VOXEL_MM / 10
    plane = (activity * np.exp(-way_cm)).sum(axis=1) * CPS_PER_MBQ * HEAD_SHARE
    return gaussian_filter(plane, 12 / 2.355 / VOXEL_MM)


def sweep(windows_cps: list[np.ndarray], tau_s: float) -> list[np.ndarray]:
    """Move a detector along the body, a row a step; what it records it loses counts of."""
    total = [np.zeros_like(plane) for plane in windows_cps]
    rows = windows_cps[0].shape[1]
    for step in range(rows + DETECTOR_ROWS - 1):
        seen = slice(max(0, step - DETECTOR_ROWS + 1), min(rows, step + 1))
        live = np.exp(-windows_cps[0][:, seen].sum() * tau_s)
        for plane, counts in zip(windows_cps, total, strict=True):
            counts[:, seen] += plane[:, seen] * live * ROW_S
    return total


def planar_object(hu: np.ndarray, activity: np.ndarray, tau_s: float) -> NmObject:
    rng = np.random.default_rng(5)
    frames: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}
    for posterior in (False, True):
        primary = view(activity, hu, posterior=posterior)
        # Scatter goes wide, and falls from the lower to the upper window along a slight curve.
        scatter = 0.35 * gaussian_filter(primary, 40 / VOXEL_MM)
        width = PEAK[1] - PEAK[0]
        windows = [
            primary + scatter,
            scatter * 1.35 * (LOWER[1] - LOWER[0]) / width,
            scatter * 0.62 * (UPPER[1] - UPPER[0]) / width,
        ]
        for number, counts in enumerate(sweep(windows, tau_s)):
            body = rng.poisson(counts).astype(np.uint16)
            seen = body if posterior else body[::-1]
            frames[number].append(seen[:, ::-1].T)
    return NmObject(
        np.stack([frame for number in range(3) for frame in frames[number]]),
        kind="WHOLE BODY",
        windows=(PEAK, LOWER, UPPER),
        pixel_mm=(VOXEL_MM, VOXEL_MM),
        series=2,
        set={"ScanVelocity": str(VOXEL_MM / ROW_S)},
    )


def write(path, data, affine):
    nib.save(nib.Nifti1Image(data.astype(np.float32), affine), path)
    return path


def simulate(folder, *, tau_s: float = TAU_S, ct_rows: slice = slice(None)) -> Scans:
    hu, activity = patient()
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -240.0, -130.0, -812.3
    planar = planar_object(hu, activity, tau_s).write(folder / "planar.dcm")
    later = activity * RETAINED * 2 ** (-(SPECT_H - PLANAR_H) / HALF_LIFE_H)
    true_cps = gaussian_filter(later, 15 / 2.355 / VOXEL_MM)[:, :, FIELD] * CPS_PER_MBQ
    recorded_cps = 12000.0  # of one head, scatter and all: what the projections tell
    busy_cps = recorded_cps
    for _ in range(60):
        busy_cps = recorded_cps * np.exp(busy_cps * tau_s)
    counts = np.random.default_rng(6).poisson(true_cps * np.exp(-busy_cps * tau_s) * SPECT_S)
    placed, cut = affine.copy(), affine.copy()
    placed[2, 3] += FIELD.start * VOXEL_MM
    cut[2, 3] += (ct_rows.start or 0) * VOXEL_MM
    return Scans(
        write(folder / "spect.nii.gz", counts, placed),
        planar,
        write(folder / "ct.nii.gz", hu[:, :, ct_rows], cut),
        recorded_cps,
        float(activity[:, :, FIELD].sum() / activity.sum()),
    )


def spect_object(scans: Scans) -> NmObject:
    """Return the SPECT as NM, slices from the head down, all times in its header."""
    counts = np.asarray(nib.load(scans.spect).dataobj)
    affine = nib.load(scans.spect).affine
    # Rows of a transverse slice run to the patient's left, columns to the back.
    stored = counts[::-1, ::-1, ::-1].T.astype(np.uint16)
    corner = affine @ [SHAPE[0] - 1, SHAPE[1] - 1, counts.shape[2] - 1, 1]
    rotation = item(
        ActualFrameDuration="25000", NumberOfFramesInRotation=120, ScanArc="360", AngularStep="3"
    )
    return NmObject(
        stored,
        pixel_mm=(VOXEL_MM, VOXEL_MM),
        spacing_mm=-VOXEL_MM,
        position_mm=corner[:3] * (-1, -1, 1),
        set={
            "RotationInformationSequence": [rotation],
            "AcquisitionDate": "20240301",
            "AcquisitionTime": "084730",
        },
    )
