#include "threads.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "disturb.h"
#include "limit.h"
#include "observe.h"
#include "phase.h"
#include "run.h"
#include "stranger.h"

#define ROOM (1u << 20) /* bytes of observations of the second list */

/* The run that a list may begin with. */
struct lead {
    bool any;
    struct op op;
    struct ready ready;
    struct wire_run seen;
};

/* One thread's ops, from `at` on, and where it says what it saw and when. `entries`: how often it
 * made KVM_RUN for its run. `asleep`: it sleeps already when the other one begins. */
struct list {
    struct machine *m;
    const uint8_t *at, *end;
    uint32_t count;
    uint64_t start, after; /* ns */
    struct wire_interval *times;
    struct sink out;
    struct lead lead;
    unsigned entries;
    bool fits, asleep;
};

static sem_t go, parked, done;
static struct list other;
static int other_cpu;
static bool limited; /* the other thread's runs */
static struct machine other_machine, other_vm; /* with buffers of its own */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void take(sem_t *turn)
{
    while (sem_wait(turn) != 0)
        ; /* a stranger's signal */
}

static const struct vcpu *vcpu_of(struct machine *m, const struct op *op)
{
    return &machine_about(m, &op->head)->vcpus[op->head.vcpu];
}

/* RUN without what is before and after it. */
static bool observe_lead(struct list *list)
{
    struct observation begun;
    struct lead *lead = &list->lead;
    if (!observation_begin(&begun, &list->out))
        return false;
    const struct vcpu *v = vcpu_of(list->m, &lead->op);
    const unsigned before = run_entries();
    const int err = run_enter(v, &lead->ready, &run_plainly, &lead->seen);
    list->entries = run_entries() - before;
    sink_put(&list->out, &lead->seen, sizeof lead->seen);
    const struct outcome outcome = {.err = (uint32_t)err, .aux = lead->ready.errors};
    return observation_end(&begun, &lead->op, outcome, &list->out);
}

static void work(struct list *list)
{
    struct op op;
    list->fits = true;
    for (uint32_t i = 0; i < list->count && list->fits && next_op(&list->at, list->end, &op); i++) {
        list->times[i].began = now_ns() - list->start;
        list->fits = list->lead.any && i == 0 ? observe_lead(list)
                                              : observe(machine_about(list->m, &op.head), &op,
                                                        &list->out);
        list->times[i].ended = now_ns() - list->start;
    }
}

static void *live(void *unused)
{
    int here = -1;
    (void)unused;
    limited = limit_of_thread();
    sem_post(&parked);
    if (!limited)
        return NULL;
    for (;;) {
        take(&go);
        if (here != other_cpu)
            stranger_pin(0, here = other_cpu);
        sem_post(&parked);
        take(&go);
        if (other.asleep || other.after)
            phase_until(other.start + other.after);
        work(&other);
        sem_post(&done);
    }
    return NULL;
}

/* Only once it is wanted: with a second thread every system call on a descriptor is dearer. */
static bool start(void)
{
    static bool started;
    static struct edge in, out;
    static uint8_t *room;
    if (!room) {
        sem_init(&go, 0, 0);
        sem_init(&parked, 0, 0);
        sem_init(&done, 0, 0);
        room = edge_map(&in) && edge_map(&out) ? malloc(ROOM) : NULL;
    }
    if (room && !started && stranger_start(live, NULL)) {
        take(&parked);
        started = limited;
    }
    other.out = (struct sink){.at = room, .end = room + ROOM};
    other_machine.in = in;
    other_machine.out = out;
    return started;
}

static void copy_but_buffers(struct machine *to, const struct machine *from)
{
    const struct edge in = other_machine.in, out = other_machine.out;
    *to = *from;
    to->in = in;
    to->out = out;
}

/* The other thread sees what this one has, but for buffers. */
static void share(const struct machine *m)
{
    copy_but_buffers(&other_machine, m);
    if (m->other) {
        copy_but_buffers(&other_vm, m->other);
        other_machine.other = &other_vm;
    }
    other.m = &other_machine;
}

/* What the other thread did to what is not the kernel's. */
static void take_back(struct machine *m)
{
    m->el2 |= other_machine.el2;
    if (m->other)
        m->other->el2 |= other_vm.el2;
}

/* Both threads on CPUs of their own where there are two; how many there are. `before`: where this
 * thread may be afterwards again. */
static uint32_t settle(cpu_set_t *before)
{
    cpu_set_t all;
    sched_getaffinity(0, sizeof *before, before);
    disturb_usual_cpus(&all);
    const int here = phase_cpu(&all);
    other_cpu = here;
    for (int cpu = 0; cpu < CPU_SETSIZE && other_cpu == here; cpu++)
        if (cpu != here && CPU_ISSET(cpu, &all))
            other_cpu = cpu;
    stranger_pin(0, here);
    return other_cpu == here ? 1 : 2;
}

/* Where the second list begins. */
static const uint8_t *behind(const uint8_t *at, const uint8_t *end, uint32_t ops)
{
    struct op op;
    while (ops-- && next_op(&at, end, &op))
        ;
    return at;
}

static bool both(struct list *mine)
{
    sem_post(&go);
    take(&parked);
    const uint64_t at = phase_next();
    mine->start = other.start = at ? at : now_ns();
    /* Where CPUs take turns, the other one has none before this one's first is over: too late to
     * go to sleep for a shorter time than that. */
    other.asleep = at;
    sem_post(&go);
    if (at)
        phase_until(at);
    work(mine);
    take(&done);
    return mine->fits && other.fits;
}

/* The run that may be a list's first op; `aside`: the other thread's. */
static void prepare(struct machine *m, struct list *list, bool aside)
{
    struct lead *lead = &list->lead;
    const uint8_t *at = list->at;
    *lead = (struct lead){0};
    list->entries = 0;
    lead->any = list->count && next_op(&at, list->end, &lead->op) &&
                lead->op.head.kind == KIND_RUN;
    if (!lead->any)
        return;
    lead->ready = run_prepare(machine_about(m, &lead->op.head), &lead->op, aside);
    lead->ready.watched = true;
}

static void finish(struct machine *m, const struct lead *lead)
{
    if (lead->any)
        run_finish(machine_about(m, &lead->op.head), vcpu_of(m, &lead->op), &lead->ready,
                   &lead->seen);
}

bool threads_observe(struct machine *m, const struct op *op, const uint8_t **at,
                     const uint8_t *end, struct sink *out, uint32_t *done_ops)
{
    struct wire_lists lists;
    struct observation begun;
    memcpy(&lists, op->payload, sizeof lists);
    if (!observation_begin(&begun, out))
        return false;
    if (!start()) /* then what follows is done in turn */
        return observation_end(&begun, op, (struct outcome){.err = EAGAIN}, out);

    const size_t size = sizeof(struct wire_threads) + lists.span * sizeof(struct wire_interval);
    uint8_t *told = sink_take(out, size);
    if (!told)
        return false;
    memset(told, 0, size);
    struct wire_interval *times = (struct wire_interval *)(told + sizeof(struct wire_threads));
    if (!observation_end(&begun, op, (struct outcome){0}, out))
        return false;

    cpu_set_t before;
    struct wire_threads says = {.cpus = settle(&before)};
    struct list mine = {.m = m, .at = *at, .end = end, .count = lists.first, .times = times,
                        .out = *out};
    other.at = behind(*at, end, lists.first);
    other.end = end;
    other.count = lists.span - lists.first;
    other.after = op->head.b;
    other.times = times + lists.first;
    prepare(m, &mine, false);
    prepare(m, &other, true);
    share(m);
    bool fits = both(&mine);
    finish(m, &mine.lead);
    finish(m, &other.lead);
    says.entries = mine.entries > other.entries ? mine.entries : other.entries;
    memcpy(told, &says, sizeof says);
    take_back(m);
    sched_setaffinity(0, sizeof before, &before);

    uint8_t *first = other.out.end - ROOM;
    *out = mine.out;
    sink_put(out, first, (uint64_t)(other.out.at - first));
    *at = other.at;
    *done_ops = 1 + lists.span;
    return fits && !out->full;
}
