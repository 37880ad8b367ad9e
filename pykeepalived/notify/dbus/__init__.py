"""D-Bus: the names, objects and methods that the original offers, on a connection of our own that never waits."""
