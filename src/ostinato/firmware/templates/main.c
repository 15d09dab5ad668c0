/* Example: run the network once. Replace it by your application; nothing else depends on it. */
#include "model.h"

/* All the SRAM that the network needs, apart from the stack. */
__attribute__((aligned(MODEL_ARENA_ALIGNMENT))) int8_t model_arena[MODEL_ARENA_BYTES];
int8_t model_output[MODEL_OUTPUT_BYTES];

/* Index of the largest output, or the negative status of model_run(). */
static int classify(const int8_t *input)
{
    const int status = model_run(input, model_output, model_arena);
    if (status != 0) {
        return status;
    }
    int best = 0;
    for (int i = 1; i < MODEL_OUTPUT_BYTES; i++) {
        if (model_output[i] > model_output[best]) {
            best = i;
        }
    }
    return best;
}

int main(void)
{
    /* On a board, before this: with MODEL_EXTERNAL_BYTES, external flash has to be memory-mapped (board/map_external.c). */

    /* Put the image here (a camera's DMA may do it); its bytes are used again by later layers. */
    int8_t *const input = model_arena + MODEL_INPUT_OFFSET;
    for (int i = 0; i < MODEL_INPUT_BYTES; i++) {
        input[i] = MODEL_INPUT_ZERO_POINT;
    }
    return classify(input) < 0;
}
