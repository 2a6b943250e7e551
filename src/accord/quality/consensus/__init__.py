"""What labels say together: probabilities of the classes, and a word on every annotator."""

from accord.quality.consensus.annotators import AnnotatorConfusion, annotator_confusions
from accord.quality.consensus.choice import METHODS, ConsensusFit, Method, fit_consensus, gold_index
from accord.quality.consensus.dawid_skene import DawidSkeneConfig
from accord.quality.consensus.em import EMConfig
from accord.quality.consensus.glad import GladConfig
from accord.quality.consensus.kinds import KindsConfig
from accord.quality.consensus.mace import MaceConfig
from accord.quality.consensus.one_coin import OneCoinConfig
from accord.quality.consensus.result import TIE, Consensus
from accord.quality.consensus.vote import TIE_POLICIES, majority, vote_share

__all__ = [
    "METHODS",
    "TIE",
    "TIE_POLICIES",
    "AnnotatorConfusion",
    "Consensus",
    "ConsensusFit",
    "DawidSkeneConfig",
    "EMConfig",
    "GladConfig",
    "KindsConfig",
    "MaceConfig",
    "Method",
    "OneCoinConfig",
    "annotator_confusions",
    "fit_consensus",
    "gold_index",
    "majority",
    "vote_share",
]
