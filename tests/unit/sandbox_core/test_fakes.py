"""The stand-ins: they behave like a box where they claim to, and raise where their script ends."""

import pytest

from sandbox import Job, SandboxDied, SandboxTimeout
from sandbox.conformance import STORE
from sandbox.conformance.expect import Nonconforming, holds, refused, same
from sandbox.engine.channel import GuestChannel
from sandbox.testing import MemorySandbox, ScriptedGuest, replies


@pytest.mark.parametrize("check", STORE, ids=lambda check: check.__name__)
def test_the_sandbox_in_memory_keeps_files_as_a_box_does(check):
    box = MemorySandbox()
    check(box)
    assert box.asked == []


def test_the_sandbox_in_memory_runs_nothing_that_is_not_scripted():
    with pytest.raises(AssertionError, match="no run is scripted"):
        MemorySandbox().run([Job("a", ("true",))])


def test_the_sandbox_in_memory_can_be_lost():
    box = MemorySandbox([SandboxTimeout("too slow")])
    with pytest.raises(SandboxTimeout):
        box.run([Job("a", ("true",))])
    with pytest.raises(SandboxDied):
        box.files()


def test_a_scripted_guest_tells_of_a_request_too_many():
    with pytest.raises(AssertionError, match="no step"):
        with ScriptedGuest(replies({})) as guest:
            channel = GuestChannel(guest.host_end)
            channel.hello({"op": "hello"}, bytes(32), 5)
            with pytest.raises(SandboxDied):
                channel.request({"op": "list"}, b"", 5)
            channel.close()


def test_a_check_that_fails_says_what_it_wanted():
    with pytest.raises(Nonconforming, match="the answer should be 42 but is 41"):
        same(41, 42, "the answer")
    with pytest.raises(Nonconforming, match="so that the sun shines"):
        holds(condition=False, what="the sun shines")
    with pytest.raises(Nonconforming, match="writing should be refused"):
        refused(lambda: None, "writing")
