"""Synthetic cases as NIfTI: a BIDS-like tree with sidecars; BIDS covers MR alone, so no validity is claimed."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from synthdata.errors import MissingExtraError
from synthdata.records.case import Case
from synthdata.records.grid import Grid
from synthdata.records.training import ChannelScale

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nifti_members(
    case: Case, scales: tuple[ChannelScale, ...], labels: Mapping[str, int]
) -> Iterator[tuple[str, bytes]]:
    """Files of one case, by name and bytes: a gzipped volume and a sidecar per channel, and a label map.

    Raises:
        MissingExtraError: nibabel is not installed.
    """
    subject = subject_of(case.case_id)
    for number, scale in enumerate(scales):
        stem = f"{subject}/{_folder(scale.modality)}/{subject}_{re.sub(r'[^A-Za-z0-9]', '', scale.channel)}"
        sidecar = {
            "CaseID": case.case_id,
            "Modality": scale.modality,
            "SyntheticData": True,
            "Units": scale.unit,
            "Record": dict(case.record),
        }
        yield f"{stem}.json", json.dumps(sidecar, sort_keys=True, indent=1).encode()
        yield f"{stem}.nii.gz", _encoded(case.image[number], case.grid)
    if labels:
        stem = f"{subject}/{_folder(scales[0].modality)}/{subject}_dseg"
        sidecar = {"CaseID": case.case_id, "SyntheticData": True, "Labels": dict(labels)}
        yield f"{stem}.json", json.dumps(sidecar, sort_keys=True, indent=1).encode()
        yield f"{stem}.nii.gz", _encoded(case.mask, case.grid)


def subject_of(case_id: str) -> str:
    """Name of a case in the tree."""
    return "sub-" + re.sub(r"[^A-Za-z0-9]", "", case_id)


def _folder(modality: str) -> str:
    return {"MR": "anat", "CT": "ct"}.get(modality, "xray")


def _encoded(voxels: np.ndarray, grid: Grid) -> bytes:
    """Gzipped NIfTI-1 of voxels (z, y, x); the file's axes are x, y, z and its world is RAS."""
    try:
        import nibabel as nib
    except ImportError:
        raise MissingExtraError.of("writing NIfTI", "dicom") from None
    reverse = np.eye(4)[[2, 1, 0, 3]]  # (x, y, z, 1) to (z, y, x, 1)
    image = nib.Nifti1Image(voxels.transpose(2, 1, 0), LPS_TO_RAS @ grid.affine @ reverse)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.set_qform(image.affine, code=1)  # type: ignore[no-untyped-call]
    image.set_sform(image.affine, code=1)  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
