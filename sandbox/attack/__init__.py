"""Attack a sandbox and report the result.

`suite.py` is the entry point, `catalogue.py` the list of attacks.

Every row is tried twice: in a sandbox as the product makes it, and in a container without one of
its protections, where the same attack must succeed. Only this package can make the weak containers,
from the product's own create request.
"""
