/* For the desktop: images on stdin, logits on stdout.
 *
 *   build/host < images.bin            int8 images, MODEL_INPUT_BYTES each, as model_run() takes them
 *   build/host u8 < images.bin         pixels as a camera gives them (0 ... 255): 128 is subtracted from each byte
 *
 * Prints one line of int8 outputs for each image; to stderr, at the end, how many neuron blocks of all images found no
 * slot in a layer's table and were computed by themselves. */
#include <stdio.h>
#include <string.h>

#include "model.h"

__attribute__((aligned(MODEL_ARENA_ALIGNMENT))) static int8_t arena[MODEL_ARENA_BYTES];
static int8_t output[MODEL_OUTPUT_BYTES];
static unsigned char image[MODEL_INPUT_BYTES];
static int8_t input[MODEL_INPUT_BYTES];

static long long counts[MODEL_LAYERS];

void model_on_layer(int index)
{
    if (index > 0 && model_layers[index - 1].count_offset >= 0) {
        int32_t count;
        memcpy(&count, arena + model_layers[index - 1].count_offset, sizeof count);
        counts[index - 1] += count;
    }
}

static void print_counts(void)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        if (model_layers[i].count_offset >= 0) {
            fprintf(stderr, "%s: %lld neuron blocks found no slot\n", model_layers[i].name, counts[i]);
        }
    }
}

int main(int argc, char **argv)
{
    const int offset = argc > 1 && strcmp(argv[1], "u8") == 0 ? 128 : 0;
    if (argc > 2 || (argc == 2 && offset == 0)) {
        fprintf(stderr, "usage: %s [u8] < images\n", argv[0]);
        return 2;
    }
    size_t got;
    while ((got = fread(image, 1, sizeof image, stdin)) == sizeof image) {
        for (int i = 0; i < MODEL_INPUT_BYTES; i++) {
            input[i] = (int8_t)(image[i] - offset);
        }
        const int status = model_run(input, output, arena);
        if (status != 0) {
            fprintf(stderr, "model_run() returned %d\n", status);
            return 1;
        }
        for (int i = 0; i < MODEL_OUTPUT_BYTES; i++) {
            printf("%d%c", output[i], i + 1 < MODEL_OUTPUT_BYTES ? ' ' : '\n');
        }
    }
    print_counts();
    if (got != 0) {
        fprintf(stderr, "the last image has %lu of %d bytes\n", (unsigned long)got, MODEL_INPUT_BYTES);
        return 1;
    }
    return 0;
}
