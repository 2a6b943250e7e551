"""The database behind collecting: projects, the work queue, judgments, and the chain of events."""

from accord.store.database.accounts import Account, Accounts, PasswordCost, Role, Session
from accord.store.database.audit import ChainReport, Event, verify_chain
from accord.store.database.engine import Database, open_database
from accord.store.database.projects import NewItem, Projects
from accord.store.database.queue import Assignment, QueueConfig, Receipt, WorkQueue
from accord.store.database.states import AssignmentState, ItemState, Purpose, SlotState

__all__ = [
    "Account",
    "Accounts",
    "Assignment",
    "AssignmentState",
    "ChainReport",
    "Database",
    "Event",
    "ItemState",
    "NewItem",
    "PasswordCost",
    "Projects",
    "Purpose",
    "QueueConfig",
    "Receipt",
    "Role",
    "Session",
    "SlotState",
    "WorkQueue",
    "open_database",
    "verify_chain",
]
