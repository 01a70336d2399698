"""The console script `oam`: the command line of the Rust half."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line with the arguments of the process, and ends the process with its exit code.

    Ctrl-C and SIGTERM have the effect that they have on the `oam` binary: Python's own handlers would wait for the end
    of the command.
    """
    from ._bridge import core

    for number in (signal.SIGINT, signal.SIGTERM):
        # A parent such as `nohup` or a shell's background job may have set the signal to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    code = core.run_cli(sys.argv)
    sys.stdout.flush()
    # A thread of the command may still read stdin. Nothing else in the process needs an orderly exit.
    os._exit(code)


if __name__ == "__main__":
    main()
