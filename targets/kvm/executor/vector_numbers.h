/* All predicate and vector registers, in assembly. */
#ifndef VF_VECTOR_NUMBERS_H
#define VF_VECTOR_NUMBERS_H

#define P_NUMBERS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define Z_NUMBERS P_NUMBERS ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

/* x10: where Z is in memory; x11 becomes where P is, behind it. */
#define FIND_P                                                                                    \
    "    addvl x11, x10, #16\n"                                                                   \
    "    addvl x11, x11, #16\n"

/* ldr or str of them, with x10 and x11 as found. */
#define ALL_OF_P(ACCESS)                                                                          \
    "    .irp n, " P_NUMBERS "\n"                                                                 \
    "    " ACCESS " p\\n, [x11, #\\n, mul vl]\n"                                                  \
    "    .endr\n"
#define ALL_OF_Z(ACCESS)                                                                          \
    "    .irp n, " Z_NUMBERS "\n"                                                                 \
    "    " ACCESS " z\\n, [x10, #\\n, mul vl]\n"                                                  \
    "    .endr\n"

#endif
