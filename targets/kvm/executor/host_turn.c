#include "host_turn.h"

#include <stddef.h>

#include "sme_turn.h"
#include "vector_numbers.h"

/* The assembly's offsets. */
_Static_assert(offsetof(struct host_turn, fill) == 0, "fill");
_Static_assert(offsetof(struct host_turn, state) == 8, "state");
_Static_assert(offsetof(struct host_turn, fill_fpsr) == 16, "fill_fpsr");
_Static_assert(offsetof(struct host_turn, fill_fpcr) == 24, "fill_fpcr");
_Static_assert(offsetof(struct host_turn, system_call) == 32, "system_call");
_Static_assert(offsetof(struct host_turn, arguments) == 40, "arguments");
_Static_assert(offsetof(struct host_turn, result) == 64, "result");
_Static_assert(offsetof(struct host_turn, vl) == 72, "vl");
_Static_assert(offsetof(struct host_turn, fpsr) == 80, "fpsr");
_Static_assert(offsetof(struct host_turn, fpcr) == 88, "fpcr");
_Static_assert(offsetof(struct host_turn, sme) == 96, "sme");

/* x9: the turn, x10 and x11: Z and P in memory. A system call keeps all of them, and the
 * caller's d8..d15 and FPCR are put back. */
__asm__(".text\n"
        ".arch_extension sve\n"
        ".balign 16\n"
        ".globl vf_host_turn\n"
        ".hidden vf_host_turn\n"
        ".type vf_host_turn, %function\n"
        "vf_host_turn:\n"
        "    stp d8, d9, [sp, #-80]!\n"
        "    stp d10, d11, [sp, #16]\n"
        "    stp d12, d13, [sp, #32]\n"
        "    stp d14, d15, [sp, #48]\n"
        "    mrs x10, fpcr\n"
        "    stp x10, x30, [sp, #64]\n"
        "    mov x9, x0\n"

        "    ldr x10, [x9, #0]\n"
        FIND_P
        "    ldr p0, [x11, #16, mul vl]\n"
        "    wrffr p0.b\n"
        ALL_OF_P("ldr")
        ALL_OF_Z("ldr")
        "    ldp x10, x11, [x9, #16]\n"
        "    msr fpsr, x10\n"
        "    msr fpcr, x11\n"
        "    ldr x12, [x9, #96]\n"
        "    cbz x12, 1f\n"
        "    bl vf_sme_enter\n"

        "1:  ldr x8, [x9, #32]\n"
        "    ldp x0, x1, [x9, #40]\n"
        "    ldr x2, [x9, #56]\n"
        "    cbz x8, vf_host_turn_udf\n"
        "    svc #0\n"
        "    b 0f\n"
        ".globl vf_host_turn_udf\n"
        ".hidden vf_host_turn_udf\n"
        "vf_host_turn_udf:\n"
        "    .inst 0\n" /* udf #0 */
        "0:  mrs x10, fpsr\n"
        "    mrs x11, fpcr\n"
        "    stp x10, x11, [x9, #80]\n"
        "    str x0, [x9, #64]\n"
        "    ldr x12, [x9, #96]\n"
        "    cbz x12, 1f\n"
        "    bl vf_sme_leave\n"
        "1:  rdvl x10, #1\n"
        "    str x10, [x9, #72]\n"

        "    ldr x10, [x9, #8]\n"
        FIND_P
        ALL_OF_Z("str")
        ALL_OF_P("str")
        "    rdffr p0.b\n"
        "    str p0, [x11, #16, mul vl]\n"

        "    ldp x10, x30, [sp, #64]\n"
        "    msr fpcr, x10\n"
        "    ldp d14, d15, [sp, #48]\n"
        "    ldp d12, d13, [sp, #32]\n"
        "    ldp d10, d11, [sp, #16]\n"
        "    ldp d8, d9, [sp], #80\n"
        "    ret\n"
        ".size vf_host_turn, . - vf_host_turn\n"

        ".globl vf_spoil_vectors\n"
        ".hidden vf_spoil_vectors\n"
        ".type vf_spoil_vectors, %function\n"
        "vf_spoil_vectors:\n"
        "    .irp n, " P_NUMBERS "\n"
        "    pfalse p\\n\\().b\n"
        "    .endr\n"
        "    wrffr p0.b\n"
        "    .irp n, " Z_NUMBERS "\n"
        "    dup z\\n\\().b, #0\n"
        "    .endr\n"
        "    ret\n"
        ".size vf_spoil_vectors, . - vf_spoil_vectors\n"
        ".arch_extension nosve\n");
