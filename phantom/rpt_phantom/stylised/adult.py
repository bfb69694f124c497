"""The parts of the stylised adult in the order in which they are painted: the last wins."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from rpt_phantom.stylised import abdomen, ids, outline, skeleton, thorax
from rpt_phantom.stylised.solids import Solid, mirrored
from rpt_phantom.stylised.tissues import Tissue


@dataclass(frozen=True)
class Part:
    """A solid with its organ number.

    Attributes:
        organ: Its number, or how the solid divides into several, by x, y, z (cm).
        solid: Where it is in the standard adult.
        tissue: What it is made of, but for ``inner``.
        inner: Other tissues within it; the last wins.
        group: Parts of one group move and grow together; empty for what stays put.
    """

    organ: int | Callable[[Any, Any, Any], Any]
    solid: Solid
    tissue: Tissue = Tissue.SOFT
    inner: tuple[tuple[Tissue, Solid], ...] = ()
    group: str = ""


@cache
def parts() -> tuple[Part, ...]:
    """Return all parts, soft organs before bones."""
    return (*_thorax(), *_abdomen(), *_vessels_and_bladder(), *_neck_and_head(), *_bones())


@cache
def anchors_cm() -> dict[str, tuple[float, float, float]]:
    """Return the point of every group about which it turns and grows, cm."""
    first: dict[str, tuple[float, float, float]] = {}
    for part in parts():
        if part.group:
            first.setdefault(part.group, part.solid.centre_cm)
    return first


def _thorax() -> tuple[Part, ...]:
    chambers = (Tissue.BLOOD, thorax.heart(chambers=True))
    return (
        Part(thorax.lobes, thorax.lungs(), Tissue.LUNG),
        Part(ids.HEART, thorax.heart(), Tissue.WALL, (chambers,), "heart"),
    )


def _abdomen() -> tuple[Part, ...]:
    bile = (Tissue.CONTENT, abdomen.gallbladder(inset_cm=abdomen.GALLBLADDER_WALL_CM))
    chyme = (Tissue.CONTENT, abdomen.stomach(inset_cm=abdomen.STOMACH_WALL_CM))
    stool = (Tissue.CONTENT, abdomen.colon(content=True))
    return (
        Part(ids.LIVER, abdomen.liver(), group="liver"),
        Part(ids.GALLBLADDER, abdomen.gallbladder(), Tissue.WALL, (bile,), "liver"),
        Part(
            ids.SMALL_BOWEL,
            abdomen.small_bowel(),
            inner=((Tissue.JEJUNUM, abdomen.jejunum()),),
        ),
        Part(ids.COLON, abdomen.colon(), Tissue.WALL, (stool,)),
        Part(ids.DUODENUM, abdomen.duodenum()),
        Part(ids.PANCREAS, abdomen.pancreas(), group="pancreas"),
        Part(ids.STOMACH, abdomen.stomach(), Tissue.WALL, (chyme,), "stomach"),
        Part(ids.ADRENAL_LEFT, abdomen.left_adrenal()),
        Part(ids.ADRENAL_RIGHT, mirrored(abdomen.left_adrenal())),
        Part(ids.SPLEEN, abdomen.spleen(), group="spleen"),
        _kidney(ids.KIDNEY_LEFT, "kidney_left", lambda solid: solid),
        _kidney(ids.KIDNEY_RIGHT, "kidney_right", mirrored),
    )


def _kidney(organ: int, group: str, side: Callable[[Solid], Solid]) -> Part:
    inner = (
        (Tissue.KIDNEY_MEDULLA, side(abdomen.left_renal_medulla())),
        (Tissue.KIDNEY_PELVIS, side(abdomen.left_renal_pelvis())),
    )
    return Part(organ, side(abdomen.left_kidney()), Tissue.KIDNEY_CORTEX, inner, group)


def _vessels_and_bladder() -> tuple[Part, ...]:
    urine = (Tissue.CONTENT, abdomen.bladder(inset_cm=abdomen.BLADDER_WALL_CM))
    return (
        Part(ids.VENA_CAVA, thorax.vena_cava(), Tissue.BLOOD),
        Part(ids.ILIAC_ARTERY_LEFT, thorax.left_iliac_artery(), Tissue.BLOOD),
        Part(ids.ILIAC_ARTERY_RIGHT, mirrored(thorax.left_iliac_artery()), Tissue.BLOOD),
        Part(ids.AORTA, thorax.aorta(), Tissue.BLOOD),
        Part(ids.URINARY_BLADDER, abdomen.bladder(), Tissue.WALL, (urine,), "bladder"),
    )


def _neck_and_head() -> tuple[Part, ...]:
    pairs = (
        ("parotid", ids.PAROTID_LEFT, ids.PAROTID_RIGHT, outline.left_parotid()),
        (
            "submandibular",
            ids.SUBMANDIBULAR_LEFT,
            ids.SUBMANDIBULAR_RIGHT,
            outline.left_submandibular(),
        ),
        ("sublingual", ids.SUBLINGUAL_LEFT, ids.SUBLINGUAL_RIGHT, outline.left_sublingual()),
    )
    glands = [
        Part(organ, solid, group=f"{name}_{side}")
        for name, left, right, gland in pairs
        for side, organ, solid in (("left", left, gland), ("right", right, mirrored(gland)))
    ]
    return (
        Part(ids.THYROID, outline.thyroid()),
        _bone(ids.SKULL, outline.skull(), outline.cranium(inset_cm=0.3)),
        Part(ids.BRAIN, outline.brain()),
        *glands,
    )


def _bones() -> tuple[Part, ...]:
    thick, thin = skeleton.CORTEX_CM, skeleton.THIN_CORTEX_CM
    cup, cup_inside = skeleton.left_hip_joint(), skeleton.left_hip_joint(inset_cm=thick)
    femur = skeleton.left_femur(bottom_cm=-outline.LEG_CM)
    marrow = skeleton.left_femur(bottom_cm=-outline.LEG_CM, inset_cm=thick)
    return (
        _bone(ids.HIP_LEFT, cup, cup_inside),
        _bone(ids.HIP_RIGHT, mirrored(cup), mirrored(cup_inside)),
        _bone(ids.FEMUR_LEFT, femur, marrow),
        _bone(ids.FEMUR_RIGHT, mirrored(femur), mirrored(marrow)),
        _bone(
            skeleton.pelvis_numbers,
            skeleton.pelvic_ring(),
            skeleton.pelvic_ring(inset_cm=thin),
        ),
        _bone(ids.SACRUM, skeleton.sacrum(), skeleton.sacrum(inset_cm=thick)),
        _bone(skeleton.rib_numbers, skeleton.ribs(), skeleton.ribs(inset_cm=thin)),
        _bone(ids.STERNUM, skeleton.sternum(), skeleton.sternum(inset_cm=thin)),
        _bone(skeleton.vertebrae, skeleton.spine(), skeleton.spine(inset_cm=thick)),
        _bone(
            skeleton.vertebrae,
            skeleton.cervical_spine(),
            skeleton.cervical_spine(inset_cm=thick),
        ),
    )


def _bone(organ: int | Callable[[Any, Any, Any], Any], solid: Solid, inside: Solid) -> Part:
    return Part(organ, solid, Tissue.CORTICAL_BONE, ((Tissue.SPONGIOSA, inside),))
