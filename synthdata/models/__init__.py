"""Generators: one protocol, one explicit table."""

from importlib import import_module

from synthdata.errors import ConfigError
from synthdata.models.protocol import ChannelMap, Family, Generator, Geometry

GENERATORS = {  # name -> module with FAMILY
    "flow": "synthdata.models.flow",
    "gan": "synthdata.models.gan",
    "translation": "synthdata.models.translation",
    "vae": "synthdata.models.vae",
}

__all__ = ["GENERATORS", "ChannelMap", "Family", "Generator", "Geometry", "family_of"]


def family_of(name: str) -> Family:
    """Row of the table. Raises ConfigError for a name that is not in it."""
    if name not in GENERATORS:
        raise ConfigError(f"generator.family is {name!r}, expected one of {', '.join(GENERATORS)}")
    family: Family = import_module(GENERATORS[name]).FAMILY
    return family
