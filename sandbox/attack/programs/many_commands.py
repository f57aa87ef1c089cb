"""Start sixty commands side by side; print how many ran."""

import json
import subprocess

running = [subprocess.Popen(["true"]) for _ in range(60)]
print(json.dumps(sum(one.wait() == 0 for one in running)))
