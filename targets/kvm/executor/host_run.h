#ifndef VF_HOST_RUN_H
#define VF_HOST_RUN_H

#include "handler.h"

handler op_host_run;

#endif
