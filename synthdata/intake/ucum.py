"""Units of UCUM, as far as clinical tables use them: parsed to a factor and dimensions, converted or refused."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Final

from synthdata.errors import UnitError

PREFIXES: Final = {
    "Y": 1e24, "Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1,
    "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18,
}  # fmt: skip
METRIC: Final = {  # atoms which take a prefix: factor and dimensions
    "m": (1.0, "m"), "g": (1.0, "g"), "s": (1.0, "s"), "K": (1.0, "K"), "mol": (1.0, "mol"), "A": (1.0, "A"),
    "L": (1e-3, "m m m"), "l": (1e-3, "m m m"), "Hz": (1.0, "/s"), "N": (1e3, "g m /s /s"),
    "Pa": (1e3, "g /m /s /s"), "bar": (1e8, "g /m /s /s"), "J": (1e3, "g m m /s /s"),
    "W": (1e3, "g m m /s /s /s"), "cal": (4184.0, "g m m /s /s"), "V": (1e3, "g m m /s /s /s /A"),
    "Bq": (1.0, "/s"), "Gy": (1.0, "m m /s /s"), "Sv": (1.0, "m m /s /s"), "kat": (1.0, "mol /s"),
    "U": (1e-6 / 60, "mol /s"), "eq": (1.0, "mol"), "osm": (1.0, "mol"), "[iU]": (1.0, "[iU]"),
    "m[Hg]": (133322.387415e3, "g /m /s /s"), "m[H2O]": (9806.65e3, "g /m /s /s"),
}  # fmt: skip
PLAIN: Final = {  # atoms which take none
    "a": (31557600.0, "s"), "mo": (2629800.0, "s"), "wk": (604800.0, "s"), "d": (86400.0, "s"),
    "h": (3600.0, "s"), "min": (60.0, "s"), "%": (1e-2, ""), "[ppth]": (1e-3, ""), "[ppm]": (1e-6, ""),
    "[in_i]": (0.0254, "m"), "[ft_i]": (0.3048, "m"), "[lb_av]": (453.59237, "g"), "[oz_av]": (28.349523125, "g"),
    "[hnsf'U]": (1.0, "[hnsf'U]"), "[pH]": (1.0, "[pH]"), "deg": (math.pi / 180, ""), "rad": (1.0, ""),
    "10*": (10.0, ""), "10^": (10.0, ""),
}  # fmt: skip
SHIFTED: Final = {"Cel": (1.0, 273.15), "[degF]": (5 / 9, 459.67 * 5 / 9)}  # kelvin = factor * value + offset
ATOM = re.compile(r"(?P<name>10[*^]|(?:[A-Za-z%']|\[[^\]]+\])+)(?P<exponent>[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Unit:
    """Base value = factor * value + offset; dimensions by name to exponent."""

    factor: float
    dimensions: tuple[tuple[str, int], ...]
    offset: float = 0.0
    is_of_amounts: bool = False  # a share of amounts of substance, as in mmol/mol


def convert(value: float, source: str, target: str) -> float:
    """A value in another unit.

    Args:
        value: In the source unit.
        source: UCUM unit, such as `g/dL`.
        target: UCUM unit of the same dimensions.

    Raises:
        UnitError: A unit is unknown, or they measure different things (such as mass and amount of substance, or
            HbA1c in % and in mmol/mol, which differ by more than a factor).

    Source:
        The Unified Code for Units of Measure, version 2.1, tables 1 to 5.
    """
    if source == target:
        return value
    here, there = parse_unit(source), parse_unit(target)
    if here.dimensions != there.dimensions or here.is_of_amounts != there.is_of_amounts:
        raise UnitError(
            f"a value in {source!r} came for a column in {target!r}: expected a unit of the same kind"
        )
    return (here.factor * value + here.offset - there.offset) / there.factor


@cache
def parse_unit(text: str) -> Unit:
    """A unit. Raises UnitError for one that is not known."""
    bare = re.sub(r"\{[^}]*\}", "", text.strip())
    if bare in SHIFTED:
        factor, offset = SHIFTED[bare]
        return Unit(factor, (("K", 1),), offset)
    factor, powers = 1.0, Counter[str]()
    for sign, term in _terms(bare, text):
        one, dimensions = _term(term, text)
        factor *= one**sign
        for name, exponent in dimensions.items():
            powers[name] += sign * exponent
    kept = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(factor, kept, is_of_amounts=powers.get("mol") == 0)


def _terms(bare: str, text: str) -> list[tuple[int, str]]:
    """Factors of a unit without parentheses, each with 1 or, after a slash, -1."""
    parts = re.split(r"([./])", bare)
    if "(" in bare or len(bare) > 64:
        raise _unknown(text)
    signs = [1, *(-1 if mark == "/" else 1 for mark in parts[1::2])]
    return [(sign, term) for sign, term in zip(signs, parts[::2], strict=True) if term not in {"", "1"}]


def _term(term: str, text: str) -> tuple[float, Counter[str]]:
    if term.isdigit():
        return float(term), Counter()
    match = ATOM.fullmatch(term)
    if match is None:
        raise _unknown(text)
    factor, dimensions = _atom(match["name"], text)
    exponent = int(match["exponent"] or 1)
    powers = Counter[str]()
    for name in dimensions.split():
        powers[name.removeprefix("/")] += -exponent if name.startswith("/") else exponent
    return factor**exponent, powers


def _atom(name: str, text: str) -> tuple[float, str]:
    if name in PLAIN:
        return PLAIN[name]
    if name in METRIC:
        return METRIC[name]
    for length in (1, 2):
        prefix, rest = name[:length], name[length:]
        if prefix in PREFIXES and rest in METRIC:
            factor, dimensions = METRIC[rest]
            return PREFIXES[prefix] * factor, dimensions
    raise _unknown(text)


def _unknown(text: str) -> UnitError:
    return UnitError(
        f"a unit of {len(text)} characters is no unit of UCUM that is known here: write it in UCUM"
    )
