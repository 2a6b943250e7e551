"""What labels say together: probabilities of the classes, and a word on every annotator."""

from accord.quality.consensus.annotators import AnnotatorConfusion, annotator_confusions
from accord.quality.consensus.calibration import Calibrator, CalibratorConfig, fit_calibrator
from accord.quality.consensus.choice import METHODS, ConsensusFit, Method, fit_consensus, gold_index
from accord.quality.consensus.dawid_skene import DawidSkeneConfig
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.glad import GladConfig
from accord.quality.consensus.gold_stack import GoldStack, fit_gold_stack
from accord.quality.consensus.kinds import KindsConfig
from accord.quality.consensus.mace import MaceConfig
from accord.quality.consensus.one_coin import OneCoinConfig
from accord.quality.consensus.online import LabelEvent, OnlineConfig, OnlineConsensus
from accord.quality.consensus.reliability import Reliability, measure_reliability
from accord.quality.consensus.result import TIE, Consensus
from accord.quality.consensus.vote import TIE_POLICIES, majority, vote_share

__all__ = [
    "METHODS",
    "TIE",
    "TIE_POLICIES",
    "AnnotatorConfusion",
    "Calibrator",
    "CalibratorConfig",
    "Consensus",
    "ConsensusFit",
    "DawidSkeneConfig",
    "EMConfig",
    "GladConfig",
    "GoldStack",
    "KindsConfig",
    "LabelEvent",
    "MaceConfig",
    "Method",
    "OneCoinConfig",
    "OnlineConfig",
    "OnlineConsensus",
    "Reliability",
    "annotator_confusions",
    "fit_calibrator",
    "fit_consensus",
    "fit_gold_stack",
    "gold_index",
    "majority",
    "measure_reliability",
    "vote_share",
]
