"""Be an ordinary process, and have the program that is our argument reach for us."""

import os
import subprocess
import sys

subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getpid())], timeout=120, check=False)
