"""The command line's manners: one line for an error, exit codes, durations."""

import io
import json
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from rich.console import Console

from services.chassis.auth.dev_issuer import AUDIENCE, ISSUER, DevIssuer
from services.cli.commands.status import parts_table, show_duration, streams_table, trouble
from services.cli.commands.token import parse_ttl
from services.cli.errors import CommandError
from services.cli.main import run
from services.cli.runtime.lag import ConsumerLag, StreamLag
from services.cli.runtime.status import PartReport
from services.cli.version import tocsin_version


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (["frobnicate"], 2, "frobnicate"),
        (["up", "--port", "x"], 2, "--port"),
        (["alarms", "rule", "lst"], 2, "('tocsin alarms rule --help' tells more)"),
        (["readings", "send", "a", "b", "c", "1", "--unti", "C"], 2, "('tocsin readings send --help' tells more)"),
        (["status", "--state-dir", "/nowhere/at/all"], 3, "no mesh is up"),
        (["env", "--state-dir", "/nowhere/at/all"], 3, "no mesh is up"),
        (["token", "--state-dir", "/nowhere/at/all"], 3, "no signing key"),
        (["token", "--ttl", "1x"], 2, "--ttl"),
        (["token", "--scope", "nonsense"], 2, "readings:write, receipts:write, reminders:read"),
        (["up", "--only", "nothing"], 2, "no part is called"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    arguments: list[str], exit_code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == exit_code
    printed = capsys.readouterr()
    assert expected in printed.err
    assert printed.err.startswith("tocsin: ")
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert run(["--help"]) == 0
    assert run(["--version"]) == 0
    assert "up" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["config", "readings"])
def test_a_group_alone_shows_its_help_and_no_empty_message(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group]) == 2
    printed = capsys.readouterr()
    assert f"tocsin {group} [OPTIONS] COMMAND" in printed.out + printed.err
    assert "tells more" not in printed.err


@pytest.mark.parametrize("command", [["status"], ["up"], ["logs"], ["alarms", "rule", "add"]])
def test_help_shows_flags_as_flags_and_variables_of_options(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "bool" not in shown
    assert "TOCSIN_STATE_DIR; default: .tocsin" in shown.replace("│ │ ", "").replace(" │ │", "")


def test_the_version_is_told_without_a_mesh_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json", "--state-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": tocsin_version(), "mesh": None}


def test_a_port_that_is_none_is_told_by_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--port", "--postgres-port", "--nats-port"):
        assert run(["up", option, "70000", "--state-dir", str(tmp_path)]) == 2
        assert f"tocsin: {option} must be a port from 1 to 65535, not '70000'" in capsys.readouterr().err


def test_an_address_that_is_not_ours_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--host", "192.0.2.1", "--state-dir", str(tmp_path)]) == 2
    assert "'192.0.2.1' is no address of this machine" in capsys.readouterr().err


def test_status_stands_whole_in_80_columns() -> None:
    def part(name: str, state: str, reason: str) -> PartReport:
        return PartReport(
            name=name,
            state=state,
            reason=reason,
            advice="",
            unhealthy_seconds=65.0 if reason else None,
            pid=4194304,
            restarts=12,
            uptime_seconds=86399,
            address="127.0.0.1:45678",
            version="0.1.0",
        )

    parts = [part("notification", "unhealthy", "nats does not answer in time"), part("media-probe", "healthy", "")]
    consumer = ConsumerLag(name="aggregation-partition-15", pending=100_000, unacknowledged=1_000, redelivered=1)
    streams = [StreamLag(name="DEAD_LETTERS", messages=1_000_000, bytes=9_999_999_999, consumers=(consumer,))]
    screen = Console(width=80, file=io.StringIO())
    with screen.capture() as captured:
        screen.print(parts_table(parts, [], {"media-probe": "127.0.0.1:34567"}))
        screen.print(streams_table(streams))
    shown = captured.get()
    whole = ("notification", "unhealthy", "23 h 59 min", ":45678", ":34567", "0.1.0", consumer.name, "9,999,999,999")
    assert [word for word in whole if word not in shown] == []
    assert "…" not in shown
    assert len(shown.splitlines()) == 6
    assert trouble(parts, []) == ["notification: unhealthy for 1 min: nats does not answer in time"]


def test_a_token_says_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issuer = DevIssuer.open(tmp_path / "auth")
    arguments = "token --scope readings:write,alerts:write --scope videos:read --ttl 5m --tenant acme --subject ann"
    assert run([*arguments.split(), "--state-dir", str(tmp_path)]) == 0
    key = jwt.PyJWKSet.from_json(issuer.jwks_file.read_text()).keys[0]
    printed = capsys.readouterr()
    assert "no tenant is called 'acme' here; there are diabetes" in printed.err
    claims = jwt.decode(printed.out.strip(), key, ["ES256"], audience=AUDIENCE, issuer=ISSUER)
    assert claims["scope"] == "readings:write alerts:write videos:read"
    assert claims["tenants"] == ["acme"]
    assert claims["sub"] == "ann"
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", timedelta(seconds=90)), ("1h", timedelta(hours=1)), ("7d", timedelta(days=7))]
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert parse_ttl(text) == expected


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1h", "1.5h", "366d", "99999999999d", "\u0661h"])
def test_nonsense_is_no_duration(text: str) -> None:
    with pytest.raises(CommandError, match="--ttl"):
        parse_ttl(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h 0 min"), (90061, "1 d 1 h")],
)
def test_durations_are_shown(seconds: float, expected: str) -> None:
    assert show_duration(seconds) == expected
