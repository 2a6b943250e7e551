"""The database behind collecting: projects, the work queue, judgments, and the chain of events.

engine, versions     opening it, transactions, bringing it up to date by the steps in `migrations`
tables               the core path; workflow_tables, people_tables, live_tables, upkeep_tables: the rest
projects, copying    setting work out, many rows at once
queue, slots         who judges what next, and what comes of it; `terms` say how, `states` what may follow
hidden               known items and silent repeats
reviews, live        second looks; turns of conversations with models
accounts, identities, people, settings, vault
                     who may come in, from where, what he can, how he wants his pages, what he said of himself
audit, recall        the chain of events, and judgments that count no longer
tally                counters that pages read; `repeats`: requests that come twice
consistency          whether rows keep what is promised, told by `findings`; `backup`: all in one file
"""

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
