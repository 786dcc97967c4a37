# What of llama.cpp is compiled for Nightjar: libllama, ggml and libmtmd. Its common library, a third of the work, is for
# programs that are not built; llama-cpp-python's own CMakeLists.txt asks for it, and a plain variable goes before that.
set(LLAMA_BUILD_COMMON OFF)

# GCC before 12.4 (and 11.5, 13.3) drops what is written into a tile configuration before `_tile_loadconfig` reads it
# (GCC's bug 114098), and llama.cpp ends with an illegal instruction on processors with AMX. It does without AMX there.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    set(gcc "${CMAKE_C_COMPILER_VERSION}")
    if(gcc VERSION_LESS 11.5 OR (gcc VERSION_GREATER_EQUAL 12 AND gcc VERSION_LESS 12.4)
       OR (gcc VERSION_GREATER_EQUAL 13 AND gcc VERSION_LESS 13.3))
        add_compile_options(-mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
    endif()
endif()
