"""Find the series and NIfTI files that a study names, and what their headers tell of the infusion.

One cycle has one infusion: headers that tell another moment or activity are refused.
"""

from dataclasses import dataclass
from pathlib import Path

from rpt_cohort import BadInput

from rpt_dosimetry.dicom.nm import NM_STORAGE
from rpt_dosimetry.dicom.reading import Moment, shown
from rpt_dosimetry.dicom.series import Series, choose_ct, choose_pet, find_series
from rpt_dosimetry.ingest.study import PetSource, ScanSource, SpectSource
from rpt_dosimetry.nifti import Nifti, find_nifti, is_nifti

ONE_INFUSION_H = 0.25
"""Ours: by which headers may tell the start of infusion unlike: it is noted by hand."""
LARGEST_RATIO = 2.0
"""Ours: of the administered activities that a header and the study tell."""


def refuse_other_infusion(role: str, begin: Moment, first_role: str, first: Moment) -> None:
    """Refuse a scan whose header puts the start of infusion elsewhere than another's."""
    apart_h = begin.hours_after(first)
    if abs(apart_h) > ONE_INFUSION_H:
        raise BadInput(
            f"{role}: All SPECTs of a cycle, and its planar scan, must tell one start of infusion, "
            f"and by {shown('RadiopharmaceuticalStartDateTime')} (or "
            f"{shown('RadiopharmaceuticalStartTime')}) it is {apart_h:+.2f} h from that of "
            f"{first_role}: a date, a clock or a time zone ({shown('TimezoneOffsetFromUTC')}) "
            "changed. Correct it, or give the right time_h of each scan."
        )


def refuse_other_activity(role: str, told_mbq: float | None, administered_mbq: float) -> None:
    """Refuse a scan whose header tells less than half or more than twice the study's activity."""
    if told_mbq is None or 1 / LARGEST_RATIO <= told_mbq / administered_mbq <= LARGEST_RATIO:
        return
    raise BadInput(
        f"{role}: administered_mbq must be that of {shown('RadionuclideTotalDose')}, "
        f"{told_mbq:.5g} MBq, at least within a factor of {LARGEST_RATIO:g}, got "
        f"{administered_mbq:.5g} MBq. Correct it, or set activities_differ where you made sure of "
        "it."
    )


NO_CT = "It has no CT: it is registered by its emission."


@dataclass(frozen=True)
class ScanFiles:
    """The files of one scan; ``everything``: all DICOM files of the folders searched."""

    emission: Series | Nifti
    ct: Series | Nifti | None
    everything: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def is_nm(self) -> bool:
        """Whether the emission image is an NM object."""
        return isinstance(self.emission, Series) and self.emission.modality == "NM"

    @property
    def emission_paths(self) -> tuple[Path, ...]:
        """The files of the emission image."""
        return _paths(self.emission)

    @property
    def ct_paths(self) -> tuple[Path, ...]:
        """The files of the CT."""
        return () if self.ct is None else _paths(self.ct)

    @property
    def frame_uid(self) -> str:
        """Frame of Reference UID of the CT, or of the emission image; NIfTI has none."""
        one = self.ct or self.emission
        return one.frame_of_reference_uid if isinstance(one, Series) else ""


def find_scan(source: PetSource | SpectSource, root: Path, *, need_ct: bool) -> ScanFiles:
    """Find the series of one scan; the CT of a later SPECT may be missing.

    Raises:
        BadInput: A folder or series is missing, damaged or not the only one that fits, or PET and
            CT stand in different frames of reference.
    """
    if is_nifti(source.folder):
        return _find_nifti(source, root, need_ct=need_ct)
    if source.ct is not None and is_nifti(source.ct):
        raise BadInput("ct must be a folder of DICOM where the scan is, and it is a NIfTI file.")
    warnings: list[str] = []
    found = find_series(root / source.folder, warnings=warnings)
    every = list(found)
    nm = isinstance(source, SpectSource) and _is_nm(found, source.series)
    emission = _one_nm(found, source.series) if nm else choose_pet(found, source.series)
    if source.ct is not None:
        found = find_series(root / source.ct, warnings=warnings)
        every += found
    told_ct = source.ct is not None or source.ct_series is not None
    ct = None
    if need_ct or told_ct or any(one.is_ct for one in found):
        ct = choose_ct(found, source.ct_series)
        _check_frame(emission, ct, source)
    else:
        warnings.append(NO_CT)
    everything = tuple(dict.fromkeys(file.path for one in every for file in one.files))
    return ScanFiles(emission, ct, everything, tuple(warnings))


def _find_nifti(source: PetSource | SpectSource, root: Path, *, need_ct: bool) -> ScanFiles:
    if source.series is not None or source.ct_series is not None:
        raise BadInput("series and ct_series must be left out for a NIfTI file.")
    if source.ct is not None and not is_nifti(source.ct):
        raise BadInput("ct must be a NIfTI file where the scan is, and it is another.")
    if source.ct is None and need_ct:
        raise BadInput("A NIfTI scan must have a CT in its world, and none is named. Give ct.")
    emission = find_nifti(root / source.folder, need_sidecar=True)
    if source.ct is None:
        return ScanFiles(emission, None, (), (NO_CT,))
    return ScanFiles(emission, find_nifti(root / source.ct, need_sidecar=False), (), ())


def _paths(one: Series | Nifti) -> tuple[Path, ...]:
    return one.paths if isinstance(one, Nifti) else tuple(file.path for file in one.files)


def _check_frame(emission: Series, ct: Series, source: ScanSource) -> None:
    same = emission.frame_of_reference_uid == ct.frame_of_reference_uid
    if not source.same_frame and not same:
        raise BadInput(
            f"{shown('FrameOfReferenceUID')} of the CT must be that of its PET or SPECT, and it is "
            "not: the CT may be of another scan. Name the right one by ct or ct_series, or set "
            "same_frame where you made sure that it is."
        )


def _is_nm(found: list[Series], wanted: str | None) -> bool:
    """Tell whether a SPECT comes as NM; one stored as PET goes before, for it is calibrated."""
    if wanted is None:
        return not any(one.is_pet for one in found) and any(_stores_nm(one) for one in found)
    return any(_stores_nm(one) for one in found if one.uid.startswith(wanted))


def _stores_nm(series: Series) -> bool:
    return series.modality == "NM" and NM_STORAGE in series.sop_classes


def _one_nm(found: list[Series], wanted: str | None) -> Series:
    fitting = [one for one in found if _stores_nm(one)]
    if wanted is not None:
        fitting = [one for one in fitting if one.uid.startswith(wanted)]
    if len(fitting) != 1 or len(fitting[0].files) != 1:
        raise BadInput(
            "The folder must hold one NM series of one object, the reconstructed SPECT, and "
            f"{len(fitting)} series fit. Name it by series."
        )
    return fitting[0]
