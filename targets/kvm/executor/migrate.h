#ifndef VF_MIGRATE_H
#define VF_MIGRATE_H

#include "handler.h"

handler op_migrate;

#endif
