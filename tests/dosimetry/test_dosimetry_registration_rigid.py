"""Known shifts and turns of a virtual CT, found again; what is refused."""

import numpy as np
import pytest
import SimpleITK
from helpers.pictures import brightest_place, drawn_figures, letters, patient_axes
from hypothesis import given, settings
from hypothesis import strategies as st
from rpt_cohort import BadInput, Volume
from rpt_dosimetry.registration.guides import guide
from rpt_dosimetry.registration.pair import (
    Agreement,
    Registration,
    Residual,
    Scan,
    agreement,
    check_picture,
    check_residual,
    register,
    residual,
)
from rpt_dosimetry.registration.transform import (
    GridMm,
    Rigid,
    itk_affine,
    itk_values,
    shifted,
    to_itk,
)
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings
from scipy import ndimage
from scipy.spatial.transform import Rotation

MOTIONS = {
    "all at once": ((6, -4, 7), (12, -10, 12)),
    "20 mm across, 10° about z": ((0, 0, 10), (20, 0, 0)),
    "20 mm along, 10° about x": ((-10, 0, 0), (0, 0, 20)),
}


def part(data: np.ndarray, affine: np.ndarray, first: int, end: int) -> Volume:
    """Slices of a volume, less the air around."""
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [14, 24, first]
    return Volume(np.ascontiguousarray(data[14:-14, 24:-24, first:end], dtype=np.float32), affine)


def motion(turn_deg, shift_mm) -> Rigid:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return Rigid(matrix)


def moved(data: np.ndarray, affine: np.ndarray, rigid: Rigid, like: Volume) -> Volume:
    """The patient moved: value at x is the old one at the inverse of x; by scipy."""
    back = np.linalg.inv(affine) @ np.linalg.inv(rigid.fixed_to_moving) @ like.affine
    found = ndimage.affine_transform(
        data.astype(np.float32), back[:3, :3], back[:3, 3], like.data.shape, order=1, mode="nearest"
    )
    return Volume(found, like.affine)


@pytest.fixture(scope="module")
def trunk():
    """A trunk longer than the scans, so that nothing but air comes in from the ends."""
    return make_cycle(CohortSettings(seed=1, slices=90), patient=1)


@pytest.fixture(scope="module")
def fixed(trunk) -> Scan:
    return Scan(*(part(d, trunk.grid.affine, 20, 70) for d in (trunk.pet_suv, trunk.ct_hu)))


@pytest.mark.parametrize("name", MOTIONS)
def test_known_motion_of_a_virtual_ct(name, trunk, fixed) -> None:
    true = motion(*MOTIONS[name])
    ct = moved(trunk.ct_hu, trunk.grid.affine, true, fixed.ct)
    ct.data[:] += np.random.default_rng(0).normal(0, 15, ct.data.shape).astype(np.float32)
    pet = moved(trunk.pet_suv, trunk.grid.affine, true, fixed.ct)
    found = register(fixed, Scan(pet, ct))
    box_mm = found.fixed.box_mm()
    off_mm = np.linalg.norm(found.rigid.moved_mm(box_mm) - true.moved_mm(box_mm), axis=1)
    assert off_mm.max() < 1.0
    error = np.linalg.inv(true.fixed_to_moving) @ found.rigid.fixed_to_moving
    assert Rigid(error).rotation_deg < 1.0
    told = found.residual
    assert told.centre_mm == pytest.approx(
        np.linalg.norm(true.moved_mm(box_mm)[0] - box_mm[0]), abs=1
    )
    assert told.after.mutual_information_nats > told.before.mutual_information_nats


def test_the_same_on_every_run_and_number_of_cores(fixed) -> None:
    found = []
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    try:
        for threads in (1, 3):
            SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            found.append(register(Scan(fixed.emission), Scan(fixed.emission)).rigid)
            assert SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert np.array_equal(found[0].fixed_to_moving, found[1].fixed_to_moving)
    assert np.abs(found[0].fixed_to_moving - np.eye(4)).max() < 0.2  # mm


def test_search_finds_a_scan_in_another_frame(trunk, fixed) -> None:
    offset = shifted(np.array([15.0, -130.0, 700.0])).fixed_to_moving
    whole = [
        Volume(d.astype(np.float32), offset @ trunk.grid.affine)
        for d in (trunk.pet_suv, trunk.ct_hu)
    ]
    with pytest.raises(BadInput, match=r"covers 0%: they lie apart in space.*--start search"):
        register(fixed, Scan(*whole))
    found = register(fixed, Scan(*whole), start="search")
    assert np.abs(found.rigid.fixed_to_moving - offset).max() < 0.5
    assert found.residual.centre_mm < 20  # from where the search began


def test_normalised_mutual_information_of_known_images(fixed) -> None:
    one = guide(fixed.ct, kind="CT", name="CT")
    same = agreement(one, one, shifted(np.zeros(3)))
    assert same.normalised_mutual_information == pytest.approx(2.0)
    noise = np.random.default_rng(3).permutation(fixed.emission.data.ravel())
    other = Volume(noise.reshape(fixed.emission.data.shape), fixed.emission.affine)
    apart = agreement(one, guide(other, kind="emission", name="PET"), shifted(np.zeros(3)))
    assert apart.normalised_mutual_information == pytest.approx(1.0, abs=0.01)
    nothing = agreement(one, one, shifted(np.array([0.0, 0.0, 5000.0])))
    assert nothing == Agreement(0.0, 1.0, 0.0)
    told = residual(one, one, start=shifted(np.zeros(3)), end=shifted(np.array([3.0, 4.0, 0.0])))
    assert (told.centre_mm, told.corner_mm) == (pytest.approx(5.0), pytest.approx(5.0))
    assert told.rotation_deg == 0.0


@given(
    turn_deg=st.tuples(*[st.floats(-40, 40)] * 3),
    shift_mm=st.tuples(*[st.floats(-100, 100)] * 3),
)
@settings(max_examples=25)
def test_the_transform_file_says_the_same(turn_deg, shift_mm, tmp_path_factory) -> None:
    rigid = motion(turn_deg, shift_mm)
    path = tmp_path_factory.mktemp("tfm") / "a.tfm"
    path.write_bytes(rigid.tfm())
    lps = np.array([-1, -1, 1])
    point = np.array([12.0, -34.0, 56.0])
    read = np.array(SimpleITK.ReadTransform(str(path)).TransformPoint((point * lps).tolist())) * lps
    assert read == pytest.approx(rigid.moved_mm(point[np.newaxis])[0], abs=1e-9)
    expected = Rotation.from_euler("xyz", turn_deg, degrees=True).magnitude()
    assert rigid.rotation_deg == pytest.approx(np.degrees(expected), abs=1e-6)


def test_images_go_to_itk_and_back() -> None:
    affine = motion((5, 10, 20), (1, 2, 3)).fixed_to_moving @ np.diag([2.0, 3.0, 4.0, 1.0])
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    image = to_itk(data, affine)
    assert np.array_equal(itk_values(image), data)
    assert itk_affine(image) == pytest.approx(affine)
    at_lps = np.array(image.TransformIndexToPhysicalPoint((1, 2, 3)))
    assert at_lps * [-1, -1, 1] == pytest.approx((affine @ [1, 2, 3, 1])[:3])


def _told(**changes) -> Residual:
    well = Agreement(1.0, 1.3, 0.9)
    return Residual(**({"before": well, "after": well, "centre_mm": 5.0} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centre_mm": 61.0}, "failed: it moves the body's centre by 61.0 mm, more than 60 mm"),
        ({"rotation_deg": 20.5}, "turns the patient by 20.5°, more than 20°"),
        ({"centre_mm": float("nan")}, "moves the body's centre by nan"),
        ({"after": Agreement(0.8, 1.2, 0.9)}, r"agree less than before, 1.2000 after 1.3000"),
        ({"after": Agreement(1.0, 1.3, 0.4)}, "covers 40% of the body, less than 50%"),
        (
            {"before": Agreement(0.1, 1.01, 0.9), "after": Agreement(0.1, 1.02, 0.9)},
            "hardly agree, 1.0200 of normalised",
        ),
    ],
)
def test_a_registration_that_failed(changes, message) -> None:
    check_residual(_told(corner_mm=6.0, rotation_deg=1.0))
    with pytest.raises(BadInput, match=message):
        check_residual(_told(**{"corner_mm": 6.0, "rotation_deg": 1.0} | changes))


def test_scans_that_cannot_be_registered(fixed) -> None:
    pet, ct = fixed.emission, fixed.ct
    zero = Volume(np.zeros_like(ct.data), ct.affine)
    skew = Volume(pet.data, pet.affine @ np.array([[1, 0.1, 0, 0], *np.eye(4)[1:]]))
    swapped = Volume(pet.data.swapaxes(0, 1), pet.affine[:, [1, 0, 2, 3]])
    noise = np.random.default_rng(5).poisson(3, pet.data.shape).astype(np.float32)
    nan = Volume(np.where(pet.data > 1, np.nan, pet.data), pet.affine)
    thin, other_grid = Volume(pet.data[..., :8], pet.affine), Volume(ct.data[..., :40], ct.affine)
    for moving, mask, message in (
        (Scan(pet), None, "Both scans must have a CT or none, and the moving one has none"),
        (Scan(zero, ct), None, "moving image must be an activity concentration"),
        (Scan(ct, ct), None, r"activity concentration \(Bq/mL\) or a SUV .*--fixed-ct"),
        (Scan(pet, zero), None, "moving CT must be in HU, with air"),
        (Scan(nan, ct), None, "must be finite everywhere"),
        (Scan(skew, ct), None, "axes at right angles"),
        (Scan(swapped, ct), None, "order right, front, head .RAS., got ARS. Turn it"),
        (Scan(pet, ct), other_grid, r"mask \(--mask\) must be on the grid of The fixed CT"),
        (Scan(pet, ct), zero, "mask .* must have voxels above 0"),
    ):
        with pytest.raises(BadInput, match=message):
            register(fixed, moving, mask=mask)
    with pytest.raises(BadInput, match="16 or more voxels"):
        register(Scan(thin), Scan(thin))
    with pytest.raises(BadInput, match="failed"):
        register(Scan(pet), Scan(Volume(noise, pet.affine)))


@pytest.mark.parametrize("signs", [(1, 1), (-1, -1), (-1, 1)])
def test_the_check_picture_has_the_patient_s_right_on_the_left(signs, fixed, monkeypatch) -> None:
    figures = drawn_figures(monkeypatch)
    steers = guide(fixed.ct, kind="CT", name="CT")
    still = shifted(np.zeros(3))
    told = _told(corner_mm=6.0, rotation_deg=1.0)
    found = Registration(still, still, told, steers, steers)
    shape = (20, 24, 28)
    hot = np.zeros(shape, np.float32)
    hot[15:18, 18:21, 22:25] = 1.0  # right, front, head
    hot = np.flip(hot, [axis for axis in range(2) if signs[axis] < 0])
    grid = GridMm(shape, np.diag([4.0 * signs[0], 4.0 * signs[1], 5.0, 1.0]))
    check_picture(found, fixed_emission=hot, moving_emission=hot, grid=grid)
    panels = patient_axes(figures[0])[:8]
    assert [letters(ax) for ax in panels] == ["RL"] * 8
    for ax in panels[4:]:
        from_left, from_top = brightest_place(ax)
        assert from_left < 0.3
        assert from_top < 0.3


def test_a_mask_steers(fixed) -> None:
    """What lies outside the mask moves otherwise, and changes nothing."""
    mask = np.zeros_like(fixed.ct.data)
    mask[26:76, 26:66] = 1
    ct = fixed.ct.data.copy()
    ct[:12] = np.roll(ct[:12], 5, axis=1)
    found = register(
        fixed,
        Scan(fixed.emission, Volume(ct, fixed.ct.affine)),
        mask=Volume(mask, fixed.ct.affine),
    )
    assert found.residual.corner_mm < 0.5
