"""Health checks as pure conversations, and the one machine that judges their results.

`registry.converse(question)` gives the conversation of any check of the model, `verdict.Verdict` turns results into
states and pauses. Each checker is a file of its own; none knows a socket, a clock or a retry.
"""
