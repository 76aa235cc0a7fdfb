"""`python -m bench beside`: the README's table, measured cell by cell against the SDKs of today.

Each client plays the same scenes at the fake server, in an environment of its own. What it did is
read from the server's requests and from the bank; what it said comes from the client.
"""
