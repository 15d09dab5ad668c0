/* Reuse convolutions: similar neuron vectors are found by hashing, and what is computed for one serves them all.
 *
 * A slice is L columns of the im2col matrix; its vectors are hashed by H hyperplanes into ids. In image scope (TREC
 * section 3.1) the vectors of this image that share an id are replaced by their centroid, and only centroids are
 * multiplied by the weights. In compiled scope the products are tables that were computed at export.
 *
 * Arrays that are called packed are laid out by the Python package's kernels/reuse_image.py and reuse_compiled.py, and
 * described beside the code that reads them: hashes in src/reuse/ost_reuse_hash.h
 * and ost_reuse_tree.h, slices in ost_reuse_slices.h.
 * L is padded to words of 4 columns whose hash components and weights are zero; vectors are never read beyond the
 * input tensor.
 */
#ifndef OST_REUSE_H
#define OST_REUSE_H

#include "ost_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OST_HASH_THRESHOLDS 2

/* Hyperplanes of all groups; a group is what one vector is hashed by. */
typedef struct {
    int32_t hashes;         /* H, bits of an id */
    int32_t tree;           /* 0: H planes, one for each bit; 1: the 2^H - 1 planes of a tree, of which H are asked; 2: the
                             * planes of the tree have one entry each (src/reuse/ost_reuse_thresholds.h) */
    int32_t words;          /* ceil(L / 4) */
    const int32_t *offsets; /* packed, negated: a bit is the sign of offset - v.x */
    const int16_t *vectors; /* packed, negated */
} ost_reuse_hash;

/* Where the columns of every slice lie, relative to the window's corner in the zero-padded (NHWC) input. */
typedef struct {
    int32_t count;         /* S */
    const int32_t *starts; /* S: first element of a slice that is contiguous; -1 - g: gathered, by gather[g] */
    const int32_t *gather; /* packed: words * 4 element offsets for each gathered slice; of words whose columns lie side by
                            * side the second is minus the number of such words from here on; NULL if none is gathered */
} ost_reuse_slices;

/* Image scope, vertical direction. The scratch begins with an int32: after a call, how many blocks of all slices found no
 * slot and were computed by themselves. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    ost_reuse_hash hash; /* S groups, or C / L; H from 1 to 16; b * ceil(L / 4) words */
    ost_reuse_slices slices;
    const int8_t *weights;     /* packed: S x ceil(M/4)*2 x words x 2 x 4, channels in the order 0 2 1 3 of every 4 */
    const int32_t *multiplier; /* ceil(M/4)*4, the same order */
    const int16_t *offset;     /* ceil(M/4)*4, the same order */
    int32_t fraction_bits;     /* F, 1 to 7 */
    int32_t slices_per_pass;   /* tables held at a time; S: outputs are finished at once, without accumulators */
    int32_t padded;            /* 1: the input is copied with its padding first; 0: padding, if there is any, is filled in
                                * where slices are gathered */
    int32_t tiles_per_group;   /* ... of so many tiles of 16 output channels; ceil(M/16): centroids need not be kept */
    int32_t pixel_ids;         /* 1: slices are channel blocks of pixels, L = words * 4 divides C, and all kernel
                                * positions share C / L groups of hashes: ids are found once per padded input pixel */
    int32_t slots;             /* clusters of a slice; 2^H (up to 256): an id is its slot; fewer (up to 255): the first
                                * ids have slots */
    int32_t block_rows;        /* b, rows of X in a block */
    const uint16_t *rows;      /* N: the output position of each row of X, in the order of blocks; NULL: its own */
    int32_t rest;              /* with several passes: positions at a time whose accumulators are in the scratch, beside those
                                * in the output tensor's memory; at least 1. If these are not all positions together,
                                * passes are repeated for the next ones */
} ost_reuse_image_s8_params;

ost_status ost_reuse_image_s8(const ost_reuse_image_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                              int8_t *out);
int32_t ost_reuse_image_s8_scratch_bytes(const ost_reuse_image_s8_params *params);

/* The same outputs in little scratch, several times slower. Nothing is held of a cluster but the sums of its members;
 * accumulators lie in the output tensor's memory, of as many positions at a time as it has room for beside the outputs
 * that are finished. Each time everything is found anew. */
typedef struct {
    ost_reuse_image_s8_params layer; /* rest as with several passes; slices_per_pass, padded, tiles_per_group and pixel_ids
                                      * do not matter: hash has S groups */
    int32_t run;                     /* vectors, or blocks, that are gathered and hashed together: 1 to 128 */
    int32_t together;                /* centroids that are multiplied together: 1 to 4 */
} ost_reuse_image_compact_s8_params;

ost_status ost_reuse_image_compact_s8(const ost_reuse_image_compact_s8_params *params, const ost_scratch *scratch,
                                      const int8_t *in, int8_t *out);
int32_t ost_reuse_image_compact_s8_scratch_bytes(const ost_reuse_image_compact_s8_params *params);

/* Image scope, horizontal direction (GR section 3.4). The scratch begins with an int32: after a call, how many units of all
 * panels found no slot and were computed by themselves. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    int32_t panel_rows;     /* l, rows of X in a panel */
    int32_t length;         /* L, columns of a unit */
    const int32_t *columns; /* K: where each column lies from a window's corner in the padded input */
    const uint16_t *rows;   /* N: the output position of each row of X, in the order of panels; NULL: its own */
    ost_reuse_hash hash;    /* one group, H from 1 to 16, ceil(l * L / 4) words */
    int32_t slots;          /* clusters of a panel; 2^H (up to 256): an id is its slot; fewer: up to 255 */
    const int8_t *weights;  /* packed: ceil(M/4) x K x 4 channels */
    const int32_t *bias;    /* ceil(M/4) x 4 */
    ost_output_stage output;
    int32_t centroid_bits;  /* f, 0 to 7 */
    int32_t rows_together;  /* rows of a panel that are multiplied together, 1 to l */
    int32_t units_together; /* units that are gathered and hashed together, 1 to 16 */
    int32_t compact;        /* 1: padding is filled in where columns are read; 0: the rows that a panel's windows reach are
                             * copied with their padding, if there is any */
} ost_reuse_horizontal_s8_params;

ost_status ost_reuse_horizontal_s8(const ost_reuse_horizontal_s8_params *params, const ost_scratch *scratch,
                                   const int8_t *in, int8_t *out);
int32_t ost_reuse_horizontal_s8_scratch_bytes(const ost_reuse_horizontal_s8_params *params);

/* Which vectors have ids that kernel positions share: the channel blocks of every input pixel; or, where slices are parts
 * of kernel rows, those that the windows of one input row have, for every row. A kernel row then is a pixel of the map,
 * the map has a column for each column of outputs, and its kernel is KH x 1. */
typedef struct {
    ost_window window;  /* over the map; the channels of its pixels are whole slices */
    int32_t pixel_step; /* from one pixel of the map to the next one, in elements of the layer's input */
    int32_t row_step;
    int32_t padded; /* 1: of the layer's input with its padding written out, and the map has none */
} ost_reuse_map;

/* Compiled scope. Ids are kept times 16, the bytes of a table entry's tile: uint8 up to H = 4, uint16 up to 12. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    int32_t mapped;              /* 1: ids are found once, for a map; 0: for every output and slice */
    int32_t band;                /* 1: of the map, or of a padded input, there are only the rows that a row of outputs
                                  * reads, made for one after the other, and runs are short; 0: all of it */
    int32_t length;              /* L */
    ost_reuse_hash hash;         /* a group for each slice of the map's pixels, or for all S slices; H from 1 to 12 */
    ost_reuse_map map;           /* mapped only */
    ost_reuse_slices slices;     /* not mapped only */
    const uint16_t *padding_ids; /* mapped only: the ids, times 16, of a pixel that is padding */
    int32_t rows;                /* R, table rows added per output */
    const int8_t *table;         /* packed: ceil(M/16) tiles x R x 2^H x 16 */
    const int16_t *offset;       /* ceil(M/16) x 16, channels in the order 0 2 1 3 of every 4 */
    const uint8_t *paired;       /* ceil(M/16): 1 where rows 2r and 2r + 1 add up within int8 whatever their ids */
    const int32_t *wide_offset;  /* ceil(M/16) x 16 in order, where int16 does not hold all sums; NULL where it does */
    int32_t fraction_bits;       /* F, 1 to 7 */
    int32_t out_stride;          /* bytes from one output pixel to the next: M, or more where others lie between */
    ost_size2 pool;              /* of a max-pool of the window's outputs, whose windows lie side by side; 1 x 1: none */
} ost_reuse_compiled_s8_params;

ost_status ost_reuse_compiled_s8(const ost_reuse_compiled_s8_params *params, const ost_scratch *scratch,
                                 const int8_t *in, int8_t *out);
int32_t ost_reuse_compiled_s8_scratch_bytes(const ost_reuse_compiled_s8_params *params);

/* Compiled scope, table rows by their addresses: a map of 4 bytes for each of its pixels and slices, and
 * generated code, which is faster. The functions of a layer,
 *     ost_status ost_reuse_pointers_s8_<sizes>(const ost_reuse_pointers_s8_params *, const ost_scratch *, in, out)
 * and its ..._scratch_bytes, are written by the Python package's kernels/reuse_pointers.py, for these sizes alone. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    ost_reuse_map map;           /* output channels in whole tiles of 16; at least 2 pixels wide */
    int32_t length;              /* L */
    ost_reuse_hash hash;         /* a group for each slice of the map's pixels, H from 1 to 12 */
    const uint16_t *padding_ids; /* the ids of a pixel that is padding */
    const int8_t *table;         /* packed: M/16 tiles x slices of a pixel x 2^H x the map's KH x KW x 16 */
    const int16_t *offset;       /* M, channels in the order 0 2 1 3 of every 4 */
    int32_t fraction_bits;       /* F, 1 to 7 */
    int32_t out_stride;          /* bytes from one output pixel to the next: M, or more where others lie between */
    ost_size2 pool;              /* of a max-pool of the window's outputs, whose windows lie side by side; 1 x 1: none */
} ost_reuse_pointers_s8_params;

#ifdef __cplusplus
}
#endif

#endif /* OST_REUSE_H */
