"""Who runs a script that names no user (keepalived-behaviour 6.2)."""

from __future__ import annotations

import pwd

from pykeepalived.model.common import User
from pykeepalived.model.config import GlobalDefs


def default_script_user(settings: GlobalDefs) -> User | None:
    """`script_user`, else the account `keepalived_script`, else None for the daemon's own user."""
    if settings.script_user is not None:
        return settings.script_user
    try:
        account = pwd.getpwnam("keepalived_script")
    except (KeyError, OSError):
        return None
    return User(account.pw_name, account.pw_uid, account.pw_gid)
