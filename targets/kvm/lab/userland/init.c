/* The first process of a lab guest with a userland: mounts, then becomes argv of START. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "vcpufuzz: %s: %s\n", what, strerror(errno));
    exit(1); /* the kernel panics, the host sees it */
}

int main(void)
{
    static const struct { const char *where, *type; } mounts[] = {
        {"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}, {"/tmp", "tmpfs"}};
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        mkdir(mounts[i].where, 0755);
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, "") && errno != EBUSY)
            fail(mounts[i].where);
    }
    if (chdir(HOME) != 0)
        fail(HOME);
    char *const argv[] = {PYTHON, "-m", MODULE, NULL};
    char *const envp[] = {"HOME=" HOME, "VCPUFUZZ_CACHE=" CACHE, "LC_ALL=C.UTF-8",
                          "PATH=/usr/bin", NULL};
    execve(argv[0], argv, envp);
    fail(argv[0]);
}
