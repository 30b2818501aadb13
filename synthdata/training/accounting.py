"""How much noise a budget of privacy asks for, and how much of it was spent: Opacus's accountant of Rényi orders."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from synthdata.errors import ConfigError, MissingExtraError

MECHANISM = "rdp"
ORDERS = [*(1 + tenth / 10 for tenth in range(1, 100)), *range(12, 64), 80, 96, 128, 192, 256, 512, 1024]
TOLERANCE = 0.001  # of epsilon, as a share


def accountant_name() -> str:
    """The accountant with its version, as records and datasheets name it."""
    require_opacus()
    return f"RDP (Opacus {version('opacus')})"


def require_opacus() -> None:
    """Raises MissingExtraError where Opacus is not installed."""
    try:
        version("opacus")
    except PackageNotFoundError:
        raise MissingExtraError.of("generator.differential_privacy", "dp") from None


def noise_for(*, epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Standard deviation of the noise over the clip, with which some steps spend at most epsilon.

    Args:
        epsilon: To be spent at most.
        delta: Its probability of failure.
        rate: With which a patient is drawn for a step.
        steps: Planned.

    Raises:
        ConfigError: No noise is enough for the budget.
        MissingExtraError: Opacus is not installed.

    Source:
        Abadi et al., "Deep Learning with Differential Privacy", CCS 2016, arXiv:1607.00133; Mironov, Talwar and
        Zhang, arXiv:1908.10530, section 3.3; from Rényi orders to epsilon: Balle et al., arXiv:1905.09982, theorem 21.
    """
    require_opacus()
    from opacus.accountants.utils import get_noise_multiplier

    with _quiet():
        try:
            return float(
                get_noise_multiplier(
                    target_epsilon=epsilon,
                    target_delta=delta,
                    sample_rate=rate,
                    steps=steps,
                    accountant=MECHANISM,
                    epsilon_tolerance=TOLERANCE * epsilon,
                    alphas=ORDERS,
                )
            )
        except ValueError:
            raise ConfigError(
                f"generator.differential_privacy asks for epsilon {epsilon:g} at delta {delta:g} over {steps} steps, "
                "for which no noise is enough: raise epsilon or delta, or lower generator.seen"
            ) from None


def epsilon_spent(*, sigma: float, delta: float, rate: float, steps: int) -> float:
    """Epsilon after some steps with noise of sigma times the clip; lower is better. Arguments as in `noise_for`."""
    require_opacus()
    from opacus.accountants import create_accountant

    accountant = create_accountant(mechanism=MECHANISM)
    accountant.history = [(sigma, rate, steps)]
    with _quiet():
        return max(0.0, float(accountant.get_epsilon(delta=delta, alphas=ORDERS)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that the best order is the first or the last one: the bound holds, it is only looser."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
