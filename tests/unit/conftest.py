"""Hypothesis without a deadline: on a busy build machine the time of one example says nothing."""

from hypothesis import settings

settings.register_profile("without deadline", parent=settings(), deadline=None)
settings.load_profile("without deadline")
