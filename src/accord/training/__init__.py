"""The tensor wing's learning: pure objectives, one loop, stages."""

from accord.training.best_of_n import BestOfNConfig, train_best_of_n
from accord.training.dpo import DpoConfig, train_dpo
from accord.training.grpo import GrpoConfig, train_grpo
from accord.training.kto import KtoConfig, train_kto
from accord.training.loop import OptimizationResult, optimize
from accord.training.metrics import METRICS, Metric, metrics_page
from accord.training.observers import JsonlMetrics, ProgressBar, Recorder, TensorBoard, WandB
from accord.training.online import OnlineResult, train_online
from accord.training.online_config import OnlineConfig
from accord.training.online_dpo import OnlineDpoConfig, train_online_dpo
from accord.training.optimizer import OptimizationConfig
from accord.training.ppo import PpoConfig, train_ppo
from accord.training.precision import Precision, autocast, resolve_precision
from accord.training.reinforce import ReinforceConfig, train_reinforce
from accord.training.reports import EvalReport, Observer, RunStart, StepReport
from accord.training.reward import RewardTrainingConfig, RewardTrainingResult, train_reward_model
from accord.training.rloo import train_rloo
from accord.training.sft import SftConfig, TrainingResult, train_sft
from accord.training.task import LossPart, StopRun, Task, Update

__all__ = [
    "METRICS",
    "BestOfNConfig",
    "DpoConfig",
    "EvalReport",
    "GrpoConfig",
    "JsonlMetrics",
    "KtoConfig",
    "LossPart",
    "Metric",
    "Observer",
    "OnlineConfig",
    "OnlineDpoConfig",
    "OnlineResult",
    "OptimizationConfig",
    "OptimizationResult",
    "PpoConfig",
    "Precision",
    "ProgressBar",
    "Recorder",
    "ReinforceConfig",
    "RewardTrainingConfig",
    "RewardTrainingResult",
    "RunStart",
    "SftConfig",
    "StepReport",
    "StopRun",
    "Task",
    "TensorBoard",
    "TrainingResult",
    "Update",
    "WandB",
    "autocast",
    "metrics_page",
    "optimize",
    "resolve_precision",
    "train_best_of_n",
    "train_dpo",
    "train_grpo",
    "train_kto",
    "train_online",
    "train_online_dpo",
    "train_ppo",
    "train_reinforce",
    "train_reward_model",
    "train_rloo",
    "train_sft",
]
