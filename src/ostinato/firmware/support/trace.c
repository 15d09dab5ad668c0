/* A checksum of every layer's output, to find the first layer that two builds disagree on. Not part of firmware. */
#include <stddef.h>

#include "model.h"

#ifndef TRACE_THREAD_LOCAL
#define TRACE_THREAD_LOCAL
#endif

/* Where the current run writes; no checksums while NULL. */
static TRACE_THREAD_LOCAL uint32_t *trace_checksums;
static TRACE_THREAD_LOCAL const int8_t *trace_arena;
static TRACE_THREAD_LOCAL const int8_t *trace_output;

/* For builds without another place for them. */
uint32_t trace_buffer[MODEL_LAYERS];

void model_on_layer(int index)
{
    if (trace_checksums == NULL || index == 0) {
        return;
    }
    const model_layer_info *const layer = &model_layers[index - 1];
    const int8_t *const data = layer->output_offset < 0 ? trace_output : trace_arena + layer->output_offset;
    uint32_t sum = 1;
    for (int32_t i = 0; i < layer->output_bytes; i++) {
        sum = sum * 16777619u + (uint8_t)data[i];
    }
    trace_checksums[index - 1] = sum;
}

int traced_run(const int8_t *input, int8_t *output, void *arena, uint32_t *checksums);

int traced_run(const int8_t *input, int8_t *output, void *arena, uint32_t *checksums)
{
    trace_checksums = checksums;
    trace_arena = arena;
    trace_output = output;
    const int status = model_run(input, output, arena);
    trace_checksums = NULL;
    return status;
}
