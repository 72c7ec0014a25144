#include "code.h"

#include <string.h>

struct code_loops code_loops(const uint8_t *code, uint32_t size)
{
    struct code_loops found = {0};
    uint32_t pair[2];
    for (uint32_t i = 0; i + sizeof pair <= size; i += 4) {
        memcpy(pair, code + i, sizeof pair);
        found.waits |= pair[0] == CODE_UNLESS_TIMER && pair[1] == CODE_WFI;
        found.any |= pair[0] == CODE_TO_GIC && pair[1] == CODE_READS_GIC;
        found.any |= code_asks_version(pair[0], pair[1]) || pair[1] == CODE_READS_PMCR;
    }
    found.any |= found.waits;
    return found;
}
