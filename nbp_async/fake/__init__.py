"""A server that imitates the vendors' APIs, with latency, faults and a bank that keeps a ledger."""
