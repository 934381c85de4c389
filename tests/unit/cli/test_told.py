"""What commands tell people: which number is meant, and what to do about a refusal."""

from pathlib import Path

import httpx
import pytest

from services.cli.main import run
from tests.unit.cli.test_question_commands import Put, edge

__all__ = ["edge"]


def test_corrections_name_the_sensor_type_and_the_unit(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    series = {"building": "tower", "room": "roof", "sensorType": "energy", "device": "m1", "unit": "Wh"}
    one = {"id": "3-1", "series": series, "eventTime": "2026-11-30T08:20:01Z", "value": 5000000, "level": 1000700}
    doubt = {"booked": 0, "otherwise": 3999300}
    edge(lambda _: {"corrections": [one | {"kind": "JUMP", "readings": "1", "doubt": doubt}]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "160")
        assert run(["corrections", "list", "tower", "roof"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "energy m1 5,000,000 1,000,700 Wh JUMP" in shown
    assert "booked 0, or 3,999,300" in shown


def test_metadata_without_a_value_is_not_told(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"detail": "tower/roof holds no energy (without a device)", "metadata": {"device": "", "room": "cellar"}}
    edge(lambda _: httpx.Response(404, json=problem))
    where, why = ["tower", "roof", "energy"], ["--at", "2026-11-30T08:36:01Z", "--reason", "wrong"]
    assert run(["readings", "void", *where, *why]) == 1
    assert capsys.readouterr().err == "tocsin: tower/roof holds no energy (without a device); room: cellar\n"


def test_a_file_that_is_no_json_at_all_is_told_its_form(
    edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "meter.csv"
    file.write_text("building,room\ntower,roof\n")
    bad = {"reason": "BODY_INVALID", "field": "", "message": "line 1, column 1: invalid character"}
    rejections = [bad | {"index": 0}, bad | {"index": 1}]
    edge(lambda _: {"accepted": "0", "rejected": "2", "rejections": rejections})
    assert run(["readings", "import", str(file)]) == 1
    assert "2 rejected of 2 lines: a line is the JSON of a reading" in capsys.readouterr().err
    rejections[1] |= {"reason": "VALUE_OUT_OF_RANGE", "field": "value"}
    assert run(["readings", "import", str(file)]) == 1
    assert capsys.readouterr().err == "tocsin: 2 rejected of 2 lines\n"


@pytest.mark.parametrize("time", ["8", "24:00", "8:00", "08:60"])
def test_a_time_of_day_is_wrong_usage_in_words(edge: Put, capsys: pytest.CaptureFixture[str], time: str) -> None:
    fake = edge(lambda _: {})
    made = ["reminders", "create", "one", "--user", "ann", "--title", "T", "--zone", "UTC", "--at", time]
    assert run(made) == 2
    assert f"like 08:00, not '{time}'" in capsys.readouterr().err
    assert not fake.asked
