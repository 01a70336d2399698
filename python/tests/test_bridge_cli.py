"""The console script `oam`: the command line of the Rust half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig

import pytest
from bridge_support import DEADLINE

OAM = os.path.join(sysconfig.get_path("scripts"), "oam")

pytestmark = pytest.mark.skipif(not os.path.exists(OAM), reason="the console script is not installed")


def oam(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OAM, *arguments], capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def test_version_and_help_are_printed() -> None:
    version = oam("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("oam ")
    assert "mesh" in oam("--help").stdout


def test_exit_codes_are_those_of_the_binary() -> None:
    assert oam("nonsense").returncode == 2
    assert oam("mesh", "catalog", "--url", "nats://127.0.0.1:1").returncode == 3
    assert oam("agent", "call", "bad name", "--url", "nats://127.0.0.1:1").returncode in (1, 2)


def test_completion_answers_the_script_of_a_shell() -> None:
    script = oam("completions", "bash")
    assert script.returncode == 0, script.stderr
    assert OAM in script.stdout
    answer = subprocess.run(
        [OAM, "--", "wor", "oam wor"],
        env={**os.environ, "OAM_COMPLETE": "bash"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "workspace\n", "")


def test_demo_runs() -> None:
    demo = oam("demo")
    assert demo.returncode == 0, demo.stderr
    assert demo.stdout.startswith("A mesh is up at nats://127.0.0.1:")
    assert demo.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of a child is that of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_command(number: signal.Signals) -> None:
    # The command reads stdin, so that it has started once it takes the bytes. It has no handler of its own.
    process = subprocess.Popen(
        [OAM, "agent", "call", "x", "-", "--url", "nats://127.0.0.1:1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b" " * 4_000_000)
    process.send_signal(number)
    assert process.wait(timeout=DEADLINE) == 130
    process.communicate()
