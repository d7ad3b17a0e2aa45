"""Access tokens: their form, what is kept of them, and how long they let anyone in."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories import NOW, fetch
from tallybook.book.ledger import Book
from tallybook.errors import UsageError
from tallybook.tokens import Role, Token, hash_token, id_of, new_token, read_bearer

SHOWN = "tb_0123456789ab_" + "c0ffee00" * 8
KEPT = Token("0123456789ab", Role.READ, "grafana", hash_token(SHOWN), "2026-11-23T01:00:00Z")


class TestAToken:
    def test_has_a_public_id_and_256_random_bits(self) -> None:
        text, token = new_token(Role.INGEST, "litellm", NOW)
        found = re.fullmatch(r"tb_([0-9a-f]{12})_([0-9a-f]{64})", text)
        assert found
        assert token.as_json() == {
            "id": found[1],
            "role": "ingest",
            "name": "litellm",
            "created_at": "2026-11-23T01:00:00Z",
            "last_used_on": None,
            "revoked_at": None,
        }
        others = [new_token(Role.INGEST, None, NOW)[0] for _ in range(1_000)]
        assert len({text, *others}) == 1_001
        assert len({other[-64:] for other in others}) == 1_000

    def test_is_kept_as_its_sha_256(self) -> None:
        assert hash_token("tb_0123456789ab_c0ffee") == (
            "cedfca82db1f6f3d11bf80263b8d0ada66f8759761203449c526f43cdd0968cd"
        )
        text, token = new_token(Role.READ, None, NOW)
        assert token.hash == hashlib.sha256(text.encode()).hexdigest()

    def test_shows_neither_itself_nor_its_hash(self) -> None:
        text, token = new_token(Role.ADMIN, "ops", NOW)
        shown = f"{token} {token!r} {token.as_json()}"
        assert text[-64:] not in shown
        assert token.hash not in shown

    @pytest.mark.parametrize("name", ["a", "Ann's laptop, zum Überblick", "n" * 64])
    def test_may_have_a_name(self, name: str) -> None:
        assert new_token(Role.READ, name, NOW)[1].name == name

    @pytest.mark.parametrize("name", ["", "  ", "n" * 65, "two\nlines", "\x1b[31mred", "nul\0"])
    def test_has_no_name_that_cannot_be_shown(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"The token's name cannot be kept\.") as refused:
            new_token(Role.READ, name, NOW)
        assert refused.value.remedy == "Give 1 to 64 printable characters, or leave --name out."


class TestLettingIn:
    def test_the_token_itself_and_no_other(self) -> None:
        assert KEPT.lets_in(SHOWN)
        assert not KEPT.lets_in(SHOWN.upper())
        assert not KEPT.lets_in("")
        assert not KEPT.lets_in(KEPT.hash)

    @given(place=st.integers(0, len(SHOWN) - 1), sign=st.characters(exclude_categories=["Cs"]))
    def test_nothing_that_differs_in_one_sign(self, place: int, sign: str) -> None:
        other = SHOWN[:place] + sign + SHOWN[place + 1 :]
        assert KEPT.lets_in(other) is (other == SHOWN)

    def test_nobody_once_it_is_revoked(self) -> None:
        revoked = Token(KEPT.id, KEPT.role, None, KEPT.hash, KEPT.created_at, None, "2026-11-23T02:00:00Z")
        assert not revoked.lets_in(SHOWN)


@pytest.mark.parametrize(
    ("role", "needed"),
    [("ingest", ["ingest"]), ("read", ["read"]), ("admin", ["ingest", "read", "admin"])],
)
def test_admin_may_all_and_the_others_what_they_are_named_for(role: str, needed: list[str]) -> None:
    assert [each.value for each in Role if Role(role).may(each)] == needed


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("  Bearer \t abc  ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearerabc", None),
        ("Bearer abc def", None),
        ("Basic YWJjOmRlZg==", None),
        ("abc", None),
        ("", None),
    ],
)
def test_what_an_authorization_header_shows(header: str, shown: str | None) -> None:
    assert read_bearer(header) == shown


@pytest.mark.parametrize(
    ("text", "public"),
    [
        (SHOWN, "0123456789ab"),
        (SHOWN[:-1], None),
        (SHOWN + "0", None),
        (SHOWN.upper(), None),
        (f"{SHOWN}\n", None),
        (SHOWN.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"), None),
        ("0123456789ab", None),
        ("tb__", None),
        ("", None),
    ],
)
def test_what_has_not_the_form_of_a_token_has_no_id(text: str, public: str | None) -> None:
    assert id_of(text) == public


class TestInTheBook:
    def test_it_is_found_by_what_its_holder_shows(self, book: Book) -> None:
        text, made = book.credentials.create(Role.INGEST, "litellm", NOW)
        book.credentials.create(Role.ADMIN, None, NOW)
        assert book.credentials.find(text) == made
        assert (made.role, made.name, made.last_used_on) == (Role.INGEST, "litellm", None)

    def test_neither_a_wrong_secret_nor_a_wrong_id_finds_any(self, book: Book) -> None:
        text, made = book.credentials.create(Role.READ, None, NOW)
        other, _ = book.credentials.create(Role.READ, None, NOW)
        for wrong in (text[:16] + other[16:], other[:16] + text[16:], SHOWN, made.hash, made.id, "", "' OR 1=1 --"):
            assert book.credentials.find(wrong) is None

    def test_it_is_nowhere_in_the_database(self, book: Book) -> None:
        text, _ = book.credentials.create(Role.READ, "grafana", NOW)
        ((row),) = fetch(book, "SELECT * FROM tokens")
        assert len(row) == 7
        assert [value for value in row if text[16:] in str(value)] == []

    def test_revoked_by_one_process_it_fails_in_the_other_at_once(self, book: Book, book_url: str) -> None:
        text, made = book.credentials.create(Role.READ, None, NOW)
        other = Book.open(book_url, NOW)
        assert other.credentials.find(text) == made
        revoked = book.credentials.revoke(made.id, NOW + timedelta(hours=1))
        assert revoked
        assert revoked.revoked_at == "2026-11-23T02:00:00Z"
        assert other.credentials.find(text) is None
        other.close()

    def test_revoked_again_it_stays_revoked_since_the_first_time(self, book: Book) -> None:
        _, made = book.credentials.create(Role.READ, None, NOW)
        first = book.credentials.revoke(made.id, NOW)
        assert book.credentials.revoke(made.id, NOW + timedelta(days=1)) == first

    def test_what_is_not_there_cannot_be_revoked(self, book: Book) -> None:
        _, made = book.credentials.create(Role.READ, None, NOW)
        assert book.credentials.revoke("ffffffffffff", NOW) is None
        assert book.credentials.list() == [made]

    def test_once_one_was_made_there_were_tokens_for_good(self, book: Book) -> None:
        assert not book.credentials.were_ever_made()
        _, made = book.credentials.create(Role.READ, None, NOW)
        assert book.credentials.were_ever_made()
        book.credentials.revoke(made.id, NOW)
        assert book.credentials.were_ever_made()

    def test_they_are_listed_as_they_were_made_the_revoked_ones_too(self, book: Book) -> None:
        made = [book.credentials.create(Role.READ, f"t{n}", NOW + timedelta(seconds=n))[1] for n in (3, 1, 2)]
        book.credentials.revoke(made[1].id, NOW)
        listed = [(token.name, token.revoked_at) for token in book.credentials.list()]
        assert listed == [("t1", "2026-11-23T01:00:00Z"), ("t2", None), ("t3", None)]

    def test_the_last_day_of_use_only_moves_on(self, book: Book) -> None:
        text, made = book.credentials.create(Role.READ, None, NOW)
        noted = []
        for day in (date(2026, 11, 23), date(2026, 11, 22), date(2026, 11, 24)):
            book.credentials.note_use(made.id, day)
            found = book.credentials.find(text)
            assert found
            noted.append(found.last_used_on)
        assert noted == ["2026-11-23", "2026-11-23", "2026-11-24"]
