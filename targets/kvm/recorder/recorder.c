/* Runs a command and logs its KVM ioctls: recorder LOG SECONDS COMMAND ARGUMENT...
 *
 * Every process and thread is traced, so it does not matter how the command is linked. The log has
 * a JSON object a line; what it means is in fuzz/record/log.py. After so many seconds, if they are
 * not 0, the command is told to end, and so is all that it started. Ends as the command does, with
 * 127 where that cannot be run and 125 where it cannot be traced. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "notes.h"

enum { CANNOT_TRACE = 125, CANNOT_RUN = 127, PATIENCE_S = 10 };

#define OPTIONS                                                                                   \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |     \
     PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL)

/* A thread, and the system call that it is in. */
struct thread {
    pid_t tid, pid;
    bool inside;
    uint64_t number, args[6];
    struct buffer in;
};

static struct thread *threads;
static size_t thread_count;
static pid_t child;
static int failed[2]; /* an errno comes out of it if the command cannot be run */
static const int passed_on[] = {SIGTERM, SIGHUP};
static volatile sig_atomic_t came[NSIG];
static volatile sig_atomic_t woken;
static time_t deadline; /* 0: none */

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
    exit(CANNOT_TRACE);
}

static pid_t process_of(pid_t tid)
{
    char path[64], line[128];
    int pid = tid;
    snprintf(path, sizeof path, "/proc/%d/status", tid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &pid) == 1)
            break;
    if (file)
        fclose(file);
    return pid;
}

static struct thread *thread_of(pid_t tid)
{
    for (size_t i = 0; i < thread_count; i++)
        if (threads[i].tid == tid)
            return &threads[i];
    threads = realloc(threads, (thread_count + 1) * sizeof *threads);
    if (!threads)
        give_up("no memory");
    threads[thread_count] = (struct thread){.tid = tid, .pid = process_of(tid)};
    return &threads[thread_count++];
}

/* A thread has ended; a call that it was in has no result. */
static void forget(pid_t tid)
{
    for (size_t i = 0; i < thread_count; i++)
        if (threads[i].tid == tid) {
            const struct thread *thread = &threads[i];
            if (thread->inside && thread->number == SYS_ioctl && is_kvm(thread->args[1]))
                note_unfinished(thread->pid, (int)thread->args[0], thread->args[1]);
            buffer_free(&threads[i].in);
            threads[i] = threads[--thread_count];
            return;
        }
}

static void enter(struct thread *thread, const struct __ptrace_syscall_info *info)
{
    thread->inside = true;
    thread->number = info->entry.nr;
    memcpy(thread->args, info->entry.args, sizeof thread->args);
    buffer_clear(&thread->in);
    if (thread->number == SYS_ioctl && is_kvm(thread->args[1]))
        note_entry(thread->tid, thread->args[1], thread->args[2], &thread->in);
}

/* Whether a call gives the file of its first argument one more descriptor. */
static bool duplicates(uint64_t number, const uint64_t *args)
{
    switch (number) {
    case SYS_dup:
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3:
        return true;
    case SYS_fcntl:
        return args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC;
    default:
        return false;
    }
}

static void leave(struct thread *thread, int64_t result)
{
    const uint64_t *args = thread->args;
    if (!thread->inside)
        return;
    thread->inside = false;
    if (thread->number == SYS_ioctl && is_kvm(args[1]))
        note_ioctl(thread->tid, thread->pid, (int)args[0], args[1], args[2], result, &thread->in);
    else if (thread->number == SYS_mmap && (int)args[4] >= 0 && result > 0 && args[5] == 0)
        note_mmap(thread->pid, (int)args[4], (uint64_t)result);
    else if (result >= 0 && duplicates(thread->number, args))
        note_dup(thread->pid, (int)args[0], (int)result);
}

static void system_call(struct thread *thread)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        enter(thread, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        leave(thread, info.exit.rval);
}

/* Its other threads are gone, and their calls; also the id that it had, if it was no leader. */
static void runs_another(struct thread *thread)
{
    pid_t tid = thread->tid;
    unsigned long former = 0;
    thread->inside = false;
    if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &former) == 0 && (pid_t)former != tid)
        forget((pid_t)former);
}

static bool stops_a_group(int number)
{
    return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* A thread has stopped, and goes on as if nobody had looked. */
static void stopped(pid_t tid, int status)
{
    int number = WSTOPSIG(status), event = status >> 16;
    struct thread *thread = thread_of(tid);
    if (number == (SIGTRAP | 0x80)) {
        system_call(thread);
        number = 0;
    } else if (event == PTRACE_EVENT_STOP && stops_a_group(number)) {
        ptrace(PTRACE_LISTEN, tid, 0, 0);
        return;
    } else if (event) {
        if (event == PTRACE_EVENT_EXEC)
            runs_another(thread);
        number = 0;
    }
    ptrace(PTRACE_SYSCALL, tid, 0, (long)number);
}

/* Every process, by its leader, which is not reaped before the last of its threads. */
static void tell_all(int number)
{
    for (size_t i = 0; i < thread_count; i++)
        if (threads[i].tid == threads[i].pid)
            kill(threads[i].pid, number);
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static void note_signal(int number)
{
    came[number] = 1;
    woken = 1;
}

/* Pass on what came. When the time is over all are told, and who does not end is killed. */
static void answer_signals(void)
{
    static bool told;
    woken = 0;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        if (came[passed_on[i]]) {
            came[passed_on[i]] = 0;
            tell_all(passed_on[i]);
        }
    if (deadline && now() >= deadline) {
        tell_all(told ? SIGKILL : SIGTERM);
        told = true;
        deadline = now() + PATIENCE_S;
    }
}

static int follow(void)
{
    int status, code = 0;
    for (;;) {
        if (woken)
            answer_signals();
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return code;
        if (WIFSTOPPED(status)) {
            stopped(tid, status);
            continue;
        }
        if (tid == child)
            code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        forget(tid);
    }
}

/* Have signals end a waitpid. One that comes just before it does not, but the next tick will. */
static void await_signals(unsigned long seconds)
{
    const struct sigaction action = {.sa_handler = note_signal};
    const struct itimerval tick = {{1, 0}, {1, 0}};
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaction(passed_on[i], &action, NULL);
    deadline = seconds ? now() + (time_t)seconds : 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
}

/* Start the command in `child`, traced from its first instruction. */
static void start(char **argv)
{
    int go[2], why;
    char byte = 0;
    if (pipe2(go, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0)
        give_up("no pipe");
    child = fork();
    if (child < 0)
        give_up("no process");
    if (child == 0) {
        if (read(go[0], &byte, 1) == 1)
            execvp(argv[0], argv);
        why = errno;
        _exit(write(failed[1], &why, sizeof why) < 0 ? CANNOT_TRACE : CANNOT_RUN);
    }
    close(failed[1]);
    if (ptrace(PTRACE_SEIZE, child, 0, OPTIONS) != 0) {
        why = errno;
        kill(child, SIGKILL);
        errno = why;
        give_up("the command cannot be traced");
    }
    if (write(go[1], &byte, 1) != 1 || ptrace(PTRACE_INTERRUPT, child, 0, 0) != 0)
        give_up("the command cannot be traced");
    thread_of(child);
    close(go[0]);
    close(go[1]);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: recorder LOG SECONDS COMMAND ARGUMENT...\n");
        return CANNOT_TRACE;
    }
    if (!notes_open(argv[1]))
        give_up(argv[1]);
    note_command(argv + 3);
    start(argv + 3);
    /* From a terminal these reach the command as well, which says what they mean. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    await_signals(strtoul(argv[2], NULL, 10));
    int code = follow(), why;
    if (!notes_close(code))
        give_up(argv[1]);
    if (read(failed[0], &why, sizeof why) == sizeof why)
        fprintf(stderr, "recorder: %s: %s\n", argv[3], strerror(why));
    return code;
}
