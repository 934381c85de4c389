"""Reading the parts' logs: one shape, the order of time, the past from its end, and what comes after over trimming."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.cli.main import run
from services.cli.runtime import logs as log_files
from services.cli.runtime.log_lines import LogLine, parse_line
from services.cli.runtime.log_reading import PartLog, in_time
from services.cli.runtime.logs import LogFile

_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _parsed(text: str, before: LogLine | None = None) -> LogLine:
    return parse_line("part", text, before, otherwise=_NOW)


def _line(second: int, event: str, level: str = "info") -> str:
    return json.dumps({"time": f"2026-01-01T00:00:{second:02d}Z", "level": level, "service": "x", "event": event})


def _any(_line: LogLine) -> bool:
    return True


def _write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("text", "level", "event"),
    [
        (_line(1, "ready", "warning"), "warning", "ready"),
        ('{"time":"2026-01-01T00:00:01.123456789Z","level":"INFO","msg":"x"}', "info", ""),
        ("2026-01-01 00:00:01.100 UTC [12] LOG:  started", "info", "started"),
        ("2026-01-01 00:00:01.100 UTC [12] tocsin FATAL:  no such database", "critical", "no such database"),
        ("[77] 2026/01/01 00:00:01.123456 [WRN] slow", "warning", "slow"),
        ("[77] 2026/01/01 00:00:01.123456 [INF]   Version:  2", "info", "  Version:  2"),
    ],
)
def test_lines_of_every_part_are_read(text: str, level: str, event: str) -> None:
    line = _parsed(text)
    assert (line.level, line.event) == (level, event)
    assert line.time.replace(microsecond=0) == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    again = json.loads(line.as_json())
    assert {"time", "level"} <= set(again)


def test_a_line_without_a_time_goes_with_the_one_before() -> None:
    first = _parsed("2026-01-01 00:00:01.100 UTC [12] ERROR:  bad")
    detail = _parsed("2026-01-01 00:00:01.100 UTC [12] DETAIL:  why", first)
    further = _parsed("\tmore of it", detail)
    assert (detail.level, detail.event) == ("error", "detail: why")
    assert (further.level, further.event, further.time) == ("error", "\tmore of it", first.time)
    assert _parsed("{no json").time == _NOW


@pytest.mark.parametrize("block", [7, 64, 1 << 16])
def test_the_end_is_read_backwards_over_both_generations(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cli.runtime.log_reading._BLOCK", block)
    _write(tmp_path / "x.log.1", *(_line(n, f"old {n}") for n in range(5)))
    _write(tmp_path / "x.log", _line(6, "error", "error"), "  traceback", "", _line(7, "ünd"))
    with (tmp_path / "x.log").open("a") as file:
        file.write("half a li")

    def last(count: int) -> list[str]:
        return [line.event for line in PartLog(tmp_path, "x").last(count, _any)]

    assert last(0) == []
    assert last(2) == ["  traceback", "ünd"]
    assert last(5) == ["old 3", "old 4", "error", "  traceback", "ünd"]
    assert len(last(100)) == 8
    graver = PartLog(tmp_path, "x").last(100, lambda line: line.at_least("error"))
    assert [line.event for line in graver] == ["error", "  traceback"]
    assert PartLog(tmp_path, "nobody").last(5, _any) == []


def test_what_is_added_is_read_once_and_whole_over_trimming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_BYTES", 200)
    written = LogFile(tmp_path, "x")
    read = PartLog(tmp_path, "x")
    handle = written.open()
    seen: list[str] = [line.event for line in read.last(10, _any)]
    expected: list[str] = []
    for number in range(30):
        expected.append(f"line {number}")
        text = (_line(number, expected[-1]) + "\n").encode()
        os.write(handle, text[:9])
        if number % 4 == 0:
            seen += [line.event for line in read.added()]
        os.write(handle, text[9:])
        if number % 7 == 0:
            written.trim()
    os.close(handle)
    seen += [line.event for line in read.added()]
    assert seen == expected
    assert read.added() == []


def test_a_full_disk_keeps_no_part_from_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_from: Path, _to: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log_files, "MAX_BYTES", 200)
    monkeypatch.setattr("shutil.copyfile", full)
    (tmp_path / "x.log").write_bytes(b"x" * 201)
    os.close(LogFile(tmp_path, "x").open())
    assert (tmp_path / "x.log").stat().st_size == 0


def test_parts_are_merged_in_the_order_of_time(tmp_path: Path) -> None:
    _write(tmp_path / "a.log", _line(1, "a1"), _line(5, "a5"), "  more of a5")
    _write(tmp_path / "b.log", _line(3, "b3"), _line(7, "b7"))
    merged = in_time([PartLog(tmp_path, part).last(10, _any) for part in ("a", "b")])
    assert [line.event for line in merged] == ["a1", "b3", "a5", "  more of a5", "b7"]


def test_the_command_shows_people_a_line_and_programs_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state-dir", str(tmp_path)]
    assert run(["logs", *where]) == 3
    (tmp_path / "logs").mkdir()
    _write(tmp_path / "logs" / "nats.log", "[1] 2026/01/01 00:00:02.5 [ERR] it \x1b[31mbroke")
    raw = '{"time": "2026-01-01T00:00:01Z", "level": "info", "service": "ingestion", "event": "took", "count": 3}'
    _write(tmp_path / "logs" / "ingestion.log", raw)
    capsys.readouterr()

    assert run(["logs", *where]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split(" ", 2)[2].split() == ["ingestion", "info", "took", "count=3"]
    assert printed[1].endswith(r"nats      error    it \x1b[31mbroke"), "a terminal must not obey a log"

    assert run(["logs", "--json", "ingestion", *where]) == 0
    assert capsys.readouterr().out == f"{raw}\n"
    assert run(["logs", "--json", "--level", "error", *where]) == 0
    assert json.loads(capsys.readouterr().out)["service"] == "nats"
    assert run(["logs", "-n", "1", *where]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1

    assert run(["logs", "nuts", *where]) == 2
    assert "there are ingestion, nats" in capsys.readouterr().err
    assert run(["logs", "--level", "loud", *where]) == 2
    assert "--level is one of debug" in capsys.readouterr().err
