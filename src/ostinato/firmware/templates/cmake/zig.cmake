# zig's clang (pip install ziglang):  cmake -B build -DCMAKE_TOOLCHAIN_FILE=cmake/zig.cmake
# Another Python than python3: -DPYTHON=/path/to/python
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
if(NOT PYTHON)
  set(PYTHON python3)
endif()
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES PYTHON)
set(CMAKE_C_COMPILER $${PYTHON} -m ziglang cc -target thumb-freestanding-eabihf)
set(CMAKE_ASM_COMPILER $${PYTHON} -m ziglang cc -target thumb-freestanding-eabihf)
set(CMAKE_C_ARCHIVE_CREATE "$${PYTHON} -m ziglang ar qc <TARGET> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "$${PYTHON} -m ziglang ranlib <TARGET>")
set(MODEL_TARGET_FLAGS -mcpu=$zig_cpu -fno-sanitize=undefined)
