/* The thread that runs the vcpu is moved to another CPU, and with the next strike back. */
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stranger.h"

static int timer = -1;
static int home, other = -1;
static int victim; /* a thread's id */
static atomic_uint moves;
static unsigned before;

static void *live(void *unused)
{
    uint64_t expired;
    (void)unused;
    while (read(timer, &expired, sizeof expired) == sizeof expired)
        stranger_pin(victim, moves++ % 2 ? home : other);
    return NULL;
}

/* A CPU that the calling thread may use besides `cpu`, or -1. */
static int another(int cpu)
{
    cpu_set_t all;
    if (sched_getaffinity(0, sizeof all, &all) == 0)
        for (int each = 0; each < CPU_SETSIZE; each++)
            if (each != cpu && CPU_ISSET(each, &all))
                return each;
    return -1;
}

static bool available(void)
{
    static bool looked;
    if (!looked)
        other = another(sched_getcpu());
    looked = true;
    return other >= 0;
}

static bool start(void)
{
    static bool started;
    if (!started) {
        victim = (int)syscall(SYS_gettid);
        timer = stranger_timer();
        started = timer >= 0 && stranger_start(live, NULL);
    }
    return started;
}

static size_t begin(int cpu, uint64_t vl)
{
    (void)vl;
    if (!start())
        return STRANGER_NONE;
    if (other == cpu)
        other = home;
    home = cpu;
    before = moves = 0;
    return 0;
}

static void arm(uint64_t ns)
{
    stranger_timer_set(timer, ns);
}

static void end(struct wire_disturb *seen, uint8_t *more)
{
    (void)more;
    arm(0);
    seen->fired = moves - before;
    stranger_pin(0, home);
}

const struct stranger stranger_move = {available, begin, arm, end};
