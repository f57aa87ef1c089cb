"""Write 24 MiB, in lines or as a single line; endlessly unless as a control."""

import sys

piece = b"line\n" * 13107 if sys.argv[1] == "lines" else b"x" * 65535
for _ in range(24 * 16):
    sys.stdout.buffer.write(piece)
