"""Make folders deeper than any path, and files; print whether paths work."""

import json
import os

home = os.getcwd()
for _ in range(700):
    os.mkdir("d" * 20)
    os.chdir("d" * 20)
open("leaf.py", "w").close()
os.chdir(home)
os.mkdir("wide")
for number in range(1000):
    open(f"wide/{number}.py", "w").close()
try:
    os.stat("/".join([home, *["d" * 20] * 700, "leaf.py"]))
    answer = "named"
except OSError as error:
    answer = error.strerror
print(json.dumps(answer))
