/* Into ZA and streaming mode, and out again, in assembly: no compiled code may run between. */
#ifndef VF_SME_TURN_H
#define VF_SME_TURN_H

#include <stdint.h>

/* Bytes of Z and P at a streaming vector length. */
#define SME_VECTORS(svl) (32u * (svl) + 2u * (svl))

struct sme_turn {
    uint64_t wanted; /* SVCR to have at the event */
    const uint8_t *za, *vectors; /* what to fill ZA, Z and P with then */
    uint8_t *za_seen, *vectors_seen; /* stored after the event, where SVCR says they are there */
    uint64_t svcr, svl; /* after the event */
};

/* Parts of vf_host_turn, with x9 and x12 as there; not to be called from C. */
void vf_sme_enter(void);
void vf_sme_leave(void);

#endif
