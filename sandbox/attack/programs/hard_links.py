"""Link system files into every writable folder; print the links made."""

import json
import os

made = []
for source in ("/etc/passwd", "/opt/l2mac/lib/__main__.py", "/bin/sh"):
    for folder in ("/workspace", "/tmp", "/dev/shm", "/etc", "/opt/l2mac/lib", "/usr/bin"):
        path = f"{folder}/l2mac-attack-link"
        try:
            os.link(source, path)
            made.append(path)
            os.unlink(path)
        except OSError:
            pass
print(json.dumps(made))
