"""End at once, and leave a process that holds standard output and error open."""

import os
import time

if os.fork() == 0:
    os.setsid()
    time.sleep(8)
    os._exit(0)
