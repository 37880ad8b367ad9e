"""pykeepalived: keepalived and ldirectord in Python.

The layers and the reasons for them are in docs/design.md.
"""

__version__ = "0.1.0"

#: The keepalived release whose behaviour, options and output this program answers for.
KEEPALIVED_VERSION = "2.4.3"

#: What ldirectord calls itself; its log lines carry it and scripts match it.
LDIRECTORD_VERSION = "1.186-ha"
