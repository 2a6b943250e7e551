"""Tables of people: how they come in, what they can, what they have read and agreed to, what is secret.

What somebody says of himself is kept encrypted under a key of his own; destroying that key is forgetting him,
and everything that others rest on keeps its ids. Acknowledgements are written once.
"""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from accord.store.database.tables import HASH, ID, UNCHANGING, WORD, metadata

invitation = Table(
    "invitation",
    metadata,
    Column("token_hash", HASH, primary_key=True),
    Column("project_id", ID, nullable=False),
    Column("role", WORD, nullable=False),
    Column("skills", JSON, nullable=False),
    Column("created_by", ID, ForeignKey("user.id"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=True),
    Column("user_id", ID, ForeignKey("user.id"), nullable=True),
)
"""A link that makes one account, once; only its hash is kept. An empty project stands for all."""

user_skill = Table(
    "user_skill",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("skill", String(60), primary_key=True),
    Column("source", WORD, primary_key=True),
    Column("level", Integer, nullable=False),
    Column("granted_by", String(100), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=True),
)
"""What somebody can, how well, and who says so: he himself, a test, or a lead."""

acknowledgement = Table(
    "guideline_ack",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("definition_id", ID, ForeignKey("definition.id"), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
)
"""Who has read which version of a guideline."""

consent = Table(
    "consent",
    metadata,
    Column("id", ID, primary_key=True),
    Column("user_id", ID, ForeignKey("user.id"), nullable=False),
    Column("definition_id", ID, ForeignKey("definition.id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("withdrawn_ms", BigInteger, nullable=True),
    Index("ix_consent_person", "user_id", "definition_id"),
)
"""Who agreed to which version of a project's terms, and until when."""

user_key = Table(
    "user_key",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("wrapped", Text, nullable=False),
)
"""The key of what somebody said of himself, itself encrypted with the key file of the workspace."""

attribute = Table(
    "attribute",
    metadata,
    Column("user_id", ID, ForeignKey("user.id"), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
"""What somebody said of himself, encrypted."""

calibration = Table(
    "calibration",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ID, ForeignKey("project.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("n_people", Integer, nullable=False),
    Column("guideline_id", ID, ForeignKey("definition.id"), nullable=True),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True),
    Column("next_guideline_id", ID, ForeignKey("definition.id"), nullable=True),
)
"""A round in which the same people judge the same items, to see where they read the guideline differently."""

calibration_item = Table(
    "calibration_item",
    metadata,
    Column("calibration_id", ID, ForeignKey("calibration.id"), primary_key=True),
    Column("item_id", ID, ForeignKey("item.id"), primary_key=True),
)

UNCHANGING += [acknowledgement]
