/* Vector state of a host thread's own: what it fills in, and what it finds after an event. */
#ifndef VF_HOST_STATE_H
#define VF_HOST_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "host_turn.h"
#include "wire.h"

#define MOST_VL 256u
/* Bytes of Z, P and FFR at a vector length. */
#define STATE_SIZE(vl) (32u * (vl) + 17u * (vl) / 8)

/* A thread's two events, and the room they take. */
struct host_state {
    struct wire_host_thread seen;
    uint8_t filled[STATE_SIZE(MOST_VL)];
    uint8_t after_event[STATE_SIZE(MOST_VL)], after_signal[STATE_SIZE(MOST_VL)];
};

/* Whether threads of this host have SVE. */
bool host_has_sve(void);

/* Z and P of the wire form's `host_fill`. Returns where FFR is to follow. */
uint8_t *host_state_fill_vectors(uint8_t *at, unsigned turn, unsigned vl);

/* Have signals of `take_signal` handled; before any thread comes to that. */
void host_state_prepare(void);

/* Set the calling thread's vector length, 0: leave it, and make ready for the first event.
 * Returns the length before. */
unsigned host_state_begin(struct host_state *state, uint64_t vl, struct host_turn *turn);

/* After the first event: take a SIGILL with other registers, and put the length back. */
void host_state_end(struct host_state *state, struct host_turn *turn, unsigned usual);

#endif
