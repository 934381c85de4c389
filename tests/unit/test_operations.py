"""What operators are given fits the code: metrics that alerts are made of, variables, commands and units of systemd."""

import os
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer
import yaml

from services.cli.configuration.catalogue import all_settings
from services.cli.main import build_app

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
OPERATIONS = ROOT / "docs" / "operations.md"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
PAGES = [
    OPERATIONS,
    *sorted((ROOT / "docs").glob("deployment.md")),
    *sorted((ROOT / "docs" / "deployment").glob("host.md")),
]
_METRIC = re.compile(r"\btocsin_[a-z_]+")
_DECLARED = re.compile(r'"(tocsin_[a-z_]+)"')


def _rules() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def _declared() -> set[str]:
    files = [*(ROOT / "services").rglob("*.py"), *(ROOT / "gateway").rglob("*.go")]
    names = {name for file in files for name in _DECLARED.findall(file.read_text())}
    # As they are told: counters with `_total`, histograms as three.
    return {f"{name}{suffix}" for name in names for suffix in ("", "_total", "_bucket", "_count", "_sum")}


def test_alerts_are_made_of_metrics_that_exist() -> None:
    asked = {name for rule in _rules() for name in _METRIC.findall(rule["expr"])}
    assert len(asked) > 10
    assert asked <= _declared()


def test_each_alert_is_explained() -> None:
    text = OPERATIONS.read_text()
    assert [rule["alert"] for rule in _rules() if f"`{rule['alert']}`" not in text] == []
    assert set(re.findall(r"`(Tocsin[A-Za-z]+)`", text)) == {rule["alert"] for rule in _rules()}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus' own judge is not installed here")
def test_alerts_are_rules_of_prometheus() -> None:
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [*PAGES, ROOT / "deploy" / "systemd" / "tocsin.env"], ids=lambda path: path.name)
def test_variables_that_are_named_exist(page: Path) -> None:
    known = {setting.name for setting in all_settings()}
    named = set(re.findall(r"\bTOCSIN_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    command = typer.main.get_command(build_app())
    known = set(getattr(command, "commands"))  # noqa: B009 - typer's group, which does not say so
    named = re.findall(r"(?:^|[`(|&] ?|\$\()tocsin(?:-as)? ([a-z]+)", page.read_text(), re.MULTILINE)
    assert named
    assert set(named) - known == set()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_run_as_a_user_of_their_own_who_may_do_little(unit: Path) -> None:
    service = _service(unit)
    wanted = {
        "User": "tocsin",
        "NoNewPrivileges": "true",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "true",
        "PrivateDevices": "true",
        "RestrictNamespaces": "true",
        "SystemCallFilter": "@system-service",
        "UMask": "0077",
        "EnvironmentFile": "-/etc/tocsin/tocsin.env",
    }
    assert {name: service.get(name) for name in wanted} == wanted


def _service(unit: Path) -> dict[str, str]:
    parser = RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue] - as its documentation has it
    parser.read(unit)
    return dict(parser["Service"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd's own judge is not installed here")
def test_units_are_units_of_systemd(tmp_path: Path) -> None:
    for path in (ROOT / "deploy" / "systemd").iterdir():
        # What they run is not installed here.
        (tmp_path / path.name).write_text(re.sub(r"/opt/tocsin/\.venv/bin/tocsin", "/bin/true", path.read_text()))
    units = [path for path in tmp_path.iterdir() if path.suffix in (".service", ".timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    said = [line for line in done.stderr.splitlines() if "tocsin" in line]
    assert (done.returncode, said) == (0, [])
