"""Runs a command and prints the largest resident size of its processes.

    python run_measured.py COMMAND …

In bytes. A process of its own, and a small one: Linux counts for a new process
what its parent had when it was started.
"""

import os
import subprocess
import sys


def main(command: list[str]) -> int:
    """Prints the size; returns the command's exit code."""
    child = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(child.pid, 0)
    kilobytes = 1 if sys.platform == "darwin" else 1024
    print(usage.ru_maxrss * kilobytes)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
