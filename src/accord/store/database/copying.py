"""Many rows into PostgreSQL by its COPY: an import is several times as fast as by statements with values.

Rows go as text, as PostgreSQL's manual describes it under COPY, text format. Leaves out SQLite, which takes
many rows of one statement well.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Connection, Table, text

FROM_ROWS = 100
"""Rows from which on COPY is worth its own round trip."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def copy_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows, which have the same columns, into a table within the caller's transaction."""
    names = list(rows[0])
    are_json = [isinstance(table.c[name].type, JSON) for name in names]
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    statement = f"COPY {quote(table.name)} ({columns}) FROM STDIN"
    data = "".join(
        "\t".join(_field(row[name], is_json=is_json) for name, is_json in zip(names, are_json, strict=True))
        + "\n"
        for row in rows
    )
    cursor: Any = connection.connection.cursor()
    try:
        if connection.dialect.driver == "pg8000":
            cursor.execute(statement, stream=io.BytesIO(data.encode()))
        else:
            with cursor.copy(statement) as writer:
                writer.write(data)
    finally:
        cursor.close()


def copy_new_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same, leaving rows alone whose key is there already: by way of a table that ends with the
    transaction."""
    quote = connection.dialect.identifier_preparer.quote
    own = f"incoming_{table.name}"
    like = f"(LIKE {quote(table.name)}) ON COMMIT DELETE ROWS"
    connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {quote(own)} {like}"))
    connection.execute(text(f"TRUNCATE {quote(own)}"))
    there = table.to_metadata(type(table.metadata)(), name=own)
    copy_rows(connection, there, rows)
    columns = ", ".join(quote(name) for name in rows[0])
    connection.execute(
        text(
            f"INSERT INTO {quote(table.name)} ({columns}) SELECT {columns} FROM {quote(own)} "
            f"ON CONFLICT DO NOTHING"
        )
    )


def _field(value: Any, *, is_json: bool) -> str:
    if is_json:
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).translate(_ESCAPES)
