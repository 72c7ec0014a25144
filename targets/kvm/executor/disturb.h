/* DISTURB: strangers around the ops that follow. */
#ifndef VF_DISTURB_H
#define VF_DISTURB_H

#include "handler.h"

handler op_disturb;

/* Whether there are strangers around. */
bool disturb_active(void);

/* The CPUs of this thread while there are none: a cpu_set_t. */
void disturb_usual_cpus(void *set);

/* What they are to disturb begins now. */
void disturb_arm(void);

/* An op is over, and with it perhaps what is around it. */
void disturb_op_done(void);

/* The case is over. */
void disturb_end(void);

/* Whether there is such a stranger here: a number of enum wire_stranger. */
bool disturb_available(uint64_t kind);

#endif
