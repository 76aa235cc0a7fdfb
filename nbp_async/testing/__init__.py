"""What tests of code that uses this library need: a fake server, virtual time, a transport.

`nbp_async.testing.plugin` has the pytest fixture `nbp_server`, which is there by itself,
`nbp_async.testing.virtual_time` a loop in which an hour takes a moment, and the other modules
stand in for parts of a client: `nbp_async.testing.transport`, `nbp_async.testing.sink` and
`nbp_async.testing.journal`.
"""
