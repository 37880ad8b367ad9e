"""Metrics and the status page, from a process of their own that can only look: `metrics_listen` (global_defs).

owner       the supervisor's side: starts the process, and again when it dies
process     what it is: its listener, without rights
feed        its questions to the parent, over the protocol of the control socket
http        a small HTTP server for hostile clients
exposition  Prometheus's and OpenMetrics's text
metrics, exporters   what is told, and under whose names
page        the status page and what it shows
"""
