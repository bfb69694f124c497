"""Outline of the body, fat beneath it, and the head.

Source: half axes and height of the trunk (20 × 10 × 70 cm) and of the head (8 × 10 cm, vault
7.15 cm) with brain and cranium from Cristy & Eckerman, ORNL/TM-8381 vol. 1 (1987), adult; the
neck of 8.4 cm that makes the body 179 cm tall from Eckerman, Cristy & Ryman, The ORNL
Mathematical Phantom Series (1996).

Ours: the report's trunk, 40 cm wide, includes the arms. Here they are raised, so muscle ends
17.5 cm to either side, 0.5 cm beyond the ribs, and a layer of fat lies upon it; the shoulders are
rounded; fat around bowel and kidneys; the neck's cross-section; the glands' places, their masses
are ICRP Publication 89's.
"""

import numpy as np

from rpt_phantom.stylised.solids import (
    Coordinate,
    Inside,
    Solid,
    box,
    ellipsoid,
    mirrored,
    upright_cylinder,
)

TRUNK_HALF_AXES_CM, TRUNK_TOP_CM = (17.5, 10.0), 70.0
SHOULDER_CM, SHOULDER_HEIGHT_CM = 62.0, 12.0
LEG_CM = 20.0  # how much of the legs is modelled
NECK_HALF_AXES_CM, NECK_Y_CM = (6.2, 7.6), 1.2
HEAD_HALF_AXES_CM, CHIN_CM, VAULT_CM, VAULT_HEIGHT_CM = (8.0, 10.0), 78.4, 91.45, 7.15
BRAIN_HALF_AXES_CM, CRANIUM_CM = (6.60, 8.60, 5.75), 0.90

CAVITY_HALF_AXES_CM, CAVITY_Y_CM, CAVITY_CM = (14.8, 7.4), -1.2, (9.0, 40.0)
PSOAS_HALF_AXES_CM, PSOAS_CM = (1.8, 2.1), (10.0, 35.0)
RENAL_FAT_HALF_AXES_CM = (5.6, 2.6, 7.0)


def trunk(*, fat_cm: float) -> Solid:
    """Return the trunk with rounded shoulders.

    Args:
        fat_cm: Thickness of the subcutaneous fat, cm; 0 for the muscle beneath it.
    """
    a, b = TRUNK_HALF_AXES_CM[0] + fat_cm, TRUNK_HALF_AXES_CM[1] + fat_cm
    whole = box((-a, -b, 0.0), (a, b, SHOULDER_CM + SHOULDER_HEIGHT_CM))
    return whole.where(
        lambda x, y, z: (
            (x / a) ** 2 + (y / b) ** 2 + (np.maximum(z - SHOULDER_CM, 0) / SHOULDER_HEIGHT_CM) ** 4
            <= 1
        )
    )


def legs(*, fat_cm: float) -> Solid:
    """Return the upper ends of the legs: two cones, as in the report, of the trunk's width."""
    width_cm = TRUNK_HALF_AXES_CM[0] + fat_cm

    def contains(x: Coordinate, y: Coordinate, z: Coordinate) -> Inside:
        radius = width_cm / 2 + z / 10
        inside: Inside = (np.abs(x) - radius) ** 2 + y**2 <= radius**2
        return inside

    half_cm = width_cm / 2
    return box((-width_cm, -half_cm, -LEG_CM), (width_cm, half_cm, 0.0)).where(contains)


def head() -> Solid:
    """Return head and neck: an elliptic cylinder with a vault upon a narrower one."""
    neck = upright_cylinder((0.0, NECK_Y_CM), NECK_HALF_AXES_CM, (TRUNK_TOP_CM - 2.0, CHIN_CM))
    face = upright_cylinder((0.0, 0.0), HEAD_HALF_AXES_CM, (CHIN_CM, VAULT_CM))
    vault = ellipsoid((0.0, 0.0, VAULT_CM), (*HEAD_HALF_AXES_CM, VAULT_HEIGHT_CM))
    return neck | face | vault.where(lambda x, y, z: z >= VAULT_CM)


def brain() -> Solid:
    """Return the brain."""
    return ellipsoid((0.0, 0.0, VAULT_CM), BRAIN_HALF_AXES_CM)


def cranium(*, inset_cm: float = 0.0) -> Solid:
    """Return the cranium, a shell around the brain, or its diploe with ``inset_cm`` the tables."""
    a, b, c = BRAIN_HALF_AXES_CM
    near, far = inset_cm, CRANIUM_CM - inset_cm
    outer = ellipsoid((0.0, 0.0, VAULT_CM), (a + far, b + far, c + far))
    return outer - ellipsoid((0.0, 0.0, VAULT_CM), (a + near, b + near, c + near))


def skull() -> Solid:
    """Return cranium and jaw; the jaw's arch is ours, after the report's facial skeleton."""
    outer = upright_cylinder((0.0, 0.0), (7.0, 9.0), (79.2, 88.5))
    inner = upright_cylinder((0.0, 0.0), (5.6, 7.6), (79.2, 88.5))
    face = (outer - inner).where(lambda x, y, z: (y <= -2.0) & ((z < 82.5) | (z > 84.0)))
    return cranium() | face


def thyroid() -> Solid:
    """Return the thyroid: two lobes of 10 mL; the report's volume, our shape."""
    left = ellipsoid((1.9, -2.6, 73.0), (0.95, 1.0, 2.5))
    return left | mirrored(left)


def left_parotid() -> Solid:
    """Return the left parotid gland, 24 mL."""
    return ellipsoid((6.1, 1.4, 84.0), (1.4, 1.9, 2.15))


def left_submandibular() -> Solid:
    """Return the left submandibular gland, 12 mL."""
    return ellipsoid((3.6, -4.2, 80.2), (1.2, 1.6, 1.5))


def left_sublingual() -> Solid:
    """Return the left sublingual gland, 4.8 mL."""
    return ellipsoid((1.3, -6.2, 81.0), (0.7, 1.8, 0.9))


def inner_fat() -> Solid:
    """Return fat around bowel and kidneys, beside the psoas muscles; organs are painted over it."""
    cavity = upright_cylinder((0.0, CAVITY_Y_CM), CAVITY_HALF_AXES_CM, CAVITY_CM)
    renal = ellipsoid((6.0, 5.7, 32.5), RENAL_FAT_HALF_AXES_CM)
    psoas = upright_cylinder((4.0, 4.6), PSOAS_HALF_AXES_CM, PSOAS_CM)
    whole = cavity | renal | mirrored(renal)
    return (whole - psoas - mirrored(psoas)).where(
        # A dome: the diaphragm above, the pelvic floor below.
        lambda x, y, z: (x / 14.8) ** 2 + ((y + 1.2) / 9.5) ** 2 + ((z - 24.0) / 18.0) ** 2 <= 1
    )
