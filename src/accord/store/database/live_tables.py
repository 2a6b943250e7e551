"""Tables of conversations with live models, and of those who sign in through another service.

A turn keeps what was written before any model is asked, so that a model that does not answer loses nothing.
Leaves out what the answers were: they are items of their own, judged like any other.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from accord.store.database.tables import HASH, ID, metadata

live_turn = Table(
    "live_turn",
    metadata,
    Column("id", ID, primary_key=True),
    Column("conversation_id", ID, ForeignKey("item.id"), nullable=False),
    Column("user_id", ID, ForeignKey("user.id"), nullable=False),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("key", String(200), nullable=False),
    Column("said_ms", BigInteger, nullable=False),
    Column("n_failures", Integer, nullable=False, server_default="0"),
    Column("failure", String(300), nullable=False, server_default=""),
    Column("item_id", ID, ForeignKey("item.id"), nullable=True, index=True),
    Column("assignment_id", ID, ForeignKey("assignment.id"), nullable=True),
    UniqueConstraint("conversation_id", "user_id", "number"),
    UniqueConstraint("user_id", "key"),
)
"""What somebody wrote as the turn `number` of a conversation (an item), and the item its answers became. It
belongs to the person and the conversation, so that a lost lease loses no turn."""

identity = Table(
    "identity",
    metadata,
    Column("issuer", String(300), primary_key=True),
    Column("subject", String(300), primary_key=True),
    Column("user_id", ID, ForeignKey("user.id"), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
)
"""Who somebody is at another service; names there may change, its subject does not."""

sign_in = Table(
    "sign_in",
    metadata,
    Column("state_hash", HASH, primary_key=True),
    Column("browser_hash", HASH, nullable=False),
    Column("nonce", String(100), nullable=False),
    Column("verifier", String(200), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
"""A way to another service that somebody has begun; taken once, in the browser that began it."""
