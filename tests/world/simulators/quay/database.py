"""Quay's tables, as far as the API shows them. Times are seconds since the epoch; tokens are kept as they are."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_SCHEMA = """
CREATE TABLE account (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL UNIQUE, email TEXT, password TEXT, enabled INTEGER DEFAULT 1,
  tag_expiration_s INTEGER DEFAULT 1209600, created REAL, invalid_logins INTEGER DEFAULT 0, last_invalid_login REAL DEFAULT 0,
  token TEXT, description TEXT DEFAULT '', metadata TEXT, federation TEXT DEFAULT '[]');
CREATE UNIQUE INDEX user_email_unique_non_org ON account (email) WHERE kind = 'user' AND email IS NOT NULL;
CREATE TABLE team (
  id INTEGER PRIMARY KEY, organization INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, name TEXT NOT NULL,
  role TEXT NOT NULL, description TEXT DEFAULT '', UNIQUE (organization, name));
CREATE TABLE team_member (
  team INTEGER NOT NULL REFERENCES team ON DELETE CASCADE, account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  UNIQUE (team, account));
CREATE TABLE session (
  id TEXT PRIMARY KEY, csrf TEXT NOT NULL, account INTEGER REFERENCES account ON DELETE CASCADE);
CREATE TABLE application (
  client_id TEXT PRIMARY KEY, organization INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, name TEXT NOT NULL,
  description TEXT DEFAULT '', application_uri TEXT DEFAULT '', client_secret TEXT NOT NULL, redirect_uri TEXT DEFAULT '',
  avatar_email TEXT);
CREATE TABLE token (
  uuid TEXT PRIMARY KEY, application TEXT NOT NULL REFERENCES application ON DELETE CASCADE,
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, name TEXT, scope TEXT NOT NULL, secret TEXT NOT NULL UNIQUE,
  created REAL NOT NULL, expires REAL NOT NULL);
CREATE TABLE repository (
  id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, name TEXT NOT NULL,
  description TEXT DEFAULT '', is_public INTEGER NOT NULL, state TEXT DEFAULT 'NORMAL', status_token TEXT NOT NULL,
  UNIQUE (namespace, name));
CREATE TABLE permission (
  repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  account INTEGER REFERENCES account ON DELETE CASCADE, team INTEGER REFERENCES team ON DELETE CASCADE,
  role TEXT NOT NULL, UNIQUE (repository, account), UNIQUE (repository, team));
CREATE TABLE team_invitation (
  team INTEGER NOT NULL REFERENCES team ON DELETE CASCADE, account INTEGER REFERENCES account ON DELETE CASCADE,
  email TEXT, UNIQUE (team, account), UNIQUE (team, email));
CREATE TABLE team_sync (
  team INTEGER PRIMARY KEY REFERENCES team ON DELETE CASCADE, service TEXT NOT NULL, config TEXT NOT NULL);
CREATE TABLE default_permission (
  id TEXT PRIMARY KEY, organization INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, role TEXT NOT NULL,
  activating INTEGER REFERENCES account ON DELETE CASCADE, account INTEGER REFERENCES account ON DELETE CASCADE,
  team INTEGER REFERENCES team ON DELETE CASCADE);
CREATE TABLE quota (
  id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL UNIQUE REFERENCES account ON DELETE CASCADE, bytes INTEGER NOT NULL);
CREATE TABLE quota_limit (
  id INTEGER PRIMARY KEY, quota INTEGER NOT NULL REFERENCES quota ON DELETE CASCADE, type TEXT NOT NULL,
  percent INTEGER NOT NULL);
CREATE TABLE proxy_cache (
  organization INTEGER PRIMARY KEY REFERENCES account ON DELETE CASCADE, upstream TEXT NOT NULL, expiration INTEGER,
  insecure INTEGER, username TEXT, password TEXT);
CREATE TABLE mirror (
  repository INTEGER PRIMARY KEY REFERENCES repository ON DELETE CASCADE, robot INTEGER NOT NULL REFERENCES account,
  status TEXT DEFAULT 'NEVER_RUN', content TEXT NOT NULL);
CREATE TABLE organization_mirror (
  organization INTEGER PRIMARY KEY REFERENCES account ON DELETE CASCADE, robot INTEGER NOT NULL REFERENCES account,
  status TEXT DEFAULT 'NEVER_RUN', created REAL NOT NULL, content TEXT NOT NULL);
CREATE TABLE notification (
  uuid TEXT PRIMARY KEY, repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE, title TEXT,
  event TEXT NOT NULL, method TEXT NOT NULL, config TEXT NOT NULL, event_config TEXT NOT NULL, failures INTEGER DEFAULT 0);
CREATE TABLE policy (
  uuid TEXT PRIMARY KEY, kind TEXT NOT NULL, namespace INTEGER REFERENCES account ON DELETE CASCADE,
  repository INTEGER REFERENCES repository ON DELETE CASCADE, content TEXT NOT NULL);
CREATE TABLE star (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE, UNIQUE (account, repository));
CREATE TABLE manifest (
  repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE, digest TEXT NOT NULL, content TEXT NOT NULL,
  UNIQUE (repository, digest));
CREATE TABLE tag (
  id INTEGER PRIMARY KEY, repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE, name TEXT NOT NULL,
  digest TEXT NOT NULL, begins REAL NOT NULL, ends REAL, immutable INTEGER DEFAULT 0, reversion INTEGER DEFAULT 0);
CREATE TABLE label (
  id TEXT PRIMARY KEY, repository INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE, digest TEXT NOT NULL,
  key TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL, media_type TEXT NOT NULL);
CREATE TABLE message (uuid TEXT PRIMARY KEY, content TEXT NOT NULL, severity TEXT NOT NULL, media_type TEXT NOT NULL);
CREATE TABLE app_token (
  uuid TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE, title TEXT NOT NULL,
  secret TEXT NOT NULL, created REAL NOT NULL);
CREATE INDEX permission_account ON permission (account);
CREATE INDEX permission_team ON permission (team);
CREATE INDEX tag_repository ON tag (repository, name);
CREATE INDEX label_manifest ON label (repository, digest);
CREATE INDEX team_member_account ON team_member (account);
"""


class Database:
    """One Quay's database. Every statement is a transaction of its own, as Quay's are."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = lambda cursor, row: dict(
            zip((column[0] for column in cursor.description), row, strict=True)
        )
        self._connection.executescript("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF;")
        if not self.all("SELECT name FROM sqlite_master"):
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """End."""
        self._connection.close()

    def all(self, statement: str, *values: Any) -> list[Row]:
        """The rows."""
        return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> Row | None:
        """The first row."""
        found: Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def insert(self, table: str, **values: Any) -> int:
        """A new row; its id."""
        marks = ", ".join("?" * len(values))
        text = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
        return int(self._connection.execute(text, tuple(values.values())).lastrowid or 0)

    def update(self, table: str, key: str, of: Any, **values: Any) -> None:
        """Columns of the row with this key."""
        if values:
            marks = ", ".join(f"{column} = ?" for column in values)
            self._connection.execute(f"UPDATE {table} SET {marks} WHERE {key} = ?", (*values.values(), of))

    def delete(self, table: str, key: str, of: Any) -> None:
        """The row with this key, and what hangs on it."""
        self._connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (of,))

    def account(self, name: str, *kinds: str) -> Row | None:
        """A user, organization or robot."""
        found = self.one("SELECT * FROM account WHERE name = ?", name)
        return found if found and (not kinds or found["kind"] in kinds) else None


def hashed(password: str) -> str:
    """How a password is kept (Quay: bcrypt)."""
    return hashlib.sha256(f"quay:{password}".encode()).hexdigest()


def avatar(name: str, kind: str, email: str | None = None) -> Row:
    """A coloured letter."""
    return {
        "name": name,
        "hash": hashlib.sha256((email or name).encode()).hexdigest(),
        "color": "#e7ba52",
        "kind": kind,
    }
