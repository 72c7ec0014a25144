"""Linux errno values the interface uses (the same on every architecture)."""

EPERM, ENOENT, EINTR, E2BIG, ENOEXEC, EBADF = 1, 2, 4, 7, 8, 9
EFAULT, EBUSY, EEXIST, EINVAL = 14, 16, 17, 22
ENOSYS, EOPNOTSUPP = 38, 95
