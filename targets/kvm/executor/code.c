#include "code.h"

#include <string.h>

bool code_loops(const uint8_t *code, uint32_t size)
{
    uint32_t pair[2];
    for (uint32_t i = 0; i + sizeof pair <= size; i += 4) {
        memcpy(pair, code + i, sizeof pair);
        if (code_asks_version(pair[0], pair[1]) || pair[1] == CODE_READS_PMCR)
            return true;
    }
    return false;
}
