"""Names of metrics, quantities, tests and units as people say them."""

METRICS = {
    "frechet": "Fréchet distance",
    "frechet_at_infinity": "Fréchet distance, infinite n",
    "kid": "KID",
    "cmmd": "CMMD",
    "coverage": "coverage",
    "precision": "precision",
    "density": "density",
    "recall": "recall",
    "vendi": "Vendi score",
}
UNITS = {"[hnsf'U]": "HU", "mm3": "mm³", "1": ""}


def metric_name(metric: str) -> str:
    """`wasserstein/volume/infarct` as `volume of infarct`, `correlation/age~volume/x` as `age with volume of x`."""
    kind, _, of = metric.partition("/")
    if kind == "correlation":
        return " with ".join(quantity_name(side) for side in of.split("~"))
    if kind == "wasserstein":
        return quantity_name(of)
    return METRICS.get(metric) or plain(metric)


def short(value: float) -> str:
    """A number with three decimals below 1, three digits above, and no exponent."""
    if abs(value) < 1:
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        return "0" if text in {"", "-0", "-"} else text
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def quantity_name(name: str) -> str:
    """`mean_intensity/infarct/CT` as `mean intensity of infarct, CT`."""
    kind, _, of = name.partition("/")
    return f"{plain(kind)} of {plain(of).replace('/', ', ')}" if of else plain(kind)


def unit_name(unit: str) -> str:
    """A UCUM unit as it is printed; nothing for a number without unit."""
    return UNITS.get(unit, unit)


def plain(name: str) -> str:
    """Underscores as spaces."""
    return name.replace("_", " ")
