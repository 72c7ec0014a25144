#ifndef VF_STRANGER_SIGNAL_H
#define VF_STRANGER_SIGNAL_H

#include "stranger.h"

/* Whether a signal of ours came to the calling thread since this was last asked. */
bool stranger_signalled(void);

#endif
