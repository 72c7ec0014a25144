/* The host thread's own vector state around one event, in assembly: compiled code between
 * filling and storing would use the registers. */
#ifndef VF_HOST_TURN_H
#define VF_HOST_TURN_H

#include <stdint.h>

struct sme_turn;

struct host_turn {
    const uint8_t *fill; /* Z0..Z31, P0..P15, FFR at the vector length in force */
    uint8_t *state;      /* likewise, stored after the event */
    uint64_t fill_fpsr, fill_fpcr;
    uint64_t system_call; /* its number; 0: take a SIGILL instead */
    uint64_t arguments[3];
    int64_t result; /* the system call's */
    uint64_t vl, fpsr, fpcr;
    struct sme_turn *sme; /* NULL: neither ZA nor streaming mode */
};

/* Fill the registers; make the system call, or execute the instruction that is undefined;
 * store the registers. Needs SVE. */
void vf_host_turn(struct host_turn *turn);

/* The undefined instruction. */
extern const char vf_host_turn_udf[];

/* Zero Z, P and FFR, those that a function should keep too: only for a signal handler. */
void vf_spoil_vectors(void);

#endif
