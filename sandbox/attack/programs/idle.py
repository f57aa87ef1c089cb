"""Stay for a while, whoever is gone."""

import time

time.sleep(900)
print("7")
