"""Attack a sandbox for real and say what came of it; `suite.py` is the way in, `catalogue.py` says what is tried.

Every row is tried twice: on a sandbox as the product makes it, and on one with a protection taken away, where the same
attack has to get through. The weak ones are made here, from the product's own create request, and nowhere else.
"""
