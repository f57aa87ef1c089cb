"""Stop every visible clock, then wait; as a control, trust such a clock."""

import json
import sys
import time

real = time.perf_counter
time.time = time.monotonic = lambda: 1.0
started = real()
while time.monotonic() - 1.0 < 0.2:
    if sys.argv[1] == "trust" and real() - started > 1:
        break
print(json.dumps(real() - started > 0.9))
