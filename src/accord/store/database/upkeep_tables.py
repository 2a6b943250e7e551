"""Tables of what the server keeps for its own sake: requests it answered, counters, places in the chain.

Nothing here is anybody's evidence: answers go when their time is over, and the rest can be made anew.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from accord.store.database.tables import HASH, ID, WORD, metadata

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

tally = Table(
    "tally",
    metadata,
    Column("project_id", ID, ForeignKey("project.id"), primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("n", BigInteger, nullable=False),
)
"""How much there is of what in a project, so that no page counts rows; moved with what it counts."""

stream = Table(
    "stream",
    metadata,
    Column("project_id", ID, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Which events of the chain are judgments of a project: reading on costs what there is to read, however much
else happened in the store since."""
