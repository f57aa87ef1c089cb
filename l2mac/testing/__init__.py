"""Shipped stand-ins for the outside world, for tests and demonstrations; all of them raise when their script runs out.

- `l2mac.testing.model_server`: a model server over real HTTP on loopback, which answers by script and misbehaves on
  request.
- `l2mac.testing.memory_sandbox`: boxes that keep files in memory, execute nothing, and can be lost at any call.
- `l2mac.testing.processor`: a processor that gives scripted replies without any server.
"""
