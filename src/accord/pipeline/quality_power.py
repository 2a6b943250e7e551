"""What is to be measured, from a few plain numbers."""

from typing import Literal

from accord.domain import ConfigError
from accord.quality.deciding import AccuracyDesign, AlphaDesign, Design, WinRateDesign
from accord.quality.simulation import CrowdConfig

SKILL_STRENGTH = 8.5
"""How alike annotators are: a + b of the Beta distribution of their accuracies."""


def power_design(
    measure: Literal["win_rate", "alpha", "accuracy"] | str,
    *,
    share: float = 0.5,
    correlation: float = 0.3,
    skill: float = 0.7,
    annotators: int = 50,
    classes: int = 2,
) -> Design:
    """The design of a win rate, or of alpha or accuracy of a crowd of mean accuracy `skill`."""
    if measure == "win_rate":
        return WinRateDesign(share=share, item_correlation=correlation)
    if not 0 < skill < 1:
        raise ConfigError("power", [f"skill is {skill}, expected between 0 and 1"])
    crowd = CrowdConfig(
        n_annotators=annotators,
        n_classes=classes,
        skill_alpha=SKILL_STRENGTH * skill,
        skill_beta=SKILL_STRENGTH * (1 - skill),
    )
    return AlphaDesign(crowd=crowd) if measure == "alpha" else AccuracyDesign(crowd=crowd)
