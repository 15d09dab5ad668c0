/* Keeps every layer's output, to find the first layer that two builds disagree on. Not part of firmware. */
#include <stddef.h>

#include "model.h"

#ifndef TRACE_THREAD_LOCAL
#define TRACE_THREAD_LOCAL
#endif

/* Where the next layer's output goes; nothing is kept while NULL. */
static TRACE_THREAD_LOCAL int8_t *trace_next;
static TRACE_THREAD_LOCAL const int8_t *trace_arena;
static TRACE_THREAD_LOCAL const int8_t *trace_output;

/* For builds without another place for the outputs, which lie there one after another. */
int8_t trace_buffer[MODEL_TRACE_BYTES];

void model_on_layer(int index)
{
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
