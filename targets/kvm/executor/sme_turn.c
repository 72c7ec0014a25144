#include "sme_turn.h"

#include <stddef.h>

#include "vector_numbers.h"

/* The assembly's offsets. */
_Static_assert(offsetof(struct sme_turn, wanted) == 0, "wanted");
_Static_assert(offsetof(struct sme_turn, za) == 8, "za");
_Static_assert(offsetof(struct sme_turn, vectors) == 16, "vectors");
_Static_assert(offsetof(struct sme_turn, za_seen) == 24, "za_seen");
_Static_assert(offsetof(struct sme_turn, vectors_seen) == 32, "vectors_seen");
_Static_assert(offsetof(struct sme_turn, svcr) == 40, "svcr");
_Static_assert(offsetof(struct sme_turn, svl) == 48, "svl");

/* As words: assemblers that know SVE need not know SME. */
#define SMSTART_SM ".inst 0xd503437f\n"
#define SMSTART_ZA ".inst 0xd503457f\n"
#define SMSTOP ".inst 0xd503467f\n"
#define MRS_X13_SVCR ".inst 0xd53b424d\n"
#define RDSVL_X11 ".inst 0x04bf582b\n"      /* rdsvl x11, #1 */
#define LDR_ZA_W14_X10 ".inst 0xe1004140\n" /* ldr za[w14, 0], [x10] */
#define STR_ZA_W14_X10 ".inst 0xe1204140\n" /* str za[w14, 0], [x10] */

/* One vector of ZA after another: x10 where in memory, x11 bytes of each. */
#define ALL_OF_ZA(ACCESS)                                                                         \
    RDSVL_X11 "    mov w14, #0\n"                                                                 \
              "0:  " ACCESS "    add x10, x10, x11\n"                                             \
              "    add w14, w14, #1\n"                                                            \
              "    cmp w14, w11\n"                                                                \
              "    b.lo 0b\n"

/* x9: the turn, x12: its part of SME. FPSR is filled last, since to change the mode sets it. */
__asm__(".text\n"
        ".arch_extension sve\n"
        ".balign 16\n"
        ".globl vf_sme_enter\n"
        ".hidden vf_sme_enter\n"
        ".type vf_sme_enter, %function\n"
        "vf_sme_enter:\n"
        "    ldr x13, [x12, #0]\n"
        "    tbz x13, #1, 1f\n"
        "    " SMSTART_ZA "    ldr x10, [x12, #8]\n" ALL_OF_ZA(LDR_ZA_W14_X10)
        "1:  tbz x13, #0, 2f\n"
        "    " SMSTART_SM
        "    ldr x10, [x12, #16]\n"
        FIND_P
        ALL_OF_P("ldr")
        ALL_OF_Z("ldr")
        "    ldr x10, [x9, #16]\n"
        "    msr fpsr, x10\n"
        "2:  ret\n"
        ".size vf_sme_enter, . - vf_sme_enter\n"

        ".globl vf_sme_leave\n"
        ".hidden vf_sme_leave\n"
        ".type vf_sme_leave, %function\n"
        "vf_sme_leave:\n"
        "    " MRS_X13_SVCR "    " RDSVL_X11
        "    stp x13, x11, [x12, #40]\n"
        "    tbz x13, #1, 1f\n"
        "    ldr x10, [x12, #24]\n" ALL_OF_ZA(STR_ZA_W14_X10)
        "1:  tbz x13, #0, 2f\n"
        "    ldr x10, [x12, #32]\n"
        FIND_P
        ALL_OF_Z("str")
        ALL_OF_P("str")
        "2:  " SMSTOP
        "    ret\n"
        ".size vf_sme_leave, . - vf_sme_leave\n"
        ".arch_extension nosve\n");
