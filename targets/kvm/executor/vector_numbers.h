/* Numbers of the predicate and vector registers, for `.irp` in assembly. */
#ifndef VF_VECTOR_NUMBERS_H
#define VF_VECTOR_NUMBERS_H

#define P_NUMBERS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define Z_NUMBERS P_NUMBERS ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

#endif
