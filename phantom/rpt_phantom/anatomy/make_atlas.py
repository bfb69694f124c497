"""Make ``atlas.npz`` from the surface meshes of the Human Reference Atlas; run by hand.

    python -m rpt_phantom.anatomy.make_atlas MESHES atlas.npz

``MESHES`` is a folder of the files named below (binary glTF, `pip install trimesh networkx`).
What the meshes lack is fitted to what is there: lungs fill the chest above the domes of liver and
spleen, ribs lie on them, vertebrae around the cord; stomach, gallbladder, prostate, glands and
vessels are simple solids. All of that is ours.

Source of the meshes: HuBMAP CCF 3D Reference Object Library, releases 1.1, 1.2 and 1.4, Kristen
Browne and Heidi Schlehlein (large intestine: SBU/IU), from the Visible Human data; CC BY 4.0
(``ATTRIBUTION.md`` names the DOIs). Changed: voxelised, parts added, later deformed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator
from scipy.spatial import Delaunay

from rpt_phantom.anatomy import ids
from rpt_phantom.anatomy.tissues import BONE_CORTEX_MM, WALL_MM, Tissue

SPACING_MM = 2.0
LOW_MM = np.array([-216.0, -170.0, -170.0])
SHAPE = (216, 170, 546)
"""From mid-thigh to the vertex. RAS+: x to the patient's right, y to the front, z to the head."""


class Map:
    """The label map as it grows; what is painted later wins unless it asks for free voxels."""

    def __init__(self) -> None:
        self.organs = np.zeros(SHAPE, np.uint8)
        self.tissue = np.zeros(SHAPE, np.uint8)

    def paint(self, mask: np.ndarray, organ: int, tissue: Tissue) -> None:
        """Number the voxels of a mask."""
        self.organs[mask], self.tissue[mask] = organ, tissue

    def free(self) -> np.ndarray:
        """Voxels of the body that belong to no organ yet."""
        return np.asarray(self.organs == ids.REMAINING_BODY)


def positions() -> list[np.ndarray]:
    """Return x, y and z of the voxels' middles, mm, to be broadcast."""
    return [
        (LOW_MM[k] + SPACING_MM * (np.arange(SHAPE[k]) + 0.5)).reshape(
            [-1 if i == k else 1 for i in range(3)]
        )
        for k in range(3)
    ]


X, Y, Z = positions()


class Meshes:
    """A folder of meshes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}

    def parts(self, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return node → vertices (mm, RAS+) and faces."""
        import trimesh

        if name not in self.seen:
            scene = trimesh.load(self.folder / f"{name}.glb")
            found = {}
            for node in scene.graph.nodes_geometry:
                transform, geometry = scene.graph[node]
                mesh = scene.geometry[geometry].copy()
                mesh.apply_transform(transform)
                left, up, front = mesh.vertices.T * 1000.0
                found[node] = (np.stack([-left, front, up], axis=1), mesh.faces)
            self.seen[name] = found
        return self.seen[name]

    def surface(self, name: str, words: Sequence[str] = ("",)) -> np.ndarray:
        """Return points on the surfaces of the nodes that hold one of the words, 1 mm apart."""
        import trimesh

        points = [
            trimesh.remesh.subdivide_to_size(vertices, faces, max_edge=1.0, max_iter=20)[0]
            for node, (vertices, faces) in self.parts(name).items()
            if any(word in node for word in words)
        ]
        if not points:
            raise ValueError(f"{name} must have a part named {' or '.join(words)}, and has none.")
        return np.concatenate(points)


def filled(points: np.ndarray, *, close: int = 2) -> np.ndarray:
    """Fill what surface points enclose; on the map's voxels."""
    edge_mm = 1.0
    low = np.floor(points.min(axis=0)) - 8.0
    # Whole voxels of the map, so that eight of these make one of it.
    low = LOW_MM + SPACING_MM * np.floor((low - LOW_MM) / SPACING_MM)
    shape = 2 * (np.ceil((points.max(axis=0) + 8.0 - low) / SPACING_MM).astype(int))
    marks = np.zeros(shape, bool)
    marks[tuple(np.floor((points - low) / edge_mm).astype(int).T)] = True
    ball = ndimage.generate_binary_structure(3, 1)
    solid = ndimage.binary_dilation(marks, ball, iterations=close)
    solid = ndimage.binary_fill_holes(solid)
    solid = ndimage.binary_erosion(solid, ball, iterations=close) | marks
    a, b, c = (n // 2 for n in shape)
    half = solid.reshape(a, 2, b, 2, c, 2).mean(axis=(1, 3, 5)) >= 0.5
    first = np.rint((low - LOW_MM) / SPACING_MM).astype(int)
    return placed(half, first)


def placed(part: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Put a part of the map, whose first voxel has this index, into an empty one."""
    whole = np.zeros(SHAPE, bool)
    source, target = [], []
    for at, n, size in zip(first, part.shape, SHAPE, strict=True):
        source.append(slice(max(-at, 0), min(n, size - at)))
        target.append(slice(max(at, 0), max(min(at + n, size), 0)))
    if all(one.stop > one.start for one in source):
        whole[tuple(target)] = part[tuple(source)]
    return whole


def ellipsoid(centre_mm: Sequence[float], half_mm: Sequence[float]) -> np.ndarray:
    """Return an ellipsoid along the axes."""
    a, b, c = ((at - m) / h for at, m, h in zip((X, Y, Z), centre_mm, half_mm, strict=True))
    return a**2 + b**2 + c**2 <= 1


def tube(
    path_mm: Sequence[Sequence[float]] | np.ndarray,
    radius_mm: float | Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Return what lies within a radius of a smooth path; the radius may change along it."""
    nodes = np.asarray(path_mm, float)
    radii = np.broadcast_to(np.asarray(radius_mm, float), len(nodes))
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    dense = np.arange(0, along[-1] + 1e-9, 1.0)
    points = np.stack([PchipInterpolator(along, nodes[:, k])(dense) for k in range(3)], axis=1)
    widths = np.interp(dense, along, radii)
    mask = np.zeros(SHAPE, bool)
    for point, width in zip(points, widths, strict=True):
        low = np.floor((point - width - LOW_MM) / SPACING_MM).astype(int)
        high = np.ceil((point + width - LOW_MM) / SPACING_MM).astype(int) + 1
        if np.any(high <= 0) or np.any(low >= SHAPE):
            continue
        cut = tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))
        x, y, z = X[cut[0]], Y[:, cut[1]], Z[:, :, cut[2]]
        mask[cut] |= (x - point[0]) ** 2 + (y - point[1]) ** 2 + (z - point[2]) ** 2 <= width**2
    return mask


def hull(points: np.ndarray) -> np.ndarray:
    """Return the convex hull of points: of what is convex, and whose surface has holes."""
    whole = np.zeros(SHAPE, bool)
    low, high = (
        np.rint((one - LOW_MM) / SPACING_MM).astype(int)
        for one in (points.min(axis=0), points.max(axis=0))
    )
    x, y, z = (slice(max(a, 0), b + 1) for a, b in zip(low, high, strict=True))
    at = np.stack(np.broadcast_arrays(X[x], Y[:, y], Z[:, :, z]), axis=-1)
    whole[x, y, z] = Delaunay(points).find_simplex(at) >= 0
    return whole


def depth_mm(mask: np.ndarray) -> np.ndarray:
    """Return how deep a voxel lies within a mask, mm."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=SPACING_MM))


def away_mm(mask: np.ndarray) -> np.ndarray:
    """Return how far a voxel lies from a mask, mm."""
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=SPACING_MM))


def body(meshes: Meshes) -> np.ndarray:
    """Return trunk, head and thighs; arms are raised and left out."""
    import trimesh

    vertices, faces = next(iter(meshes.parts("VH_M_Skin").values()))
    points = trimesh.remesh.subdivide_to_size(vertices, faces, max_edge=2.0, max_iter=20)[0]
    shell = np.zeros((540, *SHAPE[1:]), bool)
    low = np.array([-540.0, *LOW_MM[1:]])
    index = np.floor((points - low) / SPACING_MM).astype(int)
    index = index[((index >= 0) & (index < shell.shape)).all(axis=1)]
    shell[tuple(index.T)] = True
    first = (shell.shape[0] - SHAPE[0]) // 2
    solid = np.zeros(SHAPE, bool)
    for k in range(SHAPE[2]):
        inside = ndimage.binary_fill_holes(ndimage.binary_closing(shell[:, :, k], iterations=2))
        solid[:, :, k] = inside[first : first + SHAPE[0]]
    # Shoulders without arms: an egg that widens and narrows with height.
    half = np.interp(
        Z[0, 0], (150, 220, 430, 520, 580, 620, 650), (240, 182, 182, 190, 172, 140, 130)
    )
    solid &= abs(X) <= half
    labels, _ = ndimage.label(solid)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


CANAL_MM = np.array(
    [
        (0, -72, 120), (-5, -55, 160), (-6, -50, 200), (-6, -46, 245), (-5, -48, 290),
        (-3, -57, 325), (-1, -65, 365), (2, -72, 405), (4, -76, 445), (8, -76, 486),
        (9, -70, 525), (9, -57, 565), (8, -39, 605), (5, -20, 645), (4, -10, 685), (4, -7, 760),
    ],
    float,
)  # fmt: skip
"""Middle of the vertebral canal: the cord's mesh, and below its end a curve to the sacrum."""
DISCS_MM = np.concatenate(
    [150 + 34.0 * np.arange(5), 320 + 23.5 * np.arange(12), 602 + 20.0 * np.arange(8)]
)
"""Heights between the vertebrae from L5's base to C1's top."""
CAVITY_HALF_MM = ((300, 148), (450, 144), (500, 132), (550, 106), (585, 72), (606, 30))
"""(height, half the chest's inner width), mm."""


def canal(axis: int) -> np.ndarray:
    """Return x or y of the canal by height, to be broadcast."""
    return np.asarray(np.interp(Z[0, 0], CANAL_MM[:, 2], CANAL_MM[:, axis])[None, None, :])


def spine_size() -> tuple[np.ndarray, np.ndarray]:
    """Return half width and half depth of the vertebral bodies by height, mm."""
    z = Z[0, 0]
    width = np.interp(z, (150, 320, 420, 600, 740), (25, 22, 16, 14, 11))
    depth = np.interp(z, (150, 320, 420, 600, 740), (17, 16, 14, 10, 8))
    return width[None, None, :], depth[None, None, :]


def front_mm(z: float) -> tuple[float, float]:
    """Return x and y of the vertebral bodies' front at a height."""
    at = int((z - LOW_MM[2]) / SPACING_MM)
    return float(canal(0)[0, 0, at]), float((canal(1) + 9 + 2 * spine_size()[1])[0, 0, at])


def paint_spine(atlas: Map) -> None:
    """Paint vertebrae around the canal, discs between them, and the cord."""
    width, depth = spine_size()
    x, y = X - canal(0), Y - canal(1)
    within = (DISCS_MM[0] <= Z) & (DISCS_MM[-1] > Z)
    front = (x / width) ** 2 + ((y - 9 - depth) / depth) ** 2 <= 1
    arch = (np.hypot(x, y) <= 15) & (np.hypot(x, y) > 9)
    process = (abs(x) <= 4) & (y < -12) & (y > -12 - 2 * depth)
    transverse = (abs(y + 2) <= 5) & (abs(x) <= width + 14) & (abs(x) > 9)
    level = np.searchsorted(DISCS_MM, Z[0, 0], side="right") - 1
    middle = (DISCS_MM[:-1] + DISCS_MM[1:]) / 2
    height = np.diff(DISCS_MM)
    k = np.clip(level, 0, len(middle) - 1)
    off = abs(Z[0, 0] - middle[k]) / height[k]
    bone = within & (
        (front & (off < 0.40)) | (arch & (off < 0.42)) | ((process | transverse) & (off < 0.25))
    )
    disc = within & front & (off >= 0.40)
    inside = depth_mm(bone) > BONE_CORTEX_MM
    for number in range(24):
        here = bone & (level == number)[None, None, :]
        atlas.paint(here, ids.L5 + number, Tissue.CORTICAL_BONE)
        atlas.paint(here & inside, ids.L5 + number, Tissue.SPONGIOSA)
    atlas.paint(disc, ids.REMAINING_BODY, Tissue.MUSCLE)
    cord = (np.hypot(x, y) <= 7) & (Z > 150) & (Z < 760)
    atlas.paint(cord, ids.SPINAL_CORD, Tissue.SOFT)


def chest(solid: np.ndarray) -> np.ndarray:
    """Return what ribs and sternum hold, from the loins to the apex of the lungs."""
    z = Z[0, 0]
    half = np.interp(z, *np.array(CAVITY_HALF_MM, float).T)
    front = np.interp(z, (300, 450, 520, 580, 606), (122, 112, 78, 44, 20))
    back = np.interp(z, (300, 450, 520, 580, 606), (-98, -112, -110, -80, -50))
    egg = (abs(X) / half) ** 2.4 + (abs(Y - (front + back) / 2) / ((front - back) / 2)) ** 2.4 <= 1
    return np.asarray(egg & (Z > 300) & (Z < 606) & (depth_mm(solid) > 24))


def diaphragm_mm(atlas: Map, cavity: np.ndarray) -> np.ndarray:
    """Return the height of the diaphragm over every column, mm."""
    below = np.isin(atlas.organs, (ids.LIVER, ids.SPLEEN, ids.STOMACH, ids.COLON, ids.PANCREAS))
    below &= cavity
    known = below.any(axis=2)
    top = np.where(known, SHAPE[2] - 1 - np.argmax(below[:, :, ::-1], axis=2), 0)
    height = (LOW_MM[2] + SPACING_MM * (top + 0.5)) * known
    weight = ndimage.gaussian_filter(known.astype(float), 8)
    smooth = ndimage.gaussian_filter(height, 8) / np.maximum(weight, 1e-6)
    smooth = np.where(weight > 1e-3, smooth, 400.0)
    smooth = np.where(known, np.maximum(height, smooth), smooth)
    margin = 352 + 0.42 * (Y[:, :, 0] + 100)
    return np.asarray(np.maximum(smooth + 4, margin))[:, :, None]


def paint_lungs(atlas: Map, cavity: np.ndarray) -> None:
    """Fill the chest above the diaphragm, beside the mediastinum."""
    mediastinum = np.isin(
        atlas.organs, (ids.HEART, ids.AORTA, ids.VENA_CAVA, ids.TRACHEA, ids.ESOPHAGUS)
    )
    mediastinum |= (abs(X - canal(0)) < spine_size()[0] + 4) & (
        canal(1) + 14 + 2 * spine_size()[1] > Y
    )
    mediastinum = away_mm(mediastinum) <= 4
    mediastinum |= (abs(X) < 12) & (Y > -30)
    air = cavity & atlas.free() & ~mediastinum & (diaphragm_mm(atlas, cavity) < Z)
    air = ndimage.binary_opening(air, iterations=2)
    upper = Z > 470 + 0.9 * Y
    for side, lobes in (
        (X < 0, (ids.LUNG_UPPER_LEFT, ids.LUNG_LOWER_LEFT)),
        (X >= 0, (ids.LUNG_UPPER_RIGHT, ids.LUNG_LOWER_RIGHT)),
    ):
        atlas.paint(air & side & upper, lobes[0], Tissue.LUNG)
        atlas.paint(air & side & ~upper, lobes[1], Tissue.LUNG)
    middle = air & (X >= 0) & (Y > 10) & (Z < 490) & upper
    atlas.paint(middle, ids.LUNG_MIDDLE_RIGHT, Tissue.LUNG)


def paint_ribs(atlas: Map, cavity: np.ndarray) -> None:
    """Paint ribs that slope down to the front on the chest, and the sternum."""
    away = away_mm(cavity)
    shell = (away > 1) & (away <= 9) & (atlas.free() | (atlas.organs == 0)) & (atlas.organs > 0)
    middle = (DISCS_MM[5:17] + DISCS_MM[6:18]) / 2  # T12 … T1
    behind = canal(1) + 5
    slope = 0.62
    for number in range(1, 13):
        level = middle[12 - number] + 4
        line = level - slope * np.maximum(Y - behind, 0.0) - 10 * (abs(X) > 30)
        reach = {11: 10.0, 12: -50.0}.get(number, 200.0)
        rib = shell & (abs(Z - line) <= 6.5) & (reach > Y) & (abs(X - canal(0)) > 12)
        cartilage = rib & (Y > 40) & (abs(X) < 75)
        inside = (away > 3) & (away <= 7) & (abs(Z - line) <= 4.5)
        for side, first in ((X < 0, ids.RIB_LEFT_1), (X >= 0, ids.RIB_RIGHT_1)):
            atlas.paint(rib & side & ~cartilage, first + number - 1, Tissue.CORTICAL_BONE)
            atlas.paint(rib & side & ~cartilage & inside, first + number - 1, Tissue.SPONGIOSA)
    sternum = (
        (away > 1)
        & (away <= 12)
        & (Y > 20)
        & (abs(X) <= 19)
        & (Z > 415)
        & (Z < 585)
        & (atlas.organs > 0)
    )
    atlas.paint(sternum, ids.STERNUM, Tissue.CORTICAL_BONE)
    atlas.paint(sternum & (depth_mm(sternum) > BONE_CORTEX_MM), ids.STERNUM, Tissue.SPONGIOSA)


def paint_pelvis(atlas: Map, meshes: Meshes) -> None:
    """Paint hips, sacrum and coccyx from their meshes, and femora."""
    for side, organ in (("L", ids.HIP_LEFT), ("R", ids.HIP_RIGHT)):
        bones = [
            f"{bone}_{kind}_bone_{side}"
            for bone in ("ischium", "ilium", "pubis")
            for kind in ("compact", "spongy")
        ]
        hip = filled(meshes.surface("VH_M_Pelvis", bones), close=6)
        atlas.paint(hip, organ, Tissue.CORTICAL_BONE)
        atlas.paint(hip & (depth_mm(hip) > BONE_CORTEX_MM), organ, Tissue.SPONGIOSA)
        right = 1 if side == "R" else -1
        femur = ellipsoid((right * 88, 2, 24), (24, 24, 24))
        femur |= tube(
            [
                (right * 92, 0, 24),
                (right * 122, -14, 10),
                (right * 122, -10, -20),
                (right * 112, 2, -100),
                (right * 106, 8, -172),
            ],
            (17, 19, 18, 15, 14),
        )
        femur &= atlas.free()
        number = ids.FEMUR_RIGHT if right > 0 else ids.FEMUR_LEFT
        atlas.paint(femur, number, Tissue.CORTICAL_BONE)
        atlas.paint(femur & (depth_mm(femur) > 4), number, Tissue.SPONGIOSA)
    sacrum = filled(meshes.surface("VH_M_Pelvis", ("sacrum", "coccyx")))
    atlas.paint(sacrum, ids.SACRUM, Tissue.CORTICAL_BONE)
    atlas.paint(sacrum & (depth_mm(sacrum) > BONE_CORTEX_MM), ids.SACRUM, Tissue.SPONGIOSA)


def paint_head(atlas: Map, solid: np.ndarray) -> None:
    """Paint skull, brain, jaw and glands."""
    deep = depth_mm(solid)
    cranium = (Z > 770 + 0.25 * Y) & (deep > 7) & (Y < 105)
    atlas.paint(cranium & (deep <= 13), ids.SKULL, Tissue.CORTICAL_BONE)
    atlas.paint(cranium & (deep > 13) & (Y < 82) & (Z > 785 + 0.25 * Y), ids.BRAIN, Tissue.SOFT)
    for right, side in ((1, "RIGHT"), (-1, "LEFT")):
        jaw = tube(
            [(right * 54, 22, 785), (right * 50, 30, 745), (right * 30, 78, 735), (0, 98, 735)], 6
        )
        atlas.paint(jaw & solid, ids.SKULL, Tissue.CORTICAL_BONE)
        for name, centre, half in (
            ("PAROTID", (58, 6, 758), (12, 19, 27)),
            ("SUBMANDIBULAR", (33, 52, 728), (10, 15, 12)),
            ("SUBLINGUAL", (13, 72, 738), (6, 14, 6)),
            ("LACRIMAL", (36, 82, 822), (5, 8, 5)),
        ):
            gland = ellipsoid((right * centre[0], *centre[1:]), half) & (deep > 4)
            atlas.paint(gland, getattr(ids, f"{name}_{side}"), Tissue.SOFT)
        atlas.paint(ellipsoid((right * 17, 26, 632), (8, 8, 21)) & solid, ids.THYROID, Tissue.SOFT)


def paint_vessels(atlas: Map) -> None:
    """Paint the great vessels, and those of the liver."""

    def beside(z: float, right: float, ahead: float) -> tuple[float, float, float]:
        x, y = front_mm(z)
        return x + right, y + ahead, z

    aorta = tube(
        [(-9, 28, 497), (6, 24, 528), (2, 2, 556), (-14, -20, 556),
         beside(520, -22, 0), beside(440, -20, 4), beside(360, -12, 9), beside(280, -8, 11),
         beside(205, -4, 11)],
        (15, 15, 14, 13, 12, 11, 10, 9, 8),
    )  # fmt: skip
    cava = tube(
        [
            beside(196, 8, 11),
            beside(280, 18, 10),
            beside(350, 22, 12),
            (24, 8, 400),
            (22, 30, 440),
            (20, 38, 470),
        ],
        11,
    )
    cava |= tube([(20, 36, 515), (18, 22, 560), (16, 14, 590)], 9)
    atlas.paint(cava & _soft(atlas), ids.VENA_CAVA, Tissue.BLOOD)
    atlas.paint(aorta & _soft(atlas), ids.AORTA, Tissue.BLOOD)
    for right, artery, vein in (
        (1, ids.ILIAC_ARTERY_RIGHT, ids.ILIAC_VEIN_RIGHT),
        (-1, ids.ILIAC_ARTERY_LEFT, ids.ILIAC_VEIN_LEFT),
    ):
        path = np.array(
            [
                beside(204, 0, 11),
                (right * 30, 14, 150),
                (right * 56, 24, 90),
                (right * 68, 46, 40),
                (right * 62, 52, -20),
                (right * 64, 44, -172),
            ]
        )
        atlas.paint(tube(path, 5) & atlas.free(), artery, Tissue.BLOOD)
        beyond = path + np.array([-right * 9, -8, 0])
        atlas.paint(tube(beyond, 6) & atlas.free(), vein, Tissue.BLOOD)
        neck = tube(
            [
                (right * 14, 6, 575),
                (right * 26, 10, 620),
                (right * 32, 8, 700),
                (right * 34, 0, 770),
            ],
            5.5,
        )
        atlas.paint(
            neck & atlas.free(), ids.CAROTID_RIGHT if right > 0 else ids.CAROTID_LEFT, Tissue.BLOOD
        )
    portal = tube([(6, 37, 341), (28, 24, 360), (44, 16, 371)], 6.5)
    atlas.paint(portal & atlas.free(), ids.PORTAL_VEIN, Tissue.BLOOD)
    branches = (
        [(44, 16, 371), (80, 4, 378), (104, -20, 372)], [(80, 4, 378), (96, 22, 398)],
        [(44, 16, 371), (16, 38, 386), (-14, 56, 392)],
        [(22, 22, 432), (70, -8, 412), (96, -24, 398)],
        [(22, 22, 432), (52, 36, 418), (72, 58, 392)],
        [(22, 22, 432), (0, 40, 416), (-24, 58, 404)],
    )  # fmt: skip
    liver = atlas.organs == ids.LIVER
    for branch in branches:
        narrowing = np.linspace(6.0, 3.0, len(branch))
        atlas.paint(tube(branch, narrowing) & liver, ids.LIVER, Tissue.BLOOD)


def _soft(atlas: Map) -> np.ndarray:
    """Where a great vessel may run: through all but bone, heart and kidneys."""
    return np.asarray(atlas.free() | np.isin(atlas.organs, (ids.LIVER, ids.PANCREAS, ids.DUODENUM)))


def paint_kidney(
    atlas: Map, meshes: Meshes, sex: str, side: str, move: np.ndarray, scale: np.ndarray
) -> None:
    """Paint one kidney with pyramids, pelvis and calyces, and its ureter."""

    def moved(points: np.ndarray) -> np.ndarray:
        return np.asarray(points * scale + move)

    name = f"VH_{sex}_Kidney_{side}"
    whole = filled(moved(meshes.surface(name)), close=3)
    cortex = filled(moved(meshes.surface(name, ("capsule", "outer_cortex"))))
    cortex |= filled(moved(meshes.surface(name, ("column",))))
    pyramids = np.zeros(SHAPE, bool)
    for node, (vertices, _) in meshes.parts(name).items():
        if "pyramid" in node:
            pyramids |= hull(moved(vertices))
    urinary = moved(meshes.surface(f"VH_{sex}_Ureter_{side}", ("calyx", "pelvis")))
    pelvis = filled(urinary, close=3) | (away_mm(_marks(urinary)) <= 1.0)
    ureter = away_mm(_marks(moved(meshes.surface(f"VH_{sex}_Ureter_{side}", ("ureter",))))) <= 1.0
    organ = ids.KIDNEY_LEFT if side == "L" else ids.KIDNEY_RIGHT
    other = np.isin(atlas.organs, (ids.LIVER, ids.SPLEEN)) | (atlas.organs == 0)
    atlas.paint(cortex & ~other, organ, Tissue.KIDNEY_CORTEX)
    atlas.paint(pyramids & ~other, organ, Tissue.KIDNEY_MEDULLA)
    atlas.paint(pelvis & whole & ~pyramids & ~other, organ, Tissue.KIDNEY_PELVIS)
    atlas.paint(whole & atlas.free(), ids.REMAINING_BODY, Tissue.FAT)  # of the sinus
    atlas.paint((pelvis | ureter) & atlas.free(), ids.REMAINING_BODY, Tissue.KIDNEY_PELVIS)


def _marks(points: np.ndarray) -> np.ndarray:
    marks = np.zeros(SHAPE, bool)
    index = np.floor((points - LOW_MM) / SPACING_MM).astype(int)
    index = index[((index >= 0) & (index < SHAPE)).all(axis=1)]
    marks[tuple(index.T)] = True
    return marks


def organ_points(meshes: Meshes, sex: str, name: str) -> np.ndarray:
    """Return an organ's surface; the woman's, moved and scaled to the man's middle and size."""
    words = {
        "Liver": ("capsule", "lobe", "segment", "surface", "impression", "bare"),
        "Kidney_L": ("capsule",),
        "Kidney_R": ("capsule",),
    }.get(name, ("",))
    return meshes.surface(f"VH_{sex}_{name}", words)


def fit(meshes: Meshes, sex: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return shift, mm, and factors that put an organ into the man's box."""
    if sex == "M":
        return np.zeros(3), np.ones(3)
    man, own = organ_points(meshes, "M", name), organ_points(meshes, sex, name)
    low, high = man.min(axis=0), man.max(axis=0)
    scale = (high - low) / (own.max(axis=0) - own.min(axis=0))
    return low - own.min(axis=0) * scale, scale


def paint_abdomen(atlas: Map, meshes: Meshes, sex: str) -> None:
    """Paint the organs of the abdomen; what comes first keeps its voxels."""

    def paint(name: str, organ: int) -> None:
        move, scale = fit(meshes, sex, name)
        mask = filled(organ_points(meshes, sex, name) * scale + move)
        atlas.paint(mask & atlas.free(), organ, Tissue.SOFT)

    paint("Liver", ids.LIVER)
    paint("Spleen", ids.SPLEEN)
    for side in ("L", "R"):
        paint_kidney(atlas, meshes, sex, side, *fit(meshes, sex, f"Kidney_{side}"))
        top = np.argwhere(atlas.organs == (ids.KIDNEY_LEFT if side == "L" else ids.KIDNEY_RIGHT))
        x, y, z = LOW_MM + SPACING_MM * (top[top[:, 2] > top[:, 2].max() - 4].mean(axis=0) + 0.5)
        inward = 8 if side == "L" else -8
        adrenal = ellipsoid((x + inward, y + 4, z + 8), (5, 10, 15)) & atlas.free()
        atlas.paint(adrenal, ids.ADRENAL_LEFT if side == "L" else ids.ADRENAL_RIGHT, Tissue.SOFT)
    paint("Pancreas", ids.PANCREAS)
    bowel = "VH_M_Small_Intestine"
    for words, organ, tissue in (
        (("duoden",), ids.DUODENUM, Tissue.SOFT),
        (("jejunum",), ids.SMALL_BOWEL, Tissue.JEJUNUM),
        (("ileum",), ids.SMALL_BOWEL, Tissue.SOFT),
    ):
        atlas.paint(filled(meshes.surface(bowel, words)) & atlas.free(), organ, tissue)
    bile = ellipsoid((50, 58, 338), (13, 24, 15)) & (atlas.free() | (atlas.organs == ids.LIVER))
    atlas.paint(bile, ids.GALLBLADDER, Tissue.WALL)
    atlas.paint(bile & (depth_mm(bile) > WALL_MM[ids.GALLBLADDER]), ids.GALLBLADDER, Tissue.CONTENT)
    bladder = filled(meshes.surface("VH_M_Urinary_Bladder")) | ellipsoid((3, 18, 46), (38, 32, 32))
    bladder &= atlas.free()
    atlas.paint(bladder, ids.URINARY_BLADDER, Tissue.WALL)
    urine = bladder & (depth_mm(bladder) > WALL_MM[ids.URINARY_BLADDER])
    atlas.paint(urine, ids.URINARY_BLADDER, Tissue.CONTENT)
    colon = filled(meshes.surface("SBU_M_Intestine_Large"), close=5) & atlas.free()
    atlas.paint(colon, ids.COLON, Tissue.WALL)
    atlas.paint(colon & (depth_mm(colon) > WALL_MM[ids.COLON]), ids.COLON, Tissue.CONTENT)
    stomach = ellipsoid((-58, 28, 384), (44, 42, 46))
    stomach |= tube([(-58, 40, 352), (-34, 60, 336), (-2, 66, 346)], (24, 20, 14))
    stomach &= atlas.free() & (Z < 432)
    stomach = ndimage.binary_opening(stomach, iterations=2)
    atlas.paint(stomach, ids.STOMACH, Tissue.WALL)
    atlas.paint(stomach & (depth_mm(stomach) > WALL_MM[ids.STOMACH]), ids.STOMACH, Tissue.CONTENT)
    prostate = ellipsoid((1, -4, -6), (23, 17, 19)) & atlas.free()
    atlas.paint(prostate, ids.PROSTATE, Tissue.SOFT)


def paint_chest(atlas: Map, meshes: Meshes) -> None:
    """Paint heart, airways and gullet."""
    heart = filled(meshes.surface("VH_M_Heart"), close=9)
    atlas.paint(heart & atlas.free(), ids.HEART, Tissue.WALL)
    atlas.paint(heart & (depth_mm(heart) > WALL_MM[ids.HEART]), ids.HEART, Tissue.BLOOD)
    airway = filled(
        np.concatenate([meshes.surface("3d-vh-m-trachea"), meshes.surface("3d-vh-m-main-bronchus")])
    )
    atlas.paint(airway & atlas.free(), ids.TRACHEA, Tissue.LUNG)
    gullet = tube(
        [(0, 18, 650), (-2, -12, 560), (-6, -22, 500), (-14, -12, 440), (-26, 16, 402)], 7
    )
    atlas.paint(gullet & atlas.free(), ids.ESOPHAGUS, Tissue.WALL)


LOOPS_MM = 44.0
"""Period of the gyroid that stands for the small bowel's loops beside those of the mesh."""
BENT_MM = 9.0
"""By which it is bent, 1 SD."""


def paint_rest(atlas: Map, solid: np.ndarray) -> None:
    """Give muscle, fat and the small bowel's other loops what no organ holds."""
    deep = depth_mm(solid)
    free = atlas.free() & (atlas.tissue == Tissue.MUSCLE)
    inner = np.isin(
        atlas.organs,
        (ids.LIVER, ids.SPLEEN, ids.STOMACH, ids.COLON, ids.SMALL_BOWEL, ids.DUODENUM, ids.PANCREAS,
         ids.KIDNEY_LEFT, ids.KIDNEY_RIGHT, ids.URINARY_BLADDER, ids.GALLBLADDER),
    )  # fmt: skip
    hull = away_mm(inner) <= 22
    hull = depth_mm(hull) > 16
    rng = np.random.default_rng(0)
    bent = [ndimage.gaussian_filter(rng.standard_normal(SHAPE, np.float32), 9) for _ in range(3)]
    a, b, c = (
        2 * np.pi / LOOPS_MM * (at + BENT_MM * one / one.std())
        for at, one in zip((X, Y, Z), bent, strict=True)
    )
    wound = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a) > 0.25
    middle = ((X / 95) ** 2 + ((Y - 62) / 52) ** 2 + ((Z - 185) / 92) ** 2) <= 1
    loops = ndimage.binary_opening(free & hull & middle & wound & (deep > 26), iterations=1)
    left = X < -0.35 * (Z - 185)
    atlas.paint(loops & ~left, ids.SMALL_BOWEL, Tissue.SOFT)
    atlas.paint(loops & left, ids.SMALL_BOWEL, Tissue.JEJUNUM)
    free &= ~loops
    psoas = np.zeros(SHAPE, bool)
    for right in (1, -1):
        psoas |= tube(
            [
                (right * 28, -32, 300),
                (right * 40, -22, 240),
                (right * 52, -8, 170),
                (right * 66, 20, 90),
                (right * 84, 26, 30),
            ],
            (10, 18, 22, 20, 15),
        )
    fat = free & ((hull & ~psoas) | (deep <= np.interp(Z, (-170, 600, 650, 716), (16, 15, 7, 4))))
    atlas.paint(fat, ids.REMAINING_BODY, Tissue.FAT)
    skin = free & (deep <= 2)
    atlas.paint(skin, ids.REMAINING_BODY, Tissue.MUSCLE)


def make(meshes: Meshes, sex: str) -> Map:
    """Make one label map: ``M``, or with the woman's organs, ``F``."""
    atlas = Map()
    solid = body(meshes)
    atlas.paint(solid, ids.REMAINING_BODY, Tissue.MUSCLE)
    paint_pelvis(atlas, meshes)
    paint_spine(atlas)
    paint_head(atlas, solid)
    paint_chest(atlas, meshes)
    paint_abdomen(atlas, meshes, sex)
    paint_vessels(atlas)
    cavity = chest(solid)
    paint_lungs(atlas, cavity)
    paint_ribs(atlas, cavity)
    paint_rest(atlas, solid)
    return atlas


def main() -> None:
    """Make and save both maps."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    meshes = Meshes(folder)
    maps = [make(meshes, sex) for sex in ("M", "F")]
    pairs = np.stack([np.stack([one.organs, one.tissue], axis=-1) for one in maps])
    table, index = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    if len(table) > 255:
        raise ValueError(f"At most 255 pairs of organ and tissue can be kept, got {len(table)}.")
    codes = index.reshape(2, *SHAPE).astype(np.uint8)
    np.savez_compressed(
        out, table=table, man=codes[0], woman=codes[1], low_mm=LOW_MM, spacing_mm=SPACING_MM
    )


if __name__ == "__main__":
    main()
