"""Webhooks that come in: verified, kept once, and passed on as a hint that a task may be done.

The way of one webhook, eight functions, each of which does one thing:

    socket ─► HookConnection.data_received   a slow client is cut off
           ─► Receiver._respond              any error becomes its HTTP status
           ─► Receiver._post                 path, size, body
           ─► Receiver._verify               with the keys that are known, or newer ones
           ─► signature.verify               pure: is it the sender's? parses it, once
           ─► Receiver._accept               in a task that a hang-up does not end
           ─► Inbox.add                      durable, and only then 200
           ─► Receiver._dispatch             wakes the poller that waits for the task

Only the task's id is used of a webhook: the service is asked what became of the task.
"""
