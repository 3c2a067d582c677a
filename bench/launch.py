"""Runs a command and tells what it took: `python bench/launch.py COMMAND …`.

A process inherits the peak memory of the one that started it, as far as the kernel's books go. So this one stays small: it imports next to nothing.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)  # noqa: S603 - what the benchmark asked for
assert process.stdout is not None
told = process.stdout.read()
_, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
process.returncode = os.waitstatus_to_exitcode(status)
took = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1024, "code": process.returncode}
sys.stdout.write(json.dumps({**took, "told": told.decode()}))
