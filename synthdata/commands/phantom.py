"""`synthdata phantom OUT`: write a phantom cohort as DICOM and a clinical table."""

from pathlib import Path
from typing import Annotated, Any

import typer


def phantom(
    out: Annotated[
        Path,
        typer.Argument(help="Folder of the cohort; made where it lacks.", show_default=False, readable=False),
    ],
    patients: Annotated[int, typer.Option(min=1, help="How many patients.")] = 160,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cohort.")] = 20261122,
    channels: Annotated[
        str, typer.Option(help="Comma-separated: T1w, T2w, CT together, or XR alone.")
    ] = "T1w,CT",
    shape: Annotated[str, typer.Option(help="Voxels z,y,x; empty: 24,40,32, or 1,64,64 for XR.")] = "",
    spacing: Annotated[
        str, typer.Option(help="Distances z,y,x in mm; empty: 6,5.5,5.5, or 1,2.75,2.75.")
    ] = "",
) -> None:
    """Write digital heads as DICOM series, DICOM SEG and clinical.csv; no real person is in them."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from synthdata.phantom import write_cohort

    console = Console(stderr=True)
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("phantom", total=patients)

        def tell(done: int, total: int, message: str = "") -> None:
            bar.update(task, completed=done, total=total, description=message or "phantom")

        write_cohort(
            out,
            patients=patients,
            seed=seed,
            channels=tuple(name.strip() for name in channels.split(",") if name.strip()),
            shape_zyx=_three(shape, int, "--shape"),
            spacing_mm=_three(spacing, float, "--spacing"),
            progress=tell,
        )
    console.print(f"{patients} patients in {out}: DICOM in a folder per patient, clinical.csv beside them")


def _three(text: str, kind: type, option: str) -> Any:
    """Three comma-separated numbers, or None for an empty text."""
    if not text:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise typer.BadParameter(f"{option} is {text!r}, expected three numbers z,y,x such as 24,40,32")
    return values
