"""How far a policy may move from its reference: a coefficient that follows the measured KL, and a budget.

Both read the KL of whole rollouts, summed over micro-batches and ranks by the loop.
"""

import math
from dataclasses import dataclass

from accord.training.task import StopRun

ERROR_BOUND = 0.2
"""The relative error of one rollout's KL is cut to +-0.2 (Ziegler et al. 2019, section 2.2)."""


@dataclass(frozen=True, kw_only=True)
class KlControl:
    """What finished rollouts left behind: the coefficient of the penalty and the KL it was measured at."""

    coefficient: float
    """Beta of the next rollout."""
    measured: float = 0.0
    """KL of the last rollout, nats a completion."""

    def check(self, limit: float | None) -> None:
        """Raise StopRun when the last rollout was over the budget `limit`."""
        if limit is not None and self.measured > limit:
            raise StopRun(f"KL of {self.measured:.3f} nats a completion is over max_kl = {limit:g}")

    def after(self, kl: float, *, target: float | None, gain: float) -> "KlControl":
        """The control after a rollout of this KL; a number that is not finite changes nothing.

            error = clip((KL - target) / target, -0.2, 0.2);  beta <- beta (1 + gain error)

        Ziegler et al. 2019 (1909.08593), section 2.2, with gain K_beta = 0.1 there. Their later code
        scales the gain by batch size over a horizon of 10,000 episodes; here a rollout is one step of the
        controller whatever its size. Without a target the coefficient stays as it is.
        """
        if not math.isfinite(kl):
            return self
        factor = 1.0
        if target is not None:
            error = min(max((kl - target) / target, -ERROR_BOUND), ERROR_BOUND)
            factor = 1.0 + gain * error
        return KlControl(coefficient=self.coefficient * factor, measured=kl)
