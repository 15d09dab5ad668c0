/* Keeps every layer's output, to find the first layer that two builds disagree on. Not part of firmware. */
#include <stddef.h>
#include <string.h>

#include "model.h"

#ifndef TRACE_THREAD_LOCAL
#define TRACE_THREAD_LOCAL
#endif

/* Where the next layer's output goes; nothing is kept while NULL. */
static TRACE_THREAD_LOCAL int8_t *trace_next;
static TRACE_THREAD_LOCAL const int8_t *trace_arena;
static TRACE_THREAD_LOCAL const int8_t *trace_output;

/* MODEL_LAYERS sums of what layers count; nothing is added while NULL. */
static TRACE_THREAD_LOCAL int64_t *trace_counts;
static TRACE_THREAD_LOCAL const int8_t *trace_counts_arena;

/* For builds without another place for the outputs, which lie there one after another. */
int8_t trace_buffer[MODEL_TRACE_BYTES];

static void count_layer(int index)
{
    const int32_t offset = model_layers[index].count_offset;
    if (offset >= 0) {
        int32_t count;
        memcpy(&count, trace_counts_arena + offset, sizeof count);
        trace_counts[index] += count;
    }
}

void model_on_layer(int index)
{
    if (trace_counts != NULL && index > 0) {
        count_layer(index - 1);
    }
    if (trace_next == NULL || index == 0) {
        return;
    }
    const model_layer_info *const layer = &model_layers[index - 1];
    const int8_t *const data = layer->output_offset < 0 ? trace_output : trace_arena + layer->output_offset;
    const int8_t *const end = trace_next + layer->output_bytes;
    for (const int8_t *run = data; trace_next < end; run += layer->run_stride) {
        for (int32_t i = 0; i < layer->run_bytes; i++) {
            *trace_next++ = run[i];
        }
    }
}

int traced_run(const int8_t *input, int8_t *output, void *arena, int8_t *trace);

int traced_run(const int8_t *input, int8_t *output, void *arena, int8_t *trace)
{
    trace_next = trace;
    trace_arena = arena;
    trace_output = output;
    const int status = model_run(input, output, arena);
    trace_next = NULL;
    return status;
}

int counted_run(const int8_t *input, int8_t *output, void *arena, int64_t *counts);

int counted_run(const int8_t *input, int8_t *output, void *arena, int64_t *counts)
{
    trace_counts = counts;
    trace_counts_arena = arena;
    const int status = model_run(input, output, arena);
    trace_counts = NULL;
    return status;
}
