// Host faults caused by a guest's access, as against a crash of the emulator.
#pragma once

namespace emu {

// Installs the handler that turns the former into guest events.
void CatchGuestFaults();

}  // namespace emu
