"""Client libraries that block, each call in a process of its own with a hard end.

    daemon ── ClientPool ──► host process (imports the library once) ──► one fork per check ── Answer ──► daemon

A library may hang, leak or crash: it takes its own process with it and nothing else. `mysql`, `pgsql`, `oracle`, `ldap`
and `radius` hold what is said with each library; they are imported in the host process only.
"""

from pykeepalived.netio.clients.pool import ClientPool

__all__ = ["ClientPool"]
