"""Run sets of files by plain pytest; print those with exit code 0."""

import json
import os
import subprocess
import sys

green = []
for name, files in json.loads(sys.argv[1]).items():
    folder = f"/workspace/{len(os.listdir('/workspace'))}"
    for path, text in files.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(text)
    if "poison" in name:
        subprocess.run([sys.executable, "-B", "poison.py"], cwd=folder, check=True)
    command = ["/opt/l2mac/venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0:
        green.append(name)
print(json.dumps(green))
