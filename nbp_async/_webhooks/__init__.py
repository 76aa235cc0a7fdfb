"""Webhooks that come in: checked, kept once, and passed on as a hint that a task may be done.

The way of one: `app.py` takes the bytes, `verify.py` says whether they are the sender's,
`inbox.py` keeps that they came before the sender is told so, and then someone is told the task's
id. Nothing in a webhook is believed beyond it: what became of the task, a look at it will say.
"""
