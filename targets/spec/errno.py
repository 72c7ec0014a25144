"""Linux errno values the interface uses (the same on every architecture)."""

from __future__ import annotations

import errno

EPERM, ENOENT, EINTR, E2BIG, ENOEXEC, EBADF = 1, 2, 4, 7, 8, 9
EAGAIN, EFAULT, EBUSY, EEXIST, EINVAL = 11, 14, 16, 17, 22
ENXIO, ENOMEM, ENODEV = 6, 12, 19
ENOSYS, EOPNOTSUPP, EHWPOISON = 38, 95, 133


def error_name(err: int) -> str:
    """The symbolic name of an errno."""
    if err == EOPNOTSUPP:
        return "EOPNOTSUPP"  # one of two names
    return errno.errorcode.get(err, f"errno {err}") if err else "success"
