from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from anchoring.heads import head, heads, told
from tallybook.anchoring.anchor import Anchor, Parcel, format_anchor, read_anchors
from tallybook.errors import UnreadableFile

A, B = "a" * 64, "b" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "anchors.log"


def test_a_line_is_seq_chain_and_instant(file: Path) -> None:
    assert format_anchor(Anchor(7, A, "2026-11-23T01:00:00Z")) == f"7 {A} 2026-11-23T01:00:00Z\n"
    file.write_text(f"7 {A} 2026-11-23T01:00:00Z\n")
    assert told(read_anchors(file)) == [(7, A, "2026-11-23T01:00:00Z")]


def test_two_heads_are_one_when_seq_and_chain_are(file: Path) -> None:
    assert Anchor(7, A, "2026-11-23T01:00:00Z") == Anchor(7, A)
    assert len({Anchor(7, A), Anchor(7, B), Anchor(8, A), Anchor(7, A, "later")}) == 3


def test_lines_may_lack_the_instant_be_blank_and_name_a_seq_twice(file: Path) -> None:
    file.write_text(f"\n1 {A}\r\n\n1 {B} \n1 {A} x y\n   \n")
    assert told(read_anchors(file)) == [(1, A, ""), (1, B, ""), (1, A, "x y")]


def test_bodies_of_the_webhook_are_read_as_lines_are(file: Path) -> None:
    bodies = [msgspec.json.encode(Parcel("b", tuple(heads(*range_)))) for range_ in ((1, 2), (3, 3))]
    file.write_bytes(bodies[0] + b"\n" + bodies[1] + b"\n" + format_anchor(head(4)).encode())
    assert told(read_anchors(file)) == told(heads(1, 4))


def test_bodies_of_another_book_in_the_same_file_are_passed_over(file: Path) -> None:
    one, other = (Parcel(book_id, (head(1),)) for book_id in ("one", "other"))
    file.write_bytes(b"".join(msgspec.json.encode(body) + b"\n" for body in (other, one, other)))
    assert told(read_anchors(file, "one")) == told(heads(1, 1))
    assert told(read_anchors(file)) == told([head(1)] * 3)
    with pytest.raises(UnreadableFile) as refused:
        read_anchors(file, "third")
    assert refused.value.message == f"{file} holds no anchors of the book third, only of others."
    assert refused.value.remedy == "Give the anchors.log of the book's home, or a copy of it."


def test_lines_do_not_say_whose_they_are_and_are_all_taken(file: Path) -> None:
    file.write_bytes(msgspec.json.encode(Parcel("other", (head(1),))) + b"\n" + format_anchor(head(2)).encode())
    assert read_anchors(file, "one") == [head(2)]


def test_a_body_of_a_later_version_may_say_more(file: Path) -> None:
    file.write_text(f'{{"kind": "x", "book_id": "b", "anchors": [{{"seq": 1, "chain": "{A}", "kind": [1]}}]}}')
    assert read_anchors(file) == [Anchor(1, A)]


@pytest.mark.parametrize("whole", [format_anchor(head(2)), msgspec.json.encode(Parcel("b", (head(2),))).decode()])
def test_a_last_line_is_passed_over_wherever_it_was_cut_short(file: Path, whole: str) -> None:
    for length in range(len(whole)):
        file.write_text(format_anchor(head(1)) + whole[:length])
        assert read_anchors(file) in ([head(1)], [head(1), head(2)]), length
    file.write_text(format_anchor(head(1)) + whole.rstrip("\n"))
    assert read_anchors(file) == [head(1), head(2)]


@pytest.mark.parametrize("text", ["", "\n", "12", f"12 {'0' * 63}", "{", '{"book_id": "b", "anchors": []}\n'])
def test_a_file_without_any_head_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UnreadableFile) as refused:
        read_anchors(file)
    assert refused.value.message == f"{file} holds no anchors."
    assert refused.value.remedy == "Give the anchors.log of the book's home, or a copy of it."


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "1 abc\n",
        f"1 {'G' * 64}",
        f"0 {A}\n",
        f"-1 {A}\n",
        f"1  {A}\n",
        f"1 {A}a\n",
        f"{'9' * 19} {A}\n",
        "{}\n",
        "[]\n",
        f'{{"book_id": "b", "anchors": [{{"seq": 0, "chain": "{A}"}}]}}\n',
        f'{{"book_id": "b", "anchors": [{{"seq": "1", "chain": "{A}"}}]}}\n',
        f'{{"book_id": "b", "anchors": [{{"seq": 1, "chain": "{A}\\n"}}]}}\n',
        '{"book_id": "b", "anchors": [{"seq": 1, "chain": "x"}]}\n',
    ],
)
def test_a_line_that_is_no_anchor_is_named(file: Path, line: str) -> None:
    file.write_text(f"1 {A}\n\n{line}")
    with pytest.raises(UnreadableFile) as refused:
        read_anchors(file)
    assert refused.value.message == f"Line 3 of {file} is no anchor."


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file or directory"), ("é".encode(), "it is no text")])
def test_a_file_that_cannot_be_read_says_why(file: Path, content: bytes | None, reason: str) -> None:
    if content:
        file.write_bytes(content)
    with pytest.raises(UnreadableFile) as refused:
        read_anchors(file)
    assert refused.value.message.startswith(f"The anchors in {file} cannot be read: {reason}")
    assert refused.value.remedy == "Name the file with --anchor."
