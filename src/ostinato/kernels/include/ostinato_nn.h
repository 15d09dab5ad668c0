/* Ostinato's kernels: conventional and computation-reuse int8 operators for Cortex-M and plain C. */
#ifndef OSTINATO_NN_H
#define OSTINATO_NN_H

#include "ost_conventional.h"
#include "ost_reuse.h"
#include "ost_stem.h"
#include "ost_types.h"

#endif /* OSTINATO_NN_H */
