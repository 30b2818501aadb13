"""The mask of a case: all segmentations and structure sets of its study, on the grid of its image."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from synthdata.intake.contours import Contours, fill, read_contours
from synthdata.intake.dicom_file import Instance
from synthdata.intake.inventory import Inventory
from synthdata.intake.labels import place, read_segmentation
from synthdata.intake.painting import Canvas
from synthdata.intake.series import Series
from synthdata.intake.terminology import NO_CODES


def study_mask(
    masks: Sequence[Instance],
    image: Series,
    labels: Mapping[str, int],
    inventory: Inventory,
    codes: Mapping[str, str] = NO_CODES,
) -> np.ndarray | None:
    """Mask on the grid of an image; None with the reason booked where one of the files does not fit it.

    Args:
        masks: SEG and RTSTRUCT objects of the study.
        image: The series that they were drawn on.
        labels: Name to mask value.
        inventory: Reads the files again, and takes notes.
        codes: Name to `<SNOMED CT code>|<meaning>`, for segments that have another name.
    """
    if image.stack is None:
        return None
    canvas = Canvas(image.stack)
    for instance in masks:
        drawn = _drawn(instance, image, labels, inventory, codes)
        if drawn is None:
            return None
        canvas.add(drawn)
    mask, twice = canvas.mask()
    if twice:
        inventory.notes.add("labels overlap: the voxel got the higher value of the spec's labels")
    return mask


def _drawn(
    instance: Instance,
    image: Series,
    labels: Mapping[str, int],
    inventory: Inventory,
    codes: Mapping[str, str],
) -> Canvas | None:
    data = inventory.reread(instance.seen)
    if data is None or image.stack is None:
        return None
    read = read_contours if instance.modality == "RTSTRUCT" else read_segmentation
    found = read(data, labels, codes)
    if found is None:
        instance.seen.reasons.add("mask.unreadable")
        return None
    if found.unknown_labels:
        inventory.notes.add("segments whose label the spec does not name were left out")
    same_world = found.frame_of_reference == image.first.frame_of_reference
    if not image.first.frame_of_reference:  # a projection: only the reference tells which image is meant
        same_world &= not found.source_uids.isdisjoint(item.sop_uid for item in image.instances)
    drawn: Canvas | str | None = None
    if same_world:
        on = image.stack
        drawn = fill(found, on) if isinstance(found, Contours) else place(found, on)
    if not isinstance(drawn, Canvas):
        instance.seen.reasons.add(drawn or "mask.off_grid")
        return None
    return drawn


def note_label_codes(masks: Iterable[Instance], labels: Mapping[str, int], inventory: Inventory) -> None:
    """Book the SNOMED CT code of each label as accepted masks state it; where they disagree, a note instead.

    Args:
        masks: Files of the source; those without segments play no part.
        labels: Labels of the spec.
        inventory: Takes the codes.
    """
    names = {name.strip().lower(): name for name in labels}
    found: dict[str, set[str]] = {}
    for instance in masks:
        if instance.seen.outcome == "accepted":
            for label, code in instance.codes:
                if label.strip().lower() in names:
                    found.setdefault(names[label.strip().lower()], set()).add(code)
    inventory.label_codes = {
        name: next(iter(codes)) for name, codes in sorted(found.items()) if len(codes) == 1
    }
    if len(inventory.label_codes) < len(found):
        inventory.notes.add(
            "masks give one label several SNOMED CT codes: name its code in the spec's label_codes"
        )
