"""Tools for tests of code that uses this library.

`plugin` has the pytest fixture `nbp_server`, which pytest loads by itself. `virtual_time` has an
event loop in which an hour takes a moment. `transport`, `sink` and `journal` replace parts of a
client.
"""
