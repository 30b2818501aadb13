"""A number that a person decides on never travels without its interval."""

import math
from dataclasses import dataclass

from synthdata.errors import ConfigError
from synthdata.records.codec import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate(Record):
    """A value with its interval."""

    value: float
    low: float  # lower end of the interval
    high: float  # upper end of the interval
    level: float = 0.95  # nominal cover of the interval
    n: int  # independent units behind it (patients, not images)

    def __post_init__(self) -> None:
        if math.isnan(self.value) or not self.low <= self.high or not 0 < self.level < 1 or self.n < 0:
            raise ConfigError(
                f"estimate has value {self.value} and interval [{self.low}, {self.high}] at level {self.level} with n "
                f"{self.n}: expected a number, low <= high, 0 < level < 1 and n >= 0"
            )

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"
