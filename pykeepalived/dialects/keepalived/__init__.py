"""keepalived.conf: `load` turns files into a model and findings.

The words stand in `tables`, one row each; `engine` runs them over the statements of `pykeepalived.syntax`; the
`build_*` modules make the model of what was collected, with defaults, inheritance and the checks between blocks.
"""

from pykeepalived.dialects.keepalived.host import FileFacts, HostFacts, RealHost
from pykeepalived.dialects.keepalived.load import LoadResult, load

__all__ = ["FileFacts", "HostFacts", "LoadResult", "RealHost", "load"]
