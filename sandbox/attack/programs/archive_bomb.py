"""Unpack nested archives, 48 MiB of zeros; print the megabytes unpacked."""

import io
import json
import os
import zipfile

inner = io.BytesIO()
with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
    for number in range(6):
        archive.writestr(f"zeros{number}", bytes(8 << 20))
outer = io.BytesIO()
with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("inner.zip", inner.getvalue())
with open("bomb.zip", "wb") as file:
    file.write(outer.getvalue())
os.makedirs("out", exist_ok=True)
try:
    with zipfile.ZipFile("bomb.zip") as archive:
        archive.extractall("out")
    with zipfile.ZipFile("out/inner.zip") as archive:
        archive.extractall("out")
except OSError:
    pass
total = sum(os.path.getsize(f"out/{name}") for name in os.listdir("out"))
for name in os.listdir("out"):
    os.unlink(f"out/{name}")
print(json.dumps(total >> 20))
