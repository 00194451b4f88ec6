#!/usr/bin/env python3
"""peak_rss.py COMMAND...: runs it and prints the peak of its resident memory in MiB, last line of standard output."""
import resource
import subprocess
import sys

status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, flush=True)
sys.exit(status)
