"""Tables of what the server keeps for its own sake, such as requests answered, that a repeat be no second.

Nothing here is anybody's evidence: rows are deleted when their time is over.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from accord.store.database.tables import HASH, ID, metadata

answered = Table(
    "answered_request",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("key_hash", HASH, primary_key=True),
    Column("fingerprint", HASH, nullable=False),
    Column("answer", Text, nullable=False),
    Column("route", String(300), nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)
"""A request under its sender's own key, and what it was answered; sealed so that only the session or token
that asked can read it."""
