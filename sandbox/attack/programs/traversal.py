"""Join names to the root like a careless store; print those outside."""

import json
import os
import sys

landed = []
for name in sys.argv[1:]:
    path = os.path.join("/workspace/naive", name)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("x")
        if not os.path.realpath(path).startswith("/workspace/naive/"):
            landed.append(name)
        os.unlink(path)
    except (OSError, ValueError):
        pass
print(json.dumps(landed))
