// MIGRATE: a vcpu's registers move to a new vcpu, as a VMM does it.
#pragma once

#include "vcpu.h"
#include "wire.h"

namespace emu {

// `source` may be null: its descriptor is then a bad one.
Observation Migrate(Vm& vm, Vcpu* source, const Op& op);

}  // namespace emu
