/* The look-up for H = 8: 4 pairs of rows unrolled, uint16 ids (ost_reuse_lookup_rows_asm.h). */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

#include "ost_reuse_lookup_rows_asm.h"

    lookup_rows ost_reuse_lookup_rows_8, 8, 4, 4, 0, 0
    lookup_rows ost_reuse_lookup_pairs_8, 8, 4, 4, 0, 1

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
