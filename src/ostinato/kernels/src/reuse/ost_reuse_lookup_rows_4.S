/* The look-up for H = 4: 16 pairs of rows unrolled, uint8 ids (ost_reuse_lookup_rows_asm.h). */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

#include "ost_reuse_lookup_rows_asm.h"

    lookup_rows ost_reuse_lookup_rows_4, 4, 16, 8, 1, 0
    lookup_rows ost_reuse_lookup_pairs_4, 4, 16, 8, 1, 1

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
