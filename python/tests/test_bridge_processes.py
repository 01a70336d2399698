"""Processes: fork, Ctrl-C, the end of the interpreter, sub-interpreters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from bridge_support import DEADLINE, program, run_program

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


@needs_fork
def test_fork_before_the_first_use_works_in_parent_and_child() -> None:
    ended = run_program(
        """
        import asyncio, os
        from bridge_support import core, echo, local_mesh

        async def main():
            async with local_mesh(echo()) as mesh:
                assert await mesh.call("echo", b"1") == b"1"

        child = os.fork()
        asyncio.run(main())
        if child == 0:
            os._exit(7)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
        """
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("7\n", "", 0)


@needs_fork
def test_fork_after_use_fails_in_the_child_and_not_in_the_parent() -> None:
    ended = run_program(
        """
        import asyncio, gc, os, sys, warnings
        from bridge_support import core, echo, local_mesh
        warnings.simplefilter("ignore", DeprecationWarning)

        def in_child(mesh):
            async def use():
                errors = []
                for verb in (
                    lambda: mesh.call("echo", b"1"),
                    lambda: mesh.stream("echo", b"1"),
                    lambda: mesh.publish("a", b"1"),
                    lambda: mesh.subscribe(subject="a"),
                    lambda: mesh.catalog(),
                    lambda: mesh.kv.get("a"),
                    lambda: mesh.workspace.get("a"),
                    lambda: mesh.shutdown(),
                    lambda: mesh.register([echo("other")]),
                    lambda: mesh.connection_state,
                    lambda: core.connect(local=True),
                ):
                    try:
                        verb()
                    except RuntimeError as error:
                        errors.append(str(error))
                return errors
            errors = asyncio.new_event_loop().run_until_complete(use())
            assert len(errors) == 11, errors
            print(set(errors).pop(), len(set(errors)), flush=True)

        async def main():
            async with local_mesh(echo()) as mesh:
                events = await mesh.subscribe(subject="a")
                call = mesh.call("echo", b"1")
                child = os.fork()
                if child == 0:
                    # As a program that forks with a loop: the child leaves the loop of its parent.
                    asyncio._set_running_loop(None)
                    in_child(mesh)
                    del mesh, events, call
                    gc.collect()
                    sys.stdout.flush()
                    os._exit(0)
                _, status = await asyncio.to_thread(os.waitpid, child, 0)
                assert os.waitstatus_to_exitcode(status) == 0
                # The connection and the server of the parent are unharmed.
                assert await call == b"1"
                assert await mesh.call("echo", b"2") == b"2"

        asyncio.run(main())
        print("parent done")
        """
    )
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("the mesh cannot be used in this process: it was forked after")
    assert "'spawn'" in lines[0]
    assert lines[0].endswith(" 1")
    assert lines[1:] == ["parent done"]
    assert ended.returncode == 0


@needs_fork
def test_forked_child_that_exits_normally_leaves_the_parent_unharmed() -> None:
    ended = run_program(
        """
        import asyncio, os, sys, warnings
        from bridge_support import core, echo
        warnings.simplefilter("ignore", DeprecationWarning)

        loop = asyncio.new_event_loop()

        async def connect():
            mesh = await core.connect(local=True)
            await mesh.register([echo()])
            return mesh

        async def call(mesh):
            return await mesh.call("echo", b"1")

        async def leave(mesh):
            await mesh.shutdown()

        mesh = loop.run_until_complete(connect())
        child = os.fork()
        if child == 0:
            sys.exit(3)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), loop.run_until_complete(call(mesh)))
        loop.run_until_complete(leave(mesh))
        loop.close()
        """
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("3 b'1'\n", "", 0)


def interrupted(source: str) -> tuple[int, str]:
    """Runs a program until it prints "ready", sends SIGINT, and returns the exit code and stderr."""
    process = subprocess.Popen(
        program(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE)
    return process.returncode, stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of a child is that of POSIX")
def test_interrupt_ends_a_program_with_calls_in_flight() -> None:
    code, stderr = interrupted(
        """
        import asyncio
        from bridge_support import agent, local_mesh

        async def handler(request):
            print("ready", flush=True)
            await asyncio.Event().wait()

        async def main():
            async with local_mesh(agent("slow", handler), shutdown_grace=0.1) as mesh:
                await mesh.call("slow", b"1")

        asyncio.run(main())
        """
    )
    assert code == -signal.SIGINT, stderr
    assert stderr.rstrip().endswith("KeyboardInterrupt"), stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of a child is that of POSIX")
def test_interrupt_reaches_a_program_that_only_waits_for_events() -> None:
    code, stderr = interrupted(
        """
        import asyncio
        from bridge_support import local_mesh

        async def main():
            async with local_mesh() as mesh:
                events = await mesh.subscribe(subject="never")
                waiting = events.next_batch()
                print("ready", flush=True)
                await waiting

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            raise SystemExit(5)
        """
    )
    assert (code, stderr) == (5, "")


IN_FLIGHT = """
    import asyncio, sys, threading
    from bridge_support import agent, core, echo, local_mesh

    started = threading.Event()

    async def handler(request):
        started.set()
        await asyncio.Event().wait()

    async def main():
        mesh = await core.connect(local=True)
        await mesh.register([agent("slow", handler), echo()])
        calls = [mesh.call("slow", b"1") for _ in range(20)]
        events = await mesh.subscribe(subject="a")
        waiting = events.next_batch()
        while not started.is_set():
            await asyncio.sleep(0.01)
        {end}

    {run}
"""


@pytest.mark.parametrize("turn", range(3))
def test_interpreter_that_exits_in_a_coroutine_with_calls_in_flight_is_silent(turn: int) -> None:
    ended = run_program(IN_FLIGHT.format(end="sys.exit(4)", run="asyncio.run(main())"))
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 4), turn


@pytest.mark.parametrize("turn", range(3))
def test_interpreter_that_exits_while_a_daemon_thread_works_is_silent(turn: int) -> None:
    work = """
    async def busy():
        mesh = await core.connect(local=True)
        await mesh.register([echo()])
        started.set()
        while True:
            await asyncio.gather(*(mesh.call("echo", b"1") for _ in range(20)))

    threading.Thread(target=lambda: asyncio.run(busy()), daemon=True).start()
    started.wait()
    sys.exit(4)
"""
    ended = run_program(IN_FLIGHT.format(end="pass", run=work.strip()))
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 4), turn


def test_interpreter_that_exits_with_a_suspended_loop_is_silent() -> None:
    ended = run_program(
        """
        import asyncio
        from bridge_support import core, echo

        loop = asyncio.new_event_loop()

        async def main():
            mesh = await core.connect(local=True)
            await mesh.register([echo()])
            return mesh, [mesh.call("echo", b"1") for _ in range(100)]

        mesh, calls = loop.run_until_complete(main())
        loop.close()
        """
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


def test_local_server_ends_with_the_process() -> None:
    ended = run_program(
        """
        import asyncio
        from bridge_support import core

        async def main():
            mesh = await core.connect(local=True)
            print(mesh.url.rsplit(":", 1)[1])

        asyncio.run(main())
        """
    )
    assert ended.returncode == 0, ended.stderr
    port = int(ended.stdout)
    import socket

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_sub_interpreter_is_refused_with_a_sentence() -> None:
    ended = run_program(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        source = "\\n".join([
            "try:",
            "    import openagentmesh._bridge",
            "except ImportError as error:",
            "    print(error)",
        ])
        # Before and after the import by the main interpreter.
        interpreters.run_string(interpreters.create(), source)
        import openagentmesh._bridge
        interpreters.run_string(interpreters.create(), source)
        """
    )
    sentence = "openagentmesh cannot be imported in a sub-interpreter: "
    lines = ended.stdout.splitlines()
    assert len(lines) == 2, (ended.stdout, ended.stderr)
    assert all(line.startswith(sentence) for line in lines), lines
