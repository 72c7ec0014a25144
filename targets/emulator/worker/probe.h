// What this machine is, for the leg's fingerprint.
#pragma once

#include <string>

#include "host.h"

namespace emu {

std::string ProbeText(const Host& host);

}  // namespace emu
