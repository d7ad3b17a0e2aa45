from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tallybook.anchoring.command import Command
from tallybook.anchoring.git import GitRepository
from tallybook.anchoring.secret import Secret
from tallybook.anchoring.settings import AnchorSettings, read_anchor_settings
from tallybook.anchoring.webhook import Webhook
from tallybook.errors import UsageError

HOME = Path("/var/tallybook")


def read(text: str) -> AnchorSettings:
    """The settings of a `tallybook.toml` with this text."""
    return read_anchor_settings(tomllib.loads(text).get("anchors", {}), HOME, "tallybook.toml")


def test_without_a_table_there_is_the_file_alone() -> None:
    assert read("") == AnchorSettings(HOME)
    assert read("[anchors]").destinations() == ()


def test_each_destination_is_set_for_itself() -> None:
    assert read(
        """
        [anchors]
        webhook = "https://heads.example.com/v1?to=book"
        webhook_secret = "${HEADS_SECRET}"
        git = "/srv/heads"
        git_push = true
        command = ["/usr/local/bin/keep-head", "--lock", ""]
        """
    ).destinations() == (
        Webhook("https://heads.example.com/v1?to=book", Secret("${HEADS_SECRET}")),
        GitRepository(Path("/srv/heads"), push=True),
        Command(("/usr/local/bin/keep-head", "--lock", ""), HOME),
    )


@pytest.mark.parametrize(
    ("given", "folder"),
    [("heads", "/var/tallybook/heads"), ("../heads", "/var/tallybook/../heads"), ("~/heads", "/home/ann/heads")],
)
def test_a_repository_is_looked_for_in_the_home(monkeypatch: pytest.MonkeyPatch, given: str, folder: str) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert read(f'[anchors]\ngit = "{given}"').destinations() == (GitRepository(Path(folder)),)


@pytest.mark.parametrize(
    ("text", "sentence", "remedy"),
    [
        (
            "anchors = 1",
            "anchors in tallybook.toml is no table.",
            "Write [anchors] with one of: webhook, webhook_secret, git, git_push, command.",
        ),
        (
            '[anchors]\nwebhok = "https://example.com"',
            "There is no setting 'webhok' in [anchors] of tallybook.toml.",
            "Use one of: webhook, webhook_secret, git, git_push, command.",
        ),
        (
            '[anchors]\nwebhook = "https://example.com"',
            "There is no webhook_secret in [anchors] of tallybook.toml, which webhook needs.",
            'Write webhook_secret = "${TALLYBOOK_WEBHOOK_SECRET}", or leave out webhook.',
        ),
        (
            '[anchors]\nwebhook_secret = "swordfish"',
            "There is no webhook in [anchors] of tallybook.toml, which webhook_secret needs.",
            'Write webhook = "https://example.com/heads", or leave out webhook_secret.',
        ),
        (
            "[anchors]\ngit_push = true",
            "There is no git in [anchors] of tallybook.toml, which git_push needs.",
            'Write git = "/folder/of/a/repository", or leave out git_push.',
        ),
        (
            '[anchors]\ngit = "heads"\ngit_push = 1',
            "git_push in [anchors] of tallybook.toml must be true or false.",
            "Write it as in git_push = true.",
        ),
        (
            '[anchors]\ngit = ""',
            "git in [anchors] of tallybook.toml must be a text.",
            'Write it as in git = "/folder/of/a/repository".',
        ),
        (
            '[anchors]\ngit = "~nobody-of-this-name/heads"',
            "git in [anchors] of tallybook.toml must be a folder whose user exists.",
            'Write it as in git = "/folder/of/a/repository".',
        ),
        *(
            (
                f"[anchors]\ncommand = {command}",
                "command in [anchors] of tallybook.toml must be a list of texts: the program, then its arguments.",
                'Write it as in command = ["/usr/local/bin/keep-head"].',
            )
            for command in ('"keep-head"', "[]", '[""]', '["keep-head", 1]', '["keep-head", "\\u0000"]')
        ),
        *(
            (
                f'[anchors]\nwebhook = {url}\nwebhook_secret = "swordfish"',
                "webhook in [anchors] of tallybook.toml must be a URL that begins with https:// or http://.",
                'Write it as in webhook = "https://example.com/heads".',
            )
            for url in ("1", '""', '"example.com"', '"ftp://example.com"', '"https://"', '"http://[x"', '"http://x:y"')
        ),
        (
            '[anchors]\nwebhook = "https://example.com"\nwebhook_secret = 5',
            "webhook_secret in [anchors] of tallybook.toml must be a text.",
            'Write it as in webhook_secret = "${TALLYBOOK_WEBHOOK_SECRET}".',
        ),
    ],
)
def test_a_fault_is_named_with_its_key_but_never_with_its_value(text: str, sentence: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(text)
    assert (refused.value.message, refused.value.remedy) == (sentence, remedy)


def test_settings_show_no_secret() -> None:
    settings = read(
        """
        [anchors]
        webhook = "https://ann:opensesame@example.com/T0KEN"
        webhook_secret = "swordfish"
        command = ["keep-head", "T0KEN"]
        """
    )
    assert repr(settings) == (
        "AnchorSettings(home=PosixPath('/var/tallybook'), webhook_secret=Secret(), git=None, git_push=False)"
    )
    assert "swordfish" not in repr(settings.destinations())
    assert "T0KEN" not in repr(settings.destinations())


@pytest.mark.parametrize("secret", ["swordfish", "${HEADS_SECRET}"])
def test_messages_are_scrubbed_of_the_secret_and_of_what_stands_before_a_host(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("HEADS_SECRET", "swordfish")
    settings = read(f'[anchors]\nwebhook = "https://example.com"\nwebhook_secret = "{secret}"')
    said = "no swordfish, not at 'https://ann:open@sesame@example.com/x', https://example.com/y nor ssh://git@host"
    assert (
        settings.scrub(said) == "no ***, not at 'https://***@example.com/x', https://example.com/y nor ssh://***@host"
    )
    assert (
        settings.scrub("The environment has no variable HEADS_SECRET.")
        == "The environment has no variable HEADS_SECRET."
    )
    assert read("").scrub("at https://ann:opensesame@example.com") == "at https://***@example.com"
