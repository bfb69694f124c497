"""GLCM and GLRLM features: IBSI's reference values, laws, and odd masks."""

import csv
import logging
import sys
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput
from rpt_eval.radiomics import FAMILY, GLCM, GLRLM, METHODS, require_mirp, texture_features

pytest.importorskip("mirp")
LEVELS = 6  # of IBSI's phantom: 1, 3, 4 and 6, which 6 bins leave as they are


def random_case(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Integer levels 1 … 4, all of them there, and a mask with holes over the whole array."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.8
    mask.flat[[0, -1]] = True
    image = rng.integers(1, 5, shape).astype(float)
    image.flat[0], image.flat[-1] = 1.0, 4.0
    return image, mask


@pytest.mark.parametrize("aggregation", METHODS)
def test_ibsi_digital_phantom(testdata: Path, aggregation: str) -> None:
    folder = testdata / "ibsi_phantom"
    image, mask = (
        np.asarray(nib.Nifti1Image.from_filename(folder / name).dataobj)
        for name in ("image/phantom.nii.gz", "mask/mask.nii.gz")
    )
    with (folder / "reference_values.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["tag"]: row for row in csv.DictReader(stream)}
    found = texture_features(image.astype(float), mask > 0, bins=LEVELS, aggregation=aggregation)
    references = {name: rows[f"{name}_{aggregation}"] for name in found}
    in_table = [tag for tag in rows if tag.startswith(("cm_", "rlm_"))]
    assert len(in_table) == 6 * len(references) == 6 * (25 + 16)
    for name, row in references.items():
        # IBSI gives three significant digits; its tolerance comes on top (0 for the phantom).
        rounded = float(f"{found[name]:.3g}")
        reference, tolerance = float(row["reference value"]), float(row["tolerance"])
        assert abs(rounded - reference) <= tolerance, (name, found[name], reference)


@settings(max_examples=15, deadline=None)
@given(
    power=st.integers(-20, 20), level=st.sampled_from([0.0, 8.0, -64.0]), bins=st.integers(2, 40)
)
def test_a_linear_rescaling_changes_nothing(power: int, level: float, bins: int) -> None:
    rng = np.random.default_rng(0)
    # Multiples of 2^-10, so that no rescaling by a power of two rounds.
    image = rng.integers(0, 1024, (6, 5, 4)) / 1024
    mask = rng.random(image.shape) < 0.9
    plain = texture_features(image, mask, bins=bins)
    assert texture_features((image + level) * 2.0**power, mask, bins=bins) == plain


def test_only_the_mask_counts() -> None:
    image, mask = random_case((5, 6, 7))
    expected = texture_features(image, mask, bins=4)
    wide = np.full((12, 11, 13), 1e6)
    place = (slice(3, 8), slice(0, 6), slice(6, 13))
    wide[place] = np.where(mask, image, -1e6)
    here = np.zeros(wide.shape, dtype=bool)
    here[place] = mask
    assert texture_features(wide, here, bins=4) == pytest.approx(expected)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_in_3d_no_axis_is_special(order: tuple[int, int, int]) -> None:
    image, mask = random_case((4, 6, 7))
    turned = texture_features(image.transpose(order)[::-1], mask.transpose(order)[::-1], bins=4)
    assert turned == pytest.approx(texture_features(image, mask, bins=4))


def all_runs(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Level and length of every run along the 13 directions, voxel by voxel."""
    level = np.pad(np.where(mask, image, np.nan), 1, constant_values=np.nan)
    found = []
    for step in (np.array(d) for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)):
        for start in np.argwhere(np.isfinite(level)):
            if level[tuple(start - step)] == level[tuple(start)]:
                continue  # not where a run begins
            end = start
            while level[tuple(end + step)] == level[tuple(start)]:
                end = end + step
            found.append((level[tuple(start)], 1 + np.abs(end - start).max()))
    return np.array(found)


@pytest.mark.parametrize(
    "shape", [(5, 6, 7), (1, 6, 7), (6, 1, 7), (6, 7, 1), (2, 5, 9), (9, 2, 2)]
)
def test_run_lengths_are_those_counted_voxel_by_voxel(shape: tuple[int, int, int]) -> None:
    image, mask = random_case(shape)
    level, length = all_runs(image, mask).T
    expected = {
        "rlm_sre": np.mean(length**-2.0),
        "rlm_lre": np.mean(length**2.0),
        "rlm_hgre": np.mean(level**2.0),
        "rlm_r_perc": len(length) / (13 * mask.sum()),
        "rlm_rl_var": np.var(length),
        "rlm_gl_var": np.var(level),
    }
    found = texture_features(image, mask, bins=4)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_neighbours_are_those_counted_voxel_by_voxel() -> None:
    image, mask = random_case((4, 5, 6))
    level = np.pad(np.where(mask, image, np.nan), 1, constant_values=np.nan)
    pairs = [
        (level[tuple(place)], level[tuple(place + np.array(step))])
        for place in np.argwhere(np.isfinite(level))
        for step in product((-1, 0, 1), repeat=3)
        if step != (0, 0, 0)
    ]
    i, j = np.array([pair for pair in pairs if np.isfinite(pair).all()]).T
    found = texture_features(image, mask, bins=4)
    assert found["cm_contrast"] == pytest.approx(np.mean((i - j) ** 2))
    assert found["cm_joint_avg"] == pytest.approx(np.mean(i))
    assert found["cm_corr"] == pytest.approx(np.corrcoef(i, j)[0, 1])


def test_what_is_not_defined_is_nan_never_0() -> None:
    image, mask = random_case((5, 5, 5))
    one = np.zeros_like(mask)
    one[2, 2, 2] = True
    for values, where in (
        (np.full(mask.shape, 3.7), mask),  # no grey levels
        (np.zeros(mask.shape), mask),
        (image, one),
        (image, np.zeros_like(mask)),
    ):
        found = texture_features(values, where, bins=8)
        assert list(found) == list(FAMILY)
        assert np.isnan(list(found.values())).all()


def test_voxels_that_do_not_touch_have_runs_but_no_neighbours() -> None:
    image, _ = random_case((7, 7, 7))
    apart = np.zeros(image.shape, dtype=bool)
    apart[::3, ::3, ::3] = True
    found = texture_features(image, apart, bins=4)
    assert np.isnan([found[name] for name in GLCM]).all()
    assert found["rlm_sre"] == found["rlm_lre"] == found["rlm_r_perc"] == 1.0


@pytest.mark.parametrize("shape", [(25, 1, 1), (1, 25, 1), (1, 1, 25)])
def test_a_line_has_neighbours_but_no_runs(shape: tuple[int, int, int]) -> None:
    image, mask = random_case(shape)
    found = texture_features(image, mask, bins=4)
    assert np.isfinite(found["cm_contrast"])
    assert np.isnan([found[name] for name in GLRLM]).all()


def test_mirp_is_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers = []
    try:
        texture_features(*random_case((4, 4, 4)), bins=4)
        assert root.handlers == []
        assert root.level == level
    finally:
        root.handlers = handlers
    assert capfd.readouterr() == ("", "")


def test_without_mirp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mirp", None)
    with pytest.raises(BadInput, match=r"Install rpt-eval\[radiomics\]"):
        require_mirp()
