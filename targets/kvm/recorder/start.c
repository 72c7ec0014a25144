/* In a guest of the lab: runs the recorder on the command in /command, whose words end in NUL. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_WORDS = 256, CANNOT = 125 };

static int fail(const char *what)
{
    perror(what);
    return CANNOT;
}

int main(void)
{
    static char text[1 << 16], *argv[MOST_WORDS + 1];
    char *const envp[] = {"PATH=/work:/usr/bin:/usr/sbin", "HOME=/work", "LC_ALL=C.UTF-8", NULL};
    int file = open("/command", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    size_t words = 0;
    if (length < 0)
        return fail("/command");
    for (char *at = text; at < text + length && words < MOST_WORDS; at += strlen(at) + 1)
        argv[words++] = at;
    mkdir("/tmp", 01777);
    if (mount("tmpfs", "/tmp", "tmpfs", 0, "") != 0)
        return fail("/tmp");
    if (chdir("/work") != 0)
        return fail("/work");
    /* The console is the lab's line. */
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        return fail("/dev/null");
    execve(argv[0], argv, envp);
    return fail(argv[0]);
}
