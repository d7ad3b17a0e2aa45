"""What `tallybook roles` prints, run on a PostgreSQL: the owner migrates, the writer adds, the reader reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import errors, sql

from acceptance.running import Home, ago, run, serving
from stories import NOW, YESTERDAY
from tallybook.book.guards import GUARDED
from tallybook.book.ledger import Book
from tallybook.book.roles import TABLES, statements
from tallybook.content import empty_content
from tallybook.errors import BookError, UsageError

Row = tuple[Any, ...]

READS, ADDS, CHANGES_NOTES = {"SELECT"}, {"SELECT", "INSERT"}, {"SELECT", "INSERT", "UPDATE", "DELETE"}
MAY_WRITE = {
    "book": READS,
    "closings": ADDS,
    "daily_stats": ADDS,
    "daily_slices": ADDS,
    "daily_histograms": ADDS,
    "adjustments": ADDS,
    "reconciliations": CHANGES_NOTES,
    "comparisons": CHANGES_NOTES,
    "prunings": ADDS,
    "tokens": {"SELECT", "INSERT", "UPDATE"},
    "alembic_version": READS,
}
MAY_READ = {table: READS for table in MAY_WRITE if table != "tokens"}

LATEST_MIGRATION_UNDONE = (
    "DROP TABLE reconciliations, comparisons, prunings",
    "ALTER TABLE closings DROP COLUMN schema_version",
    "ALTER TABLE adjustments DROP COLUMN schema_version, DROP COLUMN dimensions, "
    "DROP COLUMN prices, DROP COLUMN payload_version",
    "UPDATE alembic_version SET version_num = '0004'",
)
"""What makes an administrator's book one of the version before."""


@dataclass(frozen=True)
class Database:
    """A book in PostgreSQL of which an administrator made the roles; each has a member that logs in."""

    administrator: str
    name: str
    schema: str = "public"

    def role(self, kind: str) -> str:
        """The role of the owner, the writer or the reader."""
        return f"{self.name} {kind}"

    def url(self, kind: str) -> str:
        """Where the member of that role, or somebody who is a member of none, finds the book."""
        return self.administrator.replace("//postgres:@", f"//{self.name}_{kind}@")

    def script(self) -> str:
        """What the command prints for these roles."""
        named = [word for kind in ("owner", "writer", "reader") for word in (f"--{kind}", self.role(kind))]
        printed = run("roles", *named, "--schema", self.schema)
        assert (printed.code, printed.err) == (0, "")
        return printed.out

    def administer(self, *given: str) -> None:
        """Runs statements as the administrator, in one transaction."""
        with psycopg.connect(self.administrator) as connection:
            for statement in given:
                connection.execute(statement.encode())

    def ask(self, kind: str, *given: str) -> list[Row]:
        """Runs statements as that member, in one transaction; the rows of the last."""
        with psycopg.connect(self.url(kind)) as connection:
            for statement in given:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def refusal(self, kind: str, *given: str) -> str:
        """What the database says to that member when it refuses the last of the statements."""
        with pytest.raises(psycopg.Error) as refused:
            self.ask(kind, *given)
        return str(refused.value.diag.message_primary)

    def rights(self, grantee: str) -> dict[str, set[str]]:
        """What was granted to a role, or to everybody, by table; a right to a column is one to its table."""
        query = "SELECT table_name, privilege_type FROM information_schema.{} WHERE table_schema = %s AND grantee = %s"
        found: dict[str, set[str]] = {}
        with psycopg.connect(self.administrator) as connection:
            for view in ("table_privileges", "column_privileges"):
                for table, right in connection.execute(query.format(view).encode(), [self.schema, grantee]):
                    found.setdefault(table, set()).add(right)
        return found

    def owners(self) -> set[str]:
        """Who owns the tables and the function behind the guards."""
        query = (
            "SELECT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE relkind = 'r' AND nspname = %(in)s "
            "UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'tallybook_refuse'"
        )
        with psycopg.connect(self.administrator) as connection:
            return {owner for (owner,) in connection.execute(query.encode(), {"in": self.schema})}


def make_members(database: Database) -> None:
    """As the first lines of what the command prints tell it, and somebody who is a member of none."""
    for kind in ("owner", "writer", "reader"):
        database.administer(f'CREATE ROLE {database.name}_{kind} LOGIN IN ROLE "{database.role(kind)}"')
    database.administer(
        f"ALTER ROLE {database.name}_owner SET role = '{database.role('owner')}'",
        f"CREATE ROLE {database.name}_stranger LOGIN",
    )


def drop_roles(database: Database) -> None:
    """Roles outlive their database, so the next test on this server would find them."""
    with psycopg.connect(database.administrator) as connection:
        made = connection.execute("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [database.name])
        for (role,) in made.fetchall():
            name = sql.Identifier(role)
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO postgres").format(name))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


def assert_as_made(database: Database) -> None:
    """The owner owns the book; the others have what they need and no more; everybody else has nothing."""
    assert database.owners() == {database.role("owner")}
    assert database.rights(database.role("writer")) == MAY_WRITE
    assert database.rights(database.role("reader")) == MAY_READ
    assert database.rights("PUBLIC") == {}


def assert_a_stranger_makes_nothing(database: Database) -> None:
    """Neither a table beside the book's, nor a trigger of its own that calls the function behind the guards."""
    assert database.refusal("stranger", "CREATE TABLE own ()") == "permission denied for schema public"
    trigger = "CREATE TRIGGER own BEFORE INSERT ON pg_temp.own EXECUTE FUNCTION tallybook_refuse()"
    said = database.refusal("stranger", "CREATE TEMP TABLE own ()", trigger)
    assert said == "permission denied for function tallybook_refuse"


@pytest.fixture
def unmigrated(postgres_url: str) -> Iterator[Database]:
    """A database without a book; whatever roles a test makes for it are gone afterwards."""
    found = re.search(r"/(t\d+_\d+)\?", postgres_url)
    assert found
    database = Database(postgres_url, found[1])
    yield database
    drop_roles(database)


@pytest.fixture
def database(unmigrated: Database) -> Database:
    """A book with one day, and its roles."""
    book = Book.open(unmigrated.administrator, NOW)
    book.append("local", empty_content(YESTERDAY), NOW)
    book.close()
    unmigrated.administer(unmigrated.script())
    make_members(unmigrated)
    return unmigrated


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


class TestTheRoles:
    def test_they_are_groups_that_cannot_log_in(self, database: Database) -> None:
        names = [database.role(kind) for kind in ("owner", "writer", "reader")]
        query = "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)"
        with psycopg.connect(database.administrator) as connection:
            found = connection.execute(query, [names]).fetchall()
        assert sorted(found) == sorted((name, False, False, False) for name in names)

    def test_each_has_what_it_needs_and_no_more(self, database: Database) -> None:
        assert_as_made(database)

    def test_again_they_are_the_same_and_what_was_granted_besides_is_gone(self, database: Database) -> None:
        writer, reader = (f'"{database.role(kind)}"' for kind in ("writer", "reader"))
        database.administer(
            f"GRANT ALL ON closings TO {writer}",
            f"GRANT UPDATE (requests) ON daily_stats TO {writer}",
            f"GRANT SELECT, INSERT ON tokens TO {reader}",
            "GRANT SELECT, DELETE ON adjustments TO PUBLIC",
            "GRANT UPDATE (records) ON closings TO PUBLIC",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "GRANT EXECUTE ON FUNCTION tallybook_refuse() TO PUBLIC",
            "ALTER TABLE closings OWNER TO postgres",
            "ALTER FUNCTION tallybook_refuse() OWNER TO postgres",
        )
        assert database.rights("PUBLIC") == {"adjustments": {"SELECT", "DELETE"}, "closings": {"UPDATE"}}
        database.administer(database.script())
        assert_as_made(database)
        assert database.ask("reader", "SELECT count(*) FROM closings") == [(1,)]
        assert_a_stranger_makes_nothing(database)

    def test_who_is_a_member_of_none_may_do_nothing(self, database: Database) -> None:
        for table in TABLES:
            assert database.refusal("stranger", f"SELECT FROM {table}") == f"permission denied for table {table}"
        assert_a_stranger_makes_nothing(database)

    def test_before_the_first_migration_nothing_is_made(self, unmigrated: Database) -> None:
        with pytest.raises(errors.UndefinedFunction, match=r"tallybook_refuse\(\) does not exist"):
            unmigrated.administer(unmigrated.script())
        with psycopg.connect(unmigrated.administrator) as connection:
            left = connection.execute("SELECT FROM pg_roles WHERE starts_with(rolname, %s)", [unmigrated.name])
            assert left.fetchall() == []

    def test_in_a_schema_with_a_name_that_must_be_quoted(self, unmigrated: Database) -> None:
        """The connection names the schema, as the book's URL may."""
        quoted = '"our ""books"""'
        unmigrated.administer(f"CREATE SCHEMA {quoted}")
        place = "&options=" + quote(f"-csearch_path={quoted}".replace(" ", r"\ "))
        Book.open(unmigrated.administrator + place, NOW).close()
        database = Database(unmigrated.administrator + place, unmigrated.name, 'our "books"')
        database.administer(database.script())
        make_members(database)
        assert database.owners() == {database.role("owner")}
        book = Book.open(database.url("writer"), NOW)
        book.append("local", empty_content(YESTERDAY), NOW)
        book.close()
        assert database.refusal("writer", "DELETE FROM closings") == "permission denied for table closings"

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("o", "w", "w"), "Owner, writer and reader must be three roles."),
            (("public", "w", "r"), "'public' cannot be the name of a role: PostgreSQL keeps it for itself."),
            (("o", "none", "r"), "'none' cannot be the name of a role: PostgreSQL keeps it for itself."),
            (("o", "w", "pg_monitor"), "'pg_monitor' cannot be the name of a role: PostgreSQL keeps it for itself."),
            (("", "w", "r"), "'' cannot be a name in PostgreSQL."),
            (("o", "w\n", "r"), "'w\\n' cannot be a name in PostgreSQL."),
            (("o", "w", "r", ""), "'' cannot be a name in PostgreSQL."),
            (("o", "w", "ä" * 32), "'" + "ä" * 32 + "' cannot be a name in PostgreSQL."),
        ],
    )
    def test_a_name_that_postgresql_would_take_for_something_else_is_refused(
        self, names: Sequence[str], message: str
    ) -> None:
        with pytest.raises(UsageError) as refused:
            statements(*names)
        assert refused.value.message == message

    def test_a_name_of_all_the_bytes_that_there_are_is_one(self) -> None:
        assert any(f'"{"ä" * 31}r"' in statement for statement in statements("o", "w", "ä" * 31 + "r"))


class TestTheOwner:
    def test_it_migrates_and_puts_guards_up_again(self, database: Database, home: Home) -> None:
        database.administer("ALTER TABLE closings DISABLE TRIGGER guard_closings_update")
        as_writer = home.run("migrate", "--book", database.url("writer"))
        assert as_writer.failed_plainly(1).startswith("The book's database refused: ")
        as_owner = ("migrate", "--book", database.url("owner"))
        assert home.ask(*as_owner) == {"schema_version": "0005", "guards_restored": ["closings: UPDATE"]}
        assert home.ask(*as_owner) == {"schema_version": "0005", "guards_restored": []}
        assert database.owners() == {database.role("owner")}

    def test_what_a_later_migration_makes_is_its_own_until_the_roles_are_made_again(
        self, database: Database, home: Home
    ) -> None:
        database.administer(*LATEST_MIGRATION_UNDONE)
        with pytest.raises(BookError):
            Book.open(database.url("writer"), NOW)
        home.do("migrate", "--book", database.url("owner"))
        assert database.owners() == {database.role("owner")}
        assert database.ask("writer", "SELECT count(*) FROM closings") == [(1,)]
        assert database.refusal("writer", "SELECT FROM prunings") == "permission denied for table prunings"
        database.administer(database.script())
        assert_as_made(database)

    @pytest.mark.parametrize("table", GUARDED)
    def test_the_guards_refuse_it_as_everybody_until_it_takes_them_down(self, database: Database, table: str) -> None:
        assert database.refusal("owner", f"TRUNCATE {table}").startswith(f"{table}: ")
        down = f"ALTER TABLE {table} DISABLE TRIGGER guard_{table}_truncate"
        assert database.ask("owner", down, f"TRUNCATE {table}") == []

    def test_it_is_no_superuser(self, database: Database) -> None:
        said = database.refusal("owner", "SET session_replication_role = replica")
        assert said == 'permission denied to set parameter "session_replication_role"'

    def test_that_it_owns_them_lets_no_superuser_past_the_guards(self, database: Database) -> None:
        replica = "SET session_replication_role = replica"
        with pytest.raises(errors.RestrictViolation, match="a closed day is never changed"):
            database.administer(replica, "UPDATE closings SET records = 7")
        book = Book.open(database.url("owner"), NOW)
        assert book.missing_guards() == []
        book.close()


class TestTheWriter:
    def test_it_does_all_that_a_server_does(self, database: Database, home: Home) -> None:
        """Collects, closes, adjusts, prunes, makes tokens, notes their use and revokes them."""
        url = ("--book", database.url("writer"))
        first, second = ago(4), ago(3)
        lines = [f"{day}T10:00:00Z,gpt-5,200,5" for day in (first, first, second)]
        columns = "created_at,model_name,status_code,tokens_in"
        home.do("import", home.file("days.csv", columns, *lines), *url)
        with serving(home, *url) as server:
            closed = server.post("/v1/backfill", {"from": first, "to": second})["results"]
            assert [(result["day"], result["requests"]) for result in closed] == [(first, 2), (second, 1)]
            late = {"created_at": f"{second}T11:00:00Z", "model_name": "gpt-5", "status_code": 200}
            assert server.post("/v1/log-records", [late])["accepted"] == 1
            assert [entry["day"] for entry in home.ask("reconcile", "--post", *url)["results"]] == [second]
            token = home.ask("token", "create", "--role", "read", *url)
            server.http.headers["authorization"] = f"Bearer {token['token']}"
            assert server.get("/v1/stats", **{"from": first, "to": second})["totals"]["requests"] == 4
            assert home.ask("prune", "--before", second, *url)["deleted_records"] == 2
            home.do("token", "revoke", token["id"], *url)
            told = [line for line in server.log_lines() if line["level"] in ("warning", "error")]
            assert told == []
        assert database.ask("reader", "SELECT source, day, records FROM prunings") == [("local", first, 2)]
        verified = home.ask("verify", "--anchor", str(home.path / "anchors.log"), *url)
        assert (verified["verdict"], verified["adjustments"]) == ("intact", 1)

    @pytest.mark.parametrize("table", GUARDED)
    def test_what_is_there_is_not_even_left_to_the_guards(self, database: Database, table: str) -> None:
        first = "created_at" if table == "book" else "source"
        for statement in (f"UPDATE {table} SET {first} = {first}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            assert database.refusal("writer", statement) == f"permission denied for table {table}"

    @pytest.mark.parametrize(
        ("table", "key", "column"),
        [
            ("closings", "seq", "records"),
            ("daily_stats", "source, date", "requests"),
            ("daily_slices", "source, date, position", "requests"),
            ("daily_histograms", "source, date, position", "histogram"),
            ("adjustments", "seq", "reason"),
            ("prunings", "source, day", "records"),
        ],
    )
    def test_an_upsert_is_refused_and_leaving_what_is_there_is_none(
        self, database: Database, table: str, key: str, column: str
    ) -> None:
        insert = f"INSERT INTO {table} SELECT * FROM {table} WHERE false ON CONFLICT ({key}) DO "
        assert database.ask("writer", f"{insert} NOTHING") == []
        said = database.refusal("writer", f"{insert} UPDATE SET {column} = excluded.{column}")
        assert said == f"permission denied for table {table}"

    @pytest.mark.parametrize("table", GUARDED)
    def test_it_takes_no_guard_down(self, database: Database, table: str) -> None:
        guard = f"guard_{table}_update"
        for statement, said in (
            (f"ALTER TABLE {table} DISABLE TRIGGER {guard}", f"must be owner of table {table}"),
            (f"ALTER TABLE {table} DISABLE TRIGGER ALL", f"must be owner of table {table}"),
            (f"DROP TRIGGER {guard} ON {table}", f"must be owner of relation {table}"),
            (f"ALTER TABLE {table} RENAME TO other", f"must be owner of table {table}"),
            (f"DROP TABLE {table}", f"must be owner of table {table}"),
        ):
            assert database.refusal("writer", statement) == said

    def test_it_finds_no_other_way(self, database: Database) -> None:
        owner = database.role("owner")
        parameter = 'permission denied to set parameter "session_replication_role"'
        for statement, said in (
            ("SET session_replication_role = replica", parameter),
            (f'SET ROLE "{owner}"', f'permission denied to set role "{owner}"'),
            ("CREATE TABLE own ()", "permission denied for schema public"),
            ("DROP FUNCTION tallybook_refuse() CASCADE", "must be owner of function tallybook_refuse"),
            ("ALTER FUNCTION tallybook_refuse() SECURITY DEFINER", "must be owner of function tallybook_refuse"),
            ("INSERT INTO book SELECT 2, book_id, created_at FROM book", "permission denied for table book"),
            ("UPDATE alembic_version SET version_num = '0004'", "permission denied for table alembic_version"),
            ("DELETE FROM tokens", "permission denied for table tokens"),
        ):
            assert database.refusal("writer", statement) == said


class TestTheReader:
    def test_it_answers_what_the_writer_answers(self, database: Database, home: Home, tmp_path: Path) -> None:
        elsewhere = Home(tmp_path / "elsewhere")
        day = str(YESTERDAY)
        for words in (("verify",), ("stats", day), ("adjustments",)):
            as_reader = elsewhere.ask(*words, "--book", database.url("reader"))
            assert as_reader == home.ask(*words, "--book", database.url("writer"))
        verified = elsewhere.ask("verify", "--book", database.url("reader"))
        assert (verified["verdict"], verified["closings"], verified["unguarded"]) == ("intact", 1, [])

    def test_it_writes_nothing(self, database: Database) -> None:
        for table in TABLES:
            for statement in (f"INSERT INTO {table} DEFAULT VALUES", f"DELETE FROM {table}", f"TRUNCATE {table}"):
                assert database.refusal("reader", statement) == f"permission denied for table {table}"
        assert database.refusal("reader", "CREATE TABLE own ()") == "permission denied for schema public"

    def test_it_sees_no_token(self, database: Database, home: Home) -> None:
        assert database.refusal("reader", "SELECT FROM tokens") == "permission denied for table tokens"
        listed = home.run("token", "list", "--book", database.url("reader"))
        assert listed.failed_plainly(1).startswith("The book's database refused: permission denied for table tokens.")
