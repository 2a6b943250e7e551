"""How far annotators agree, with intervals, and what that allows any model to reach."""

from accord.quality.agreement.alpha import LEVELS, Level, krippendorff_alpha
from accord.quality.agreement.ceiling import TaskCeiling, measure_ceiling
from accord.quality.agreement.coincidence import coincidence_matrix
from accord.quality.agreement.gwet import gwet_ac
from accord.quality.agreement.icc import FORMS, intraclass_correlations
from accord.quality.agreement.kappa import cohen_kappa, fleiss_kappa, percent_agreement
from accord.quality.agreement.measure import AgreementReport, measure_agreement
from accord.quality.agreement.repeats import AnnotatorConsistency, RepeatReport, measure_repeats
from accord.quality.agreement.resampling import BootstrapConfig
from accord.quality.agreement.result import Agreement
from accord.quality.agreement.weights import CREDITS, Credit, credit_matrix

__all__ = [
    "CREDITS",
    "FORMS",
    "LEVELS",
    "Agreement",
    "AgreementReport",
    "AnnotatorConsistency",
    "BootstrapConfig",
    "Credit",
    "Level",
    "RepeatReport",
    "TaskCeiling",
    "cohen_kappa",
    "coincidence_matrix",
    "credit_matrix",
    "fleiss_kappa",
    "gwet_ac",
    "intraclass_correlations",
    "krippendorff_alpha",
    "measure_agreement",
    "measure_ceiling",
    "measure_repeats",
    "percent_agreement",
]
