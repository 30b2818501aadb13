"""Generators: one protocol, one explicit table."""

from importlib import import_module
from importlib.metadata import entry_points

from synthdata.errors import ConfigError
from synthdata.models.protocol import ChannelMap, Family, Generator, Geometry

ENTRY_POINTS = "synthdata.generators"  # group under which other packages offer families
GENERATORS = {  # name -> module with FAMILY
    "flow": "synthdata.models.flow",
    "gan": "synthdata.models.gan",
    "plain-flow": "synthdata.models.plain_flow",
    "translation": "synthdata.models.translation",
    "vae": "synthdata.models.vae",
}

__all__ = ["ENTRY_POINTS", "GENERATORS", "ChannelMap", "Family", "Generator", "Geometry", "family_of"]


def family_of(name: str) -> Family:
    """Row of the table, or a family that an installed package offers as an entry point of `synthdata.generators`.

    Raises:
        ConfigError: Neither has the name, or the entry point offers something else.
    """
    if name in GENERATORS:
        family: Family = import_module(GENERATORS[name]).FAMILY
        return family
    offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in offered:
        known = ", ".join([*GENERATORS, *sorted(offered)])
        raise ConfigError(f"generator.family is {name!r}, expected one of {known}")
    try:
        found = offered[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the generator {name} of the package that offers it cannot be loaded ({type(error).__name__}): "
            "install what it needs, or mend its entry point"
        ) from error
    if not isinstance(found, Family):
        raise ConfigError(
            f"the entry point {name} is a {type(found).__name__}, expected a Family: mend its package"
        )
    return found
