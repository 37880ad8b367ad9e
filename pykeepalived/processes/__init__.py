"""Bounded script runner, process and file watchers. Below the other edges: notify and checks use it."""
