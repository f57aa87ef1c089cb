"""Stay for a while, whoever is gone."""

import time

time.sleep(60)
print("7")
