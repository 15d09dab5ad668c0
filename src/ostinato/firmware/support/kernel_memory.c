/* Memory for kernels that are called by name: parameters, arrays, scratch, input and output. */
unsigned char kernel_memory[16 << 20] __attribute__((aligned(16)));
