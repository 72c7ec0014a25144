/* The page host and guest share. The host lays it out: targets/kvm/lab/channel.py. */
#ifndef VF_CHANNEL_H
#define VF_CHANNEL_H

#include <stdint.h>

#define CHANNEL_MAGIC 0x48434656u /* 'VFCH' */
#define CHANNEL_AREAS 4096u       /* where the first slot's request area begins */
#define DOORBELL 0x06             /* a byte that either side sends; no kernel logs it */
#define WAKE 0x05                 /* the guest's, for a host that waits; nor this one */

/* The guest's mark at both ends of a request, for the coverage plugin: a hint that no CPU
 * knows, so a NOP (Arm ARM, HINT), at the beginning of a translation block. */
#define CHANNEL_MARK 126
#define CHANNEL_MARK_BYTES {0xdf, 0x2f, 0x03, 0xd5} /* its encoding */

enum channel_state { STATE_FREE, STATE_PENDING, STATE_RUNNING, STATE_DONE };
enum channel_command { COMMAND_EXECUTE, COMMAND_READ_FILE, COMMAND_REPEAT, COMMAND_PROGRAM };

struct channel_header {
    uint32_t magic, slots, request_cap, response_cap; /* by the host, before boot */
    uint32_t ready;    /* by the guest, once it serves */
    uint32_t progress; /* by the guest: ops executed so far */
    uint32_t sleeping; /* by the guest: needs a doorbell to see a new request */
    uint32_t serving;  /* by the guest: low word of the sequence it works on, or 0; the
                          mark that begins a request still finds 0 here */
    uint32_t waiting;  /* by the host: sees a slot that is done only after a byte */
    uint32_t pad[7];
};

struct channel_slot {
    uint32_t state, command, request_len, response_len;
    uint64_t sequence; /* requests are served in this order */
    uint32_t error;    /* errno of any command but COMMAND_EXECUTE */
    uint32_t silent;   /* by the guest: nothing was logged, so no doorbell follows */
    uint32_t began;    /* by the guest: 1 + its progress when it took the request, or 0 */
    uint32_t pad[7];
};

_Static_assert(sizeof(struct channel_header) == 64, "channel header");
_Static_assert(sizeof(struct channel_slot) == 64, "slot header");

#endif
