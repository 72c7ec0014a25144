#include "shared.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SHARED_VMS 4u

static struct shared all[SHARED_VMS];

static bool agree(const struct features *a, const struct features *b)
{
    return !a->known || !b->known || memcmp(a->words, b->words, sizeof a->words) == 0;
}

static void drop(struct shared *vm)
{
    if (!vm->vm)
        return;
    for (unsigned id = vm->used; id < POOL; id++)
        close(vm->pool[id]);
    close(vm->vm);
    vm->vm = 0;
}

static bool fill(const struct machine *m, struct shared *vm)
{
    int fd = machine_create_vm(m, 0);
    if (fd < 0)
        return false;
    for (unsigned long id = 0; id < POOL; id++) {
        vm->pool[id] = ioctl(fd, KVM_CREATE_VCPU, id);
        if (vm->pool[id] < 0) {
            int err = errno;
            while (id--)
                close(vm->pool[id]);
            close(fd);
            errno = err;
            return false;
        }
    }
    vm->vm = fd;
    vm->used = 0;
    vm->features.known = false;
    return true;
}

/* The VM to use: one that fits, else one that is used up, else the one idle for longest. */
static struct shared *choose(const struct reuse *reuse, bool *fits)
{
    struct shared *oldest = &all[0];
    *fits = false;
    for (struct shared *vm = all; vm < all + SHARED_VMS; vm++) {
        if (vm->vm && agree(&vm->features, &reuse->features)) {
            *fits = reuse->slots <= POOL - vm->used;
            return vm;
        }
        if (vm->last < oldest->last)
            oldest = vm;
    }
    return oldest;
}

struct shared *shared_vm(const struct machine *m, const struct reuse *reuse)
{
    static unsigned long cases;
    bool fits;
    struct shared *vm = choose(reuse, &fits);
    if (!fits) {
        drop(vm);
        if (!fill(m, vm))
            return NULL;
    }
    if (reuse->features.known)
        vm->features = reuse->features;
    vm->last = ++cases;
    return vm;
}

int shared_take_vcpu(struct shared *vm, unsigned *id)
{
    *id = vm->used++;
    return vm->pool[*id];
}
