/* For harnesses whose functions are called one by one: a main that does nothing, unless the sources have their own. */
__attribute__((weak)) int main(void) { return 0; }
