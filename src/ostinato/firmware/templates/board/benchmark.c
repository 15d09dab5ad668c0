/* Times every layer with the core's cycle counter and prints the table over the serial port, so that the simulator's
 * cycles can be checked on the board. The first run fills caches; the second is printed. */
#include "board.h"
#include "model.h"

__attribute__((aligned(MODEL_ARENA_ALIGNMENT))) int8_t model_arena[MODEL_ARENA_BYTES];
int8_t model_output[MODEL_OUTPUT_BYTES];

static uint32_t started[MODEL_LAYERS + 1];

/* Takes the place of the weak one in model.c. */
void model_on_layer(int index)
{
    started[index] = board_cycles();
}

static int print_text(const char *text)
{
    int length = 0;
    for (; text[length] != '\0'; length++) {
        board_putc(text[length]);
    }
    return length;
}

static void print_padded(const char *text, int width)
{
    for (int n = print_text(text); n < width; n++) {
        board_putc(' ');
    }
}

/* Right-aligned. */
static void print_number(uint32_t value, int width)
{
    char digits[12];
    int at = 11;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (int n = 11 - at; n < width; n++) {
        board_putc(' ');
    }
    print_text(&digits[at]);
}

static void print_row(const char *name, const char *kernel, uint32_t cycles)
{
    print_padded(name, 28);
    board_putc(' ');
    print_padded(kernel, 24);
    print_number(cycles, 12);
    print_number(cycles / (board_clock_hz / 1000000u), 12);
    print_text("\r\n");
}

int main(void)
{
    board_init();
#if MODEL_EXTERNAL_BYTES > 0
    board_map_external();
#endif
    for (int run = 0; run < 2; run++) {
        int8_t *const input = model_arena + MODEL_INPUT_OFFSET;
        for (int i = 0; i < MODEL_INPUT_BYTES; i++) {
            input[i] = (int8_t)(i * 89 + (i >> 5)); /* any image: only image scope's time depends on it */
        }
        const int status = model_run(input, model_output, model_arena);
        if (status != 0) {
            print_text("model_run() refused a layer\r\n");
            return status;
        }
    }
    print_padded("layer", 28);
    board_putc(' ');
    print_padded("kernel", 24);
    print_text("      cycles          us\r\n");
    for (int i = 0; i < MODEL_LAYERS; i++) {
        print_row(model_layers[i].name, model_layers[i].kernel, started[i + 1] - started[i]);
    }
    print_row("total", "", started[MODEL_LAYERS] - started[0]);
    print_text("output");
    for (int i = 0; i < MODEL_OUTPUT_BYTES; i++) {
        print_text(model_output[i] < 0 ? " -" : " ");
        print_number((uint32_t)(model_output[i] < 0 ? -model_output[i] : model_output[i]), 0);
    }
    print_text("\r\n");
    return 0;
}
