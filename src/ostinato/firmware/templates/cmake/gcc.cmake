# arm-none-eabi-gcc:  cmake -B build -DCMAKE_TOOLCHAIN_FILE=cmake/gcc.cmake
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_ASM_COMPILER arm-none-eabi-gcc)
# GCC would otherwise turn short copies into calls of memcpy.
set(MODEL_TARGET_FLAGS $gcc_flags -fno-tree-loop-distribute-patterns)
set(MODEL_LIBRARIES gcc)
