#ifndef VF_PROBE_H
#define VF_PROBE_H

#include "handler.h"

handler op_probe;

#endif
