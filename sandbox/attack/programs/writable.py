"""Print the folders in which a file can be made."""

import json
import os

made = []
for folder, _, _ in os.walk("/"):
    if folder.count("/") > 5 and folder.startswith(("/proc/", "/sys/")):
        continue
    path = os.path.join(folder, "l2mac-attack-probe")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(path)
        made.append(folder)
    except OSError:
        pass
print(json.dumps(made))
