"""The database behind collecting: projects, the work queue, judgments, and the chain of events."""

from accord.store.database.accounts import Account, Accounts, PasswordCost, Role, Session
from accord.store.database.audit import ChainReport, Event, verify_chain
from accord.store.database.engine import Database, open_database
from accord.store.database.projects import NewItem, Projects
from accord.store.database.queue import Assignment, Done, Follow, Receipt, WorkQueue
from accord.store.database.states import (
    AssignmentState,
    ItemState,
    Lane,
    Mark,
    PersonState,
    Purpose,
    SlotState,
)
from accord.store.database.terms import QueueConfig, Terms

__all__ = [
    "Account",
    "Accounts",
    "Assignment",
    "AssignmentState",
    "ChainReport",
    "Database",
    "Done",
    "Event",
    "Follow",
    "ItemState",
    "Lane",
    "Mark",
    "NewItem",
    "PasswordCost",
    "PersonState",
    "Projects",
    "Purpose",
    "QueueConfig",
    "Receipt",
    "Role",
    "Session",
    "SlotState",
    "Terms",
    "WorkQueue",
    "open_database",
    "verify_chain",
]
