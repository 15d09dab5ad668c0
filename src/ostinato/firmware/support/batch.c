/* Many images in one call, for accuracy on the host. Not part of firmware. */
#include "model.h"

int run_batch(const int8_t *inputs, int8_t *outputs, int32_t count, void *arena);

int run_batch(const int8_t *inputs, int8_t *outputs, int32_t count, void *arena)
{
    for (int32_t i = 0; i < count; i++) {
        const int status = model_run(inputs + (intptr_t)i * MODEL_INPUT_BYTES, outputs + (intptr_t)i * MODEL_OUTPUT_BYTES, arena);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}
