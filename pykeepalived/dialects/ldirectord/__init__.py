"""The language of ldirectord.cf: same model as keepalived.conf, other words.

`load(path)` reads a file; `rows.TABLE` holds every directive.
"""

from pykeepalived.dialects.ldirectord.host import Host, SystemHost
from pykeepalived.dialects.ldirectord.loader import LoadResult, load, load_text

__all__ = ["Host", "LoadResult", "SystemHost", "load", "load_text"]
