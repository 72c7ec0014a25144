// GET_ONE_REG as the wire's ops make it.
#pragma once

#include "vcpu.h"
#include "wire.h"

namespace emu {

// Into a buffer of 0x5a bytes, which is the data, also after an error; `b` as in the wire form.
// Without a vcpu: EBADF.
Observation GetReg(Vcpu* vcpu, uint64_t id, uint64_t b);

// Reads groups of registers and appends READ_ALL's data.
void PutGroups(Vcpu* vcpu, const uint8_t* groups, size_t size, Bytes& out);

}  // namespace emu
