"""Bidirectional Forwarding Detection: asynchronous sessions as a core without clock and sockets.

RFC 5880 (protocol), RFC 5881 (one hop), RFC 5883 (several hops). No echo, no authentication; demand mode is honoured
when the neighbour asks for it and never asked for.
"""
