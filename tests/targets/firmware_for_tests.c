/* A bit of everything that the simulator must count, attribute or catch. */
#include <stdint.h>
#include <string.h>

int32_t initialised[4] = {1, 2, 3, 4};
uint8_t bytes_in[64], bytes_out[64];
const int32_t in_flash[4] = {5, 6, 7, 8};
static volatile int sink;

#define OUT_OF_LINE __attribute__((noinline))

int weighted(int a, int b, int c, int d, int e, int f) { return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f; }
float scaled(float x) { return x * 1.5f + (float)initialised[0]; }
int scaled_int(int x) { return (int)scaled((float)x); }
int copy(int n) {
    memcpy(bytes_out, bytes_in, (size_t)n);
    return bytes_out[n - 1];
}
void move_up(int n) { memmove(bytes_out + 3, bytes_out, (size_t)n); }
void fill(int value, int n) { memset(bytes_out, value, (size_t)n); }
int long_division(int a, int b) { return (int)(((uint64_t)a << 20) / (uint64_t)b); }

int smlad(int a, int b, int c) {
    int result;
    __asm("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c));
    return result;
}

OUT_OF_LINE int collatz(unsigned n) {
    int steps = 0;
    for (; n != 1; steps++) n = n & 1 ? 3 * n + 1 : n / 2;
    return steps;
}

OUT_OF_LINE void sort(uint8_t *values, int n) {
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && values[j - 1] > values[j]; j--) {
            const uint8_t t = values[j];
            values[j] = values[j - 1];
            values[j - 1] = t;
        }
}

OUT_OF_LINE int choose(int x) {
    switch (x) {
    case 0: sink = 3; return 9;
    case 1: sink = 5; return sink * 2;
    case 2: sink = x; return 7;
    case 3: return sink;
    case 4: sink++; return 1;
    default: return x;
    }
}

OUT_OF_LINE int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

int everything(int n) {
    int sum = 0;
    for (int i = 0; i < 64; i++) bytes_in[i] = (uint8_t)(i * 37 + n);
    sort(bytes_in, 64);
    sum += copy(64);
    for (int i = 1; i < n; i++) sum += collatz((unsigned)i) + choose(i % 7);
    return sum + fibonacci(10) + bytes_out[63];
}

OUT_OF_LINE void marker(int index) { __asm volatile("" : : "r"(index)); }

int layers(int n) {
    int sum = fibonacci(5);
    for (int i = 0; i < n; i++) {
        marker(i);
        sum += collatz((unsigned)(i + 3));
    }
    return sum;
}

OUT_OF_LINE int nested(int depth) {
    volatile int frame[20];
    __asm volatile("" : : "r"(frame) : "memory"); /* all of it must exist */
    frame[0] = depth;
    return depth == 0 ? frame[0] : nested(depth - 1) + frame[0];
}

OUT_OF_LINE int untouched_frame(void) {
    volatile uint8_t frame[1000];
    __asm volatile("" : : "r"(frame) : "memory");
    frame[999] = 1; /* the rest of it is never written: paint would not see it */
    return frame[999];
}

static uintptr_t address(uintptr_t where) { /* compilers warn of such addresses where they see them */
    __asm volatile("" : "+r"(where));
    return where;
}

OUT_OF_LINE void write_null(void) { *(volatile int *)address(4) = 1; }
OUT_OF_LINE int read_far(void) { return *(volatile int *)address(0x60000000); }
OUT_OF_LINE void write_flash(void) { *(volatile int32_t *)&in_flash[1] = 3; }
OUT_OF_LINE void undefined_instruction(void) { __asm volatile("udf #0"); }
OUT_OF_LINE void breakpoint(void) { __asm volatile("bkpt #1"); }
OUT_OF_LINE void jump_nowhere(void) {
    ((void (*)(void))0x70000001)();
    sink = 1;
}
OUT_OF_LINE void forever(void) {
    for (;;) sink++;
}
