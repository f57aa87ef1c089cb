"""Make up to 4000 empty files; print their number."""

import json
import os

os.mkdir("many")
count = 0
try:
    for number in range(4000):
        os.close(os.open(f"many/{number}", os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError:
    pass
for number in range(count):
    os.unlink(f"many/{number}")
print(json.dumps(count))
