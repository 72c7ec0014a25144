// Executes a whole request in a fresh VM.
#pragma once

#include <string>

#include "host.h"
#include "wire.h"

namespace emu {

// Maps the guest's RAM; false if its address range is taken.
bool MapRam();

// The response to `request`, well-formed or not.
Bytes Serve(const Host& host, const Bytes& request);

}  // namespace emu
