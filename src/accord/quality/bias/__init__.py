"""What sways annotators beside content, and whom quality control treats differently."""

from accord.quality.bias.covariates import COVARIATES, describe_answer, side_differences
from accord.quality.bias.effects import POSITION, Effect, EffectConfig, EffectFit, fit_effects
from accord.quality.bias.exclusion import (
    ExclusionConfig,
    ExclusionVerdict,
    GroupExclusion,
    compare_exclusion,
)
from accord.quality.bias.group_means import GroupMean, GroupMeans, measure_group_means
from accord.quality.bias.groups import GroupAgreement, PermutationConfig, compare_groups
from accord.quality.bias.mixed_model import MixedModelFit, fit_mixed_model
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
    "GroupAgreement",
    "GroupEffect",
    "GroupExclusion",
    "GroupMean",
    "GroupMeans",
    "MixedModelFit",
    "PermutationConfig",
    "VaryingEffect",
    "adjust_benjamini_hochberg",
    "adjust_benjamini_yekutieli",
    "adjust_holm",
    "compare_exclusion",
    "compare_groups",
    "describe_answer",
    "fit_effects",
    "fit_mixed_model",
    "fit_varying_effect",
    "measure_group_means",
    "side_differences",
]
