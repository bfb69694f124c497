"""See that a file can be used before anything is computed of it or written."""

import gzip
import hashlib
import json
import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from scripts.errors import BadInput
from scripts.fingerprints import Fingerprint, fingerprint
from scripts.networks import LARGEST_SUV

logger = logging.getLogger(__name__)

AFFINE_TOLERANCE_MM = 1e-2
LEAST_VOXEL_MM, LARGEST_VOXEL_MM = 0.6, 20.0  # ours: beyond, the affine is in metres or cm
LARGEST_SHEAR_DEG = 0.5  # ours: scanners' axes are perpendicular
LARGEST_FIELD_L = 2500.0  # ours: 23 million voxels of the network; total-body PETs have 1,000 L
LARGEST_APART_VOXELS = 0.5  # ours: between a file's two forms of its place; beyond, it is refused
TOLD_APART_VOXELS = 0.05  # ours: from which it is told
UNITS_IN_MM = (0, 2)  # code of xyzt_units: not told, mm
OTHER_UNITS = {1: "m", 3: "µm"}
LEAST_LIKELY_SUV = 1.0  # g/mL; ours: no PET of PSMA is so cold, whatever it shows
LARGEST_VOLUME_DIFFERENCE = 0.01  # ours: of a voxel, between a PET and its sidecar
LARGEST_DOSE = 100.0  # Gy/GBq; ours: lesions reach some 20
VOXELS_KEY, SPACING_KEY = "voxels_sha256", "spacing_mm"
ACTIVITY_UNIT = r"bq|\b[nuµμmk]?ci\b|counts|cnts|cps"  # Bq/mL and BQML, µCi/mL, counts, PROPCPS
GZIP_MAGIC = b"\x1f\x8b"
NIFTI2_HEADER_BYTES = (540).to_bytes(4, "little"), (540).to_bytes(4, "big")
NIFTI_ERRORS = (
    *(ImageFileError, HeaderDataError, WrapStructError),
    *(OSError, EOFError, MemoryError, OverflowError, ValueError, zlib.error),
)
"""What a damaged NIfTI file raises; they have no common base."""


def check_training_cases(cases: Sequence[Mapping[str, Any]]) -> dict[str, Fingerprint]:
    """See that every case has a sound PET and dose on one grid.

    Returns:
        Path of a PET → its fingerprint.

    Raises:
        BadInput: A file that is missing or broken, SUV or dose that is not
            finite or is negative, or grids that differ.
    """
    fingerprints = {}
    for case in cases:
        for key in ("image", "label"):
            if key not in case:
                raise BadInput(
                    f"Every case must have '{key}', and {_name(case)} has none. "
                    "Add it to the datalist or leave the case out."
                )
        suv = read_suv(case["image"])
        fingerprints[loaded_as(case["image"])] = fingerprint(suv)
        _check_dose(case["label"], suv, _counted(case, suv))
    return fingerprints


def check_inference_case(path: str) -> nib.Nifti1Image:
    """Read a PET and see that it is sound and is what its sidecar tells of.

    Raises:
        BadInput: A broken PET, or a sidecar of another quantity or volume.
    """
    suv = read_suv(path)
    _check_sidecar(path, suv)
    return suv


def check_tracer(path: str, trained: Sequence[str], allow_other: bool) -> None:
    """See that a PET is there and of a tracer of the weights.

    Raises:
        BadInput: No such file, or another tracer (or none named) without ``allow_other``.
    """
    _require_file(path, "SUV")
    tracer = tracer_of(path)
    if tracer in trained:
        return
    found = f"its sidecar names {tracer}" if tracer else "no sidecar names its tracer"
    sentence = (
        f"{shown(path)} must be a PET of {' or '.join(trained)}, on which the weights were "
        f"trained, and {found}"
    )
    if not allow_other:
        raise BadInput(
            f"{sentence}. The dose would be meaningless for another tracer; to go on all the same, "
            "give --allow_other_tracer True."
        )
    logger.warning("%s. Going on as told: DO NOT TRUST THIS DOSE MAP.", sentence)


def read_suv(path: str) -> nib.Nifti1Image:
    """Read a PET and see that it can be SUV.

    Raises:
        BadInput: Missing, broken, not 3D, of an impossible geometry, NaN, infinite, negative
            or empty.
    """
    image = _read(path, "SUV")
    suv = np.asanyarray(image.dataobj)
    name = shown(path)
    if not np.isfinite(suv).all():
        raise BadInput(
            f"{name} must hold finite SUVs, got NaN or infinity in "
            f"{int((~np.isfinite(suv)).sum())} voxels. Convert the PET again."
        )
    if suv.min() < 0:
        raise BadInput(
            f"{name} must hold SUVs of 0 g/mL or more, got {suv.min():.6g} g/mL. Set negative "
            "voxels to 0 if the reconstruction made them, and take "
            f"{VOXELS_KEY} out of its sidecar."
        )
    if suv.max() > LARGEST_SUV:
        raise BadInput(
            f"{name} must hold SUVs in g/mL, got up to {suv.max():.6g}, which looks like Bq/mL. "
            "Convert it with `python -m rpt_dosimetry suv`."
        )
    if not suv.any():
        raise BadInput(f"{name} must hold SUVs above 0 g/mL, and is 0 everywhere.")
    if suv.max() < LEAST_LIKELY_SUV:
        logger.warning(
            "%s: the largest SUV is %.3g g/mL, and no PSMA PET is so cold. It is likely in another "
            "unit, or was converted from kBq/mL read as Bq/mL, and the dose as wrong. Convert it "
            "with `python -m rpt_dosimetry suv`, and look at its warnings.",
            name,
            suv.max(),
        )
    return image


def tracer_of(path: str) -> str | None:
    """Return the tracer that a PET's sidecar names, or None.

    Raises:
        BadInput: The sidecar is not a JSON object.
    """
    tracer = _read_sidecar(path)[1].get("tracer")
    return tracer if isinstance(tracer, str) and tracer != "unknown" else None


def voxels_sha256(image: nib.Nifti1Image) -> str:
    """Return the SHA-256 of a volume's values as little-endian float32 in C order, in hex.

    Their axes are turned to the right, front and head first: a file that was only reoriented
    keeps its hash.
    """
    ras = nib.as_closest_canonical(image)
    values = np.ascontiguousarray(np.asanyarray(ras.dataobj), dtype="<f4")
    return hashlib.sha256(values.tobytes()).hexdigest()


def loaded_as(path: str) -> str:
    """Return a path as MONAI's ``LoadImage`` keeps it in ``filename_or_obj``."""
    return str(Path(path).expanduser())


def shown(path: str | Path) -> str:
    """Name a file by its last parts; the folders above are nobody's business."""
    parts = Path(path).parts
    in_cohort = len(parts) >= 3 and parts[-2].startswith("C") and parts[-2][1:].isdigit()
    return "/".join(parts[-3:] if in_cohort else parts[-1:])


def _read_sidecar(path: str) -> tuple[str, dict[str, Any]]:
    """Return name and content of ``NAME.json`` beside ``NAME.nii.gz``, else of ``cycle.json``."""
    pet = Path(path)
    own = pet.with_name(pet.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    for sidecar in (own, pet.with_name("cycle.json")):
        if sidecar.is_file():
            try:
                content = json.loads(sidecar.read_text(encoding="utf-8"))
            except ValueError as error:
                raise BadInput(f"{shown(sidecar)} must be JSON: {error}.") from error
            if not isinstance(content, dict):
                raise BadInput(f"{shown(sidecar)} must be a JSON object.")
            return shown(sidecar), content
    return "", {}


def _check_sidecar(path: str, suv: nib.Nifti1Image) -> None:
    """See that the sidecar, where it tells so much, is of SUV and of these very voxels.

    Raises:
        BadInput: Another quantity or unit, another size of voxels, or other voxels.
    """
    name, content = _read_sidecar(path)
    quantity = content.get("quantity", "SUV, body weight")
    if not (isinstance(quantity, str) and re.match(r"SUV($|bw|,? \(?body weight)", quantity, re.I)):
        raise BadInput(
            f"{shown(path)} must hold SUV by body weight, g/mL, and {name} beside it tells of "
            f"{quantity!r}. Convert the PET with `python -m rpt_dosimetry suv`."
        )
    for key, unit in content.items():
        if key.lower() in ("unit", "units") and re.search(ACTIVITY_UNIT, str(unit), re.I):
            raise BadInput(
                f"{shown(path)} must hold SUV by body weight, g/mL, and {name} beside it tells of "
                f"{unit!r}. Convert the PET with `python -m rpt_dosimetry suv`, or correct {key} "
                "if it is SUV."
            )
    if SPACING_KEY in content:
        voxel_mm3 = abs(float(np.linalg.det(suv.affine[:3, :3])))
        told = content[SPACING_KEY]
        try:
            told_mm3 = float(np.prod(np.array(told, dtype=np.float64).reshape(3)))
        except (TypeError, ValueError):
            told_mm3 = np.nan
        if not abs(told_mm3 / voxel_mm3 - 1.0) <= LARGEST_VOLUME_DIFFERENCE:  # so of NaN
            raise BadInput(
                f"{shown(path)} must have voxels of the size that {name} beside it tells, to 1 %, "
                f"and has {voxel_mm3:.4g} mm³ where {SPACING_KEY} is {told!r}. Put each PET beside "
                f"its own JSON, or write {SPACING_KEY} anew if you resampled the PET."
            )
    if content.get(VOXELS_KEY, None) not in (None, voxels_sha256(suv)):
        raise BadInput(
            f"{shown(path)} must hold the voxels that {name} beside it tells of, and its "
            f"{VOXELS_KEY} is of others: the tracer and all else in it may be another PET's. Put "
            f"each PET beside its own JSON, or take {VOXELS_KEY} out if you changed the voxels."
        )


def _check_dose(path: str, suv: nib.Nifti1Image, known: np.ndarray) -> None:
    image = _read(path, "dose")
    _same_grid(path, image, suv, "its PET")
    dose = np.asanyarray(image.dataobj)[known]
    if not np.isfinite(dose).all():
        raise BadInput(f"{shown(path)} must be finite where the dose is known, and holds NaN.")
    if dose.min() < 0 or not dose.any():
        raise BadInput(
            f"{shown(path)} must be 0 Gy/GBq or more and not 0 everywhere, got {dose.min():.6g} "
            f"to {dose.max():.6g} Gy/GBq where the dose is known."
        )
    if dose.max() > LARGEST_DOSE:
        raise BadInput(
            f"{shown(path)} must be in Gy per GBq administered, got up to {dose.max():.6g}, which "
            "looks like Gy or mGy. Divide by the administered activity in GBq."
        )


def _counted(case: Mapping[str, Any], suv: nib.Nifti1Image) -> np.ndarray:
    """Return where the reference dose counts: inside the field of view and the body."""
    counted = np.ones(suv.shape, dtype=bool)
    for key, what in (("fov", "field of view"), ("organs", "organ labels")):
        if key in case:
            image = _read(case[key], what)
            _same_grid(case[key], image, suv, "its PET")
            counted &= np.asanyarray(image.dataobj) > 0
            if not counted.any():
                raise BadInput(
                    f"{shown(case[key])} must be above 0 where the dose counts (body inside the "
                    "field of view), and leaves no such voxel."
                )
    return counted


def _same_grid(path: str, image: nib.Nifti1Image, suv: nib.Nifti1Image, other: str) -> None:
    if image.shape != suv.shape:
        raise BadInput(
            f"{shown(path)} must be on the grid of {other}, {suv.shape} voxels, got "
            f"{image.shape}. Resample it to that grid."
        )
    shift_mm = _apart_mm(image.affine, suv.affine, suv.shape)
    if shift_mm > AFFINE_TOLERANCE_MM:
        raise BadInput(
            f"{shown(path)} must have the affine of {other}, and lies up to {shift_mm:.3g} mm off. "
            "Resample it to that grid."
        )


def _apart_mm(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far two affines put a corner of a grid apart, mm."""
    return float(np.linalg.norm(_corner_shifts_mm(one, other, shape), axis=1).max())


def _apart_voxels(
    one: np.ndarray, other: np.ndarray, axes: np.ndarray, shape: tuple[int, ...]
) -> float:
    """Return how far two affines put a corner of a grid apart along one of its axes, voxels."""
    return float(np.abs(_corner_shifts_mm(one, other, shape) @ np.linalg.inv(axes).T).max())


def _corner_shifts_mm(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    shift = one - other
    shifts_mm: np.ndarray = corners @ shift[:3, :3].T + shift[:3, 3]
    return shifts_mm


def _require_file(path: str, what: str) -> None:
    if not Path(path).is_file():
        raise BadInput(
            f"{shown(path)} must be a NIfTI file of {what}, and there is none. Check the path: "
            f"{path}"
        )


def _read(path: str, what: str) -> nib.Nifti1Image:
    """Return a file's volume, checked; ``extra`` holds the file's hash."""
    name = shown(path)
    _require_file(path, what)
    try:
        content = Path(path).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        # Unpacked here and not by nibabel, which leaves the checksum unread.
        content = gzip.decompress(content) if content[:2] == GZIP_MAGIC else content
        second = content[:4] in NIFTI2_HEADER_BYTES
        image = (nib.Nifti2Image if second else nib.Nifti1Image).from_bytes(content)
        data = np.asanyarray(image.dataobj)
    except NIFTI_ERRORS as error:
        raise BadInput(
            f"{name} must be a whole NIfTI file and cannot be read as one. Write it anew."
        ) from error
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3 or data.dtype.kind not in "biuf":
        raise BadInput(
            f"{name} must be one 3D volume of real numbers, got {data.dtype} of shape "
            f"{data.shape}. Give one volume a file."
        )
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise BadInput(f"{name} must have an invertible affine. Write it anew with its geometry.")
    unit = int(image.header["xyzt_units"]) & 7
    if unit not in UNITS_IN_MM:  # what loads the images takes any affine as mm
        raise BadInput(
            f"{name} must be in mm, and its header states {OTHER_UNITS.get(unit, 'no known unit')} "
            f"as the unit of length (xyzt_units {unit}). Write it anew in mm."
        )
    _check_place(name, _forms(image, name), data.shape)
    return nib.Nifti1Image(data, image.affine, extra={"file_sha256": sha256})


def _forms(image: nib.Nifti1Image, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return sform and qform, each None where its code is 0 or, beside a sform, unreadable."""
    sform = image.get_sform(coded=True)[0]
    try:
        return sform, image.get_qform(coded=True)[0]
    except NIFTI_ERRORS:
        logger.warning("%s has a qform that cannot be read; its sform was taken.", name)
        return sform, None


def _check_place(
    name: str, forms: tuple[np.ndarray | None, np.ndarray | None], shape: tuple[int, ...]
) -> None:
    """See that a file tells where its voxels lie, once, and in mm.

    Args:
        name: What an error calls the file.
        forms: Its sform and qform, each None where its code is 0.
        shape: Voxels along each axis.
    """
    coded = [form for form in forms if form is not None]
    if not coded:
        raise BadInput(
            f"{name} must tell where its voxels lie, and has neither sform nor qform (both codes "
            "are 0). Write it anew with its geometry."
        )
    axes = coded[0][:3, :3]
    voxel_mm = np.linalg.norm(axes, axis=0)
    if voxel_mm.min() < LEAST_VOXEL_MM or voxel_mm.max() > LARGEST_VOXEL_MM:
        raise BadInput(
            f"{name} must have voxels of {LEAST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm, got "
            f"{' × '.join(f'{mm:.4g}' for mm in voxel_mm)} mm. An affine in metres or cm must be "
            "written anew in mm; a finer or coarser volume must be resampled."
        )
    cosines = (axes / voxel_mm).T @ (axes / voxel_mm)
    off_deg = np.degrees(np.arcsin(np.clip(np.abs(cosines - np.eye(3)).max(), 0, 1)))
    if off_deg > LARGEST_SHEAR_DEG:
        raise BadInput(
            f"{name} must have perpendicular axes, and two of them are {off_deg:.3g}° off a right "
            "angle. Resample it to a grid without shear."
        )
    field_l = float(np.prod(voxel_mm * shape)) / 1e6
    if field_l > LARGEST_FIELD_L:
        raise BadInput(
            f"{name} must have a field of view of at most {LARGEST_FIELD_L:.0f} L, got "
            f"{' × '.join(f'{mm:.0f}' for mm in voxel_mm * shape)} mm, {field_l:.0f} L. Check its "
            "voxel size, or cut it to the patient."
        )
    if len(coded) == 2:
        # Near half a turn a quaternion of 32 bits is good to some 1e-3 rad: then hold the qform
        # against what it could store of the sform.
        stored = nib.Nifti1Header()
        stored.set_qform(coded[0])
        shift_mm = _apart_mm(coded[0], coded[1], shape)
        apart = _apart_voxels(coded[0], coded[1], axes, shape)
        least = min(apart, _apart_voxels(stored.get_qform(), coded[1], axes, shape))
        if least > LARGEST_APART_VOXELS:
            raise BadInput(
                f"{name} must tell one place, and its sform and qform lie up to {shift_mm:.3g} mm "
                f"apart ({apart:.2g} voxels). Write it anew with the right one in both, or with "
                "the other's code 0."
            )
        if apart > TOLD_APART_VOXELS:
            logger.warning(
                "%s: by its qform a corner lies %.3g mm (%.2g voxels) from where its sform, which "
                "was taken, has it.",
                *(name, shift_mm, apart),
            )


def _name(case: Mapping[str, Any]) -> str:
    return shown(case["image"]) if "image" in case else "one of them"
