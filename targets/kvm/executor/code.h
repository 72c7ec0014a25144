/* What can be told from the words of a guest program. */
#ifndef VF_CODE_H
#define VF_CODE_H

#include <stdbool.h>
#include <stdint.h>

#define CODE_HVC 0xd4000002u
#define CODE_SMC 0xd4000003u
#define CODE_IMMEDIATE (0xffffu << 5) /* of either */
#define CODE_ASKS_VERSION 0xd2b08000u /* movz x0, #0x8400, lsl #16 */

/* Whether `word` behind `before` is the call that an hvc-loop makes: of PSCI_VERSION, which
 * changes nothing (corpus/isa/system.py). */
static inline bool code_asks_version(uint32_t before, uint32_t word)
{
    return before == CODE_ASKS_VERSION && word == CODE_HVC;
}

/* What an undef-loop does again and again: mrs x0, pmcr_el0. */
#define CODE_READS_PMCR 0xd53b9c00u

/* A wfi-loop: tbnz w0, #2, .+8; wfi. */
#define CODE_UNLESS_TIMER 0x37100040u
#define CODE_WFI 0xd503207fu

/* An mmio-loop: movz x0, #0x800, lsl #16 (GIC_DIST); ldr w0, [x0, #4]. */
#define CODE_TO_GIC 0xd2a10000u
#define CODE_READS_GIC 0xb9400400u

/* Loops that take their time, in a program; `waits`: for a timer. */
struct code_loops {
    bool any, waits;
};

struct code_loops code_loops(const uint8_t *code, uint32_t size);

#endif
