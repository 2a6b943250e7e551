"""What sways annotators beside content, and whom quality control treats differently."""

from accord.quality.bias.covariates import COVARIATES, describe_answer, side_differences
from accord.quality.bias.effects import POSITION, Effect, EffectConfig, EffectFit, fit_effects
from accord.quality.bias.exclusion import (
    ExclusionConfig,
    ExclusionVerdict,
    GroupExclusion,
    compare_exclusion,
)
from accord.quality.bias.multiplicity import (
    adjust_benjamini_hochberg,
    adjust_benjamini_yekutieli,
    adjust_holm,
)
from accord.quality.bias.varying import GroupEffect, VaryingEffect, fit_varying_effect

__all__ = [
    "COVARIATES",
    "POSITION",
    "Effect",
    "EffectConfig",
    "EffectFit",
    "ExclusionConfig",
    "ExclusionVerdict",
    "GroupEffect",
    "GroupExclusion",
    "VaryingEffect",
    "adjust_benjamini_hochberg",
    "adjust_benjamini_yekutieli",
    "adjust_holm",
    "compare_exclusion",
    "describe_answer",
    "fit_effects",
    "fit_varying_effect",
    "side_differences",
]
