"""Sleep for a while."""

import time

time.sleep(900)
print("7")
