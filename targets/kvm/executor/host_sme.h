/* SME in a host thread: ZA and streaming mode around one event. */
#ifndef VF_HOST_SME_H
#define VF_HOST_SME_H

#include <stdbool.h>
#include <stdint.h>

#include "sme_turn.h"
#include "wire.h"

#define MOST_SVL 256u

/* What a thread that makes use of SME finds around its two events, and the room it takes. */
struct host_sme {
    struct wire_sme begun;
    struct wire_sme_event seen[2];
    struct sme_turn turn;
    uint8_t za[MOST_SVL * MOST_SVL], za_seen[MOST_SVL * MOST_SVL];
    uint8_t vectors[SME_VECTORS(MOST_SVL)], vectors_seen[SME_VECTORS(MOST_SVL)];
};

/* Whether threads of this host have SME. */
bool host_has_sme(void);

/* Streaming vector lengths of the calling thread's host: bit vq - 1 each. 0 without SME. */
uint64_t host_sme_lengths(void);

/* Set the calling thread's streaming vector length, 0: leave it. Returns the length before. */
unsigned host_sme_begin(struct host_sme *sme, uint64_t svl);

/* Make ready for an event, the first (0) or the second (1), with `svcr` set before it. */
struct sme_turn *host_sme_prepare(struct host_sme *sme, unsigned number, unsigned svcr);

/* Keep what was found after an event. */
void host_sme_note(struct host_sme *sme, unsigned number);

/* Put the streaming vector length back. */
void host_sme_end(unsigned usual);

#endif
