"""Anchors: heads of the book's chain as they stand outside the book, in a file of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from tallybook.errors import UnreadableFile, first_line


@dataclass(frozen=True)
class Anchor:
    """A head of the chain that was exported when it was the latest: sequence number, chain, instant of the entry.

    Two are equal when sequence number and chain are, as the chain covers the instant.
    """

    seq: Annotated[int, msgspec.Meta(ge=1)]
    chain: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    at: str = field(default="", compare=False)


class Parcel(msgspec.Struct, frozen=True):
    """Heads of one book on their way to a destination, in the order in which they were kept."""

    book_id: str
    anchors: tuple[Anchor, ...]

    @property
    def newest(self) -> Anchor:
        return self.anchors[-1]


_LINE = re.compile(r"([1-9][0-9]{0,17}) ([0-9a-f]{64})(?: (.*))?")
_CUT_SHORT = re.compile(r"[1-9][0-9]*(?: [0-9a-f]{0,63})?|\{.*")
"""What a line or body of ours looks like that a crash, or a copy made in mid-writing, left without its end."""

_decode_parcel = msgspec.json.Decoder(Parcel).decode


def format_anchor(anchor: Anchor) -> str:
    """The line by which a head is exported: sequence number, chain, instant of the entry."""
    return f"{anchor.seq} {anchor.chain} {anchor.at}\n"


def parse_line(line: str, book_id: str | None = None) -> tuple[Anchor, ...] | None:
    """The heads in a line: one, those of a webhook's body, or none in a blank line; None where it is neither.

    A body that names another book than `book_id`, if that is given, has none.
    """
    if match := _LINE.fullmatch(line):
        return (Anchor(int(match[1]), match[2], match[3] or ""),)
    if not line.strip():
        return ()
    try:
        parcel = _decode_parcel(line)
    except msgspec.DecodeError:
        return None
    return parcel.anchors if book_id in (None, parcel.book_id) else ()


def read_anchors(file: Path, book_id: str | None = None) -> list[Anchor]:
    """The heads in a file of anchor lines, or of webhook bodies, one a line; several may be of one `seq`.

    Bodies of other books than `book_id` are passed over, where that is given, and so is a last line that was cut short.
    Raises `UnreadableFile` for anything else, and where no head is left.
    """
    text = _text_of(file)
    if anchors := list(anchors_in(text, file, book_id)):
        return anchors
    if any(anchors_in(text, file)):
        raise _no_anchors(f"{file} holds no anchors of the book {book_id}, only of others")
    raise _no_anchors(f"{file} holds no anchors")


def anchors_in(text: str, file: Path, book_id: str | None = None) -> Iterator[Anchor]:
    """The heads in the text of that file, which may be empty; `UnreadableFile` names the first line that is none."""
    *lines, last = text.split("\n")
    if parse_line(last) is not None or not _CUT_SHORT.fullmatch(last):
        lines.append(last)
    for number, line in enumerate(lines, start=1):
        found = parse_line(line, book_id)
        if found is None:
            raise _no_anchors(f"Line {number} of {file} is no anchor")
        yield from found


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or first_line(error)) if isinstance(error, OSError) else "it is no text"
        raise UnreadableFile(
            f"The anchors in {file} cannot be read: {reason}.", "Name the file with --anchor."
        ) from error


def _no_anchors(sentence: str) -> UnreadableFile:
    return UnreadableFile(f"{sentence}.", "Give the anchors.log of the book's home, or a copy of it.")
