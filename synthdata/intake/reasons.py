"""Why intake holds a file back: a code, an outcome, and one sentence for people."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["quarantined", "refused", "noted"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason; the sentence says what it means and what to do, never which value was found."""

    outcome: Outcome
    explanation: str


def _held(explanation: str) -> Reason:
    return Reason("quarantined", explanation)


def _refused(explanation: str) -> Reason:
    return Reason("refused", explanation)


FILES = {
    "file.unreadable": _refused(
        "The file cannot be read (no right, a damaged disk, gone since it was listed): mend it, or copy it again."
    ),
    "file.not_regular": _refused(
        "The entry is no file but a pipe, a socket or a device, which nobody reads: remove it from the folder."
    ),
    "file.link": _refused(
        "The entry is a link that leads nowhere, or in a circle: fetch its target, or remove it."
    ),
    "file.empty": _refused("The file has no bytes: copy it again."),
    "file.changed": _refused(
        "The file changed while it was read: run intake again once the transfer has ended."
    ),
    "file.too_large": _refused("The file is larger than 1 GiB, or would be once unpacked: split the series."),
    "file.not_an_image": _refused(
        "The file is neither DICOM, NIfTI nor NPZ: keep other files outside the folder of the scans."
    ),
    "file.other_format": _refused(
        "The file is not of the spec's source.format: put it into a source of its own."
    ),
    "file.truncated": _refused("The file ends before its data does: transfer it again."),
    "file.malformed": _refused("The file's structure breaks its standard: export it again, or repair it."),
    "file.duplicate": _refused("The same bytes came twice; one copy was kept: nothing to do."),
    "file.no_pixels": _refused("The file has no pixel data: export the images, not only their headers."),
    "file.dicomdir": _refused(
        "The file is a DICOMDIR, a table of contents which names patients: leave it out, the images suffice."
    ),
    "file.frames": _refused(
        "The number of frames contradicts the pixel data or the functional groups: export the image again."
    ),
    "file.pair": _refused(
        "The file is the header of an Analyze or NIfTI pair, whose voxels are in another file: convert it to one .nii."
    ),
    "file.outside": _refused(
        "The file is not where the spec looks for images or labels: move it, or remove it."
    ),
}

ARCHIVES = {
    "archive.bomb": _refused(
        "The archive unpacks to far more than it holds, or to a file above 1 GiB: unpack it by hand, and look."
    ),
    "archive.unsafe": _refused(
        "The archive holds a link, a device, or a path that leads outside of it: make it again from plain files."
    ),
    "archive.locked": _refused("The archive asks for a password: unpack it where the password is known."),
    "archive.nested": _refused(
        "The archive holds archives within archives, more than three deep: unpack the outer ones."
    ),
    "archive.other_kind": _refused(
        "The archive is of a kind that is not opened (7z, RAR, LZ4, cabinet, disc image, Deflate64): unpack it, or "
        "pack it as ZIP or tar."
    ),
    "archive.damaged": _refused("The archive is empty, cut or damaged: transfer it again."),
}

DEIDENTIFICATION = {
    "deid.not_declared": _held(
        "Patient Identity Removed (0012,0062) is not YES: de-identify by PS3.15, or let a person review."
    ),
    "deid.no_method": _held(
        "De-identification Method (0012,0063) and its code sequence (0012,0064) are empty: state the method."
    ),
    "deid.no_basic_profile": _held(
        "The method codes lack 113100, the basic confidentiality profile: apply the profile and declare it."
    ),
    "deid.identifying_attribute": _held(
        "An attribute of PS3.15 Table E.1-1 holds a value which the declared options do not allow: clean it."
    ),
    "deid.person_name": _held("A person's name is present, at some depth: replace it by a pseudonym."),
    "deid.birth_date": _held("A date of birth is present: remove it."),
    "deid.date": _held(
        "A date or time is present, no option which keeps or modifies dates (113106, 113107) is declared: remove it."
    ),
    "deid.age_over_90": _held("An age above 90 years is stated: aggregate such ages to 90."),
    "deid.text_pattern": _held(
        "A text looks like a date, a telephone or identity number, an e-mail address or a titled name: clean it."
    ),
    "deid.name_in_text": _held(
        "A text holds a word which is a person's name, or words unknown to imaging where a name could stand: clean it."
    ),
    "deid.deny_list": _held("A text holds an entry of the operator's deny list: clean it."),
    "deid.file_name": _held(
        "The name of the file, or of a folder below the source, looks like a name, a date or a number of a person: "
        "rename it."
    ),
    "deid.archive_text": _held(
        "The archive that the file came in holds a text beside its files (a comment, an extra field, the name of an "
        "owner or a folder) which looks like it tells of a person: pack it again without."
    ),
    "deid.unique_id": _held(
        "A UID is not well formed, or is made of a moment in time, and 113110 is not declared: give it a new one."
    ),
    "deid.address": _held("An application entity or a URL is named, which tells the place: remove it."),
    "deid.text_in_pixels": _held(
        "Text was read in the pixels, which the header does not tell: look, and mask it at the source."
    ),
    "deid.text_not_read": _held(
        "Projections can hold text, and the engine that reads it is not installed: install rapidocr-onnxruntime, or "
        "set vouching.burned_in_text to off on the record."
    ),
    "deid.face_surface": _held(
        "The skin of a head shows a nose, so a face can be recognised: deface it, or set vouching.faces on the record."
    ),
    "deid.hidden_bytes": _held(
        "Bytes lie where no reader looks (between or behind attributes, in unused bits, in a padding or a comment): "
        "write the file again."
    ),
    "deid.private_tag": _held(
        "Private attributes are present which PS3.15 does not call safe, or without the option for safe ones (113111): "
        "remove them, or allow them in the spec."
    ),
    "deid.unknown_element": _held(
        "An attribute is unknown to the standard (VR UN), so its content cannot be judged: remove it."
    ),
    "deid.overlay": _held("An overlay or a curve is present, which may hold drawn text: remove it."),
    "deid.embedded_document": _held("A document, an icon or a graphic annotation is embedded: remove it."),
    "deid.file_meta": _held(
        "The file meta information names an application entity or holds private information: write it again without."
    ),
    "deid.preamble": _held(
        "The 128 bytes of the preamble are not zero and may hide content: write them as zero."
    ),
    "deid.trailing_bytes": _held(
        "Bytes follow the last attribute and may hide content: write the file again."
    ),
    "deid.sop_class": _held(
        "The SOP class is not on the list that intake can vouch for: send CT, MR, CR or DX images, SEG or RTSTRUCT."
    ),
    "deid.burned_in": _held(
        "Text may be burned into the pixels (Burned In Annotation is not NO): look, remove it, and declare NO."
    ),
    "deid.face": _held(
        "A head volume may show a face: deface it and declare 113102 or Recognizable Visual Features = NO."
    ),
    "deid.nifti_extension": _held(
        "The NIfTI header carries an extension, which may hold a DICOM header: remove it."
    ),
    "case.companion": _held(
        "Another file of the same series or case is held back, and a part is of no use: mend that file."
    ),
    "source.secondary": _held(
        "Image Type says SECONDARY, so the image was made from others, and may be a screen shot: send the original."
    ),
    "source.not_attested": _held(
        "The spec asks for the controller's attestation, and none that can be trusted covers exactly these files: the "
        "notes say which."
    ),
    "source.watermarked": _refused(
        "The pixels carry the watermark of this store's synthetic images, which are no source: leave the file out."
    ),
    "source.synthetic": _refused(
        "Synthetic Data (0008,001C) is YES, and synthetic images are no source of real ones: leave the file out."
    ),
}

SERIES = {
    "file.same_name": _held(
        "Two files differ in nothing but .nii and .nii.gz, and which one is meant cannot be told: keep one of them."
    ),
    "series.duplicate_uid": _held(
        "Two different files carry one SOP Instance UID: find out which one is right."
    ),
    "series.mixed": _refused(
        "The slices differ in modality or frame of reference: give each its own series."
    ),
    "series.repeated_position": _refused(
        "Several slices lie at one position, and neither echo, time nor order tells them apart: remove copies."
    ),
    "series.missing_slice": _refused("A slice is missing inside the series: fetch it from the archive."),
    "series.uneven_gaps": _refused("The distances of the slices differ: send a series with even distances."),
    "series.gantry_tilt": _refused(
        "The slices are tilted further than any gantry tilts, so positions are wrong: export the series again."
    ),
    "series.shifted_slices": _refused(
        "The slices are shifted sideways, each in its own way: export the series again."
    ),
    "series.one_slice": _refused(
        "A single slice came where the spec asks for a volume: send the whole series."
    ),
    "series.no_geometry": _refused(
        "Position, orientation or spacing is missing or impossible: export it again."
    ),
    "series.sheared": _refused(
        "The axes of the image are not at right angles, or one has no length: resample it to a grid whose axes are."
    ),
    "series.multi_frame": _refused(
        "Several frames without functional groups do not tell where they lie: export an enhanced or classic image."
    ),
    "series.mosaic": _refused(
        "A Siemens mosaic without its private header tells neither number nor direction of slices: send single ones."
    ),
    "series.no_channel": _refused(
        "No channel of the spec asks for this series: nothing to do, or mend the spec."
    ),
}

PIXELS = {
    "pixels.colour": _refused("The image has colour, expected one sample per pixel: send the original."),
    "pixels.undecodable": _refused(
        "The pixel data cannot be decoded (damaged, or of an unknown syntax): transfer it again, or decompress it."
    ),
    "pixels.lookup_table": _refused(
        "A lookup table of the values is damaged or contradicts its descriptor: export the image again."
    ),
    "pixels.decimal": _refused(
        "The pixels are decimal numbers (Float Pixel Data), which no CT, MR, CR or DX image has: send the original."
    ),
    "pixels.complex": _refused("The image holds complex numbers, expected real ones: export the magnitude."),
    "pixels.unit": _refused(
        "No scale of the file leads to the channel's unit, or values lie outside it: export the image with that scale."
    ),
    "pixels.not_finite": _refused("The image holds NaN or infinity: export it again."),
}

CASES = {
    "case.missing_channel": _held(
        "The study lacks a series for a channel of the spec: send it, or mend the spec."
    ),
    "case.other_channels": _held(
        "The image has another number of volumes along its fourth axis than the spec asks for: split it, or mend one."
    ),
    "case.ambiguous_channel": _held(
        "Several series of the study match one channel: make the spec's pattern narrower."
    ),
    "case.other_frame_of_reference": _held(
        "The channels do not share a frame of reference: register them first."
    ),
    "case.no_overlap": _held(
        "A channel shows a place that the first channel does not: send series of one region."
    ),
    "mask.missing": _held(
        "The spec has labels, and the case has no mask: send a DICOM SEG, an RTSTRUCT or a label map."
    ),
    "mask.unknown_value": _refused(
        "The mask holds a value which the spec's labels do not name: mend one of them."
    ),
    "mask.off_grid": _refused(
        "The mask lies on another grid, outside the image: send the mask of this image."
    ),
    "mask.unreadable": _refused(
        "The mask's frames or contours cannot be placed (geometry, numbers, or no closed planar contour): export again."
    ),
    "mask.no_image": _held("The mask belongs to no accepted image: send its series."),
    "patient.unknown": _held("The table of patients does not name this file: add its row."),
    "patient.conflict": _held(
        "One patient id carries conflicting sex or birth, as if two persons shared it: give each an id of its own."
    ),
    "clinical.no_row": _held("The clinical table has no row for this patient: add it."),
    "clinical.conflicting_rows": _held(
        "The clinical table has differing rows for one patient: mend it, or give each person an id of its own."
    ),
    "clinical.bad_value": _held(
        "A clinical value is missing, of a wrong type, or no value that the spec lists: mend the cell, or the spec."
    ),
    "clinical.out_of_range": _held(
        "A clinical value lies outside the range that the spec allows, or is an age that nobody has: mend the cell, "
        "its unit, or the spec."
    ),
    "clinical.unit": _held(
        "A clinical value has a unit that is unknown, or of another kind than the column's: write it in UCUM."
    ),
    "clinical.rare_combination": _held(
        "Too few patients share this age, sex and the like, and no band nearby is common: leave the patient out."
    ),
    "clinical.row_without_images": Reason(
        "noted",
        "Clinical rows have no accepted images (the count is of rows): send the images, or ignore it.",
    ),
}

REASONS: dict[str, Reason] = {**FILES, **ARCHIVES, **DEIDENTIFICATION, **SERIES, **PIXELS, **CASES}
