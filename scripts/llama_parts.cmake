# What of llama.cpp is compiled for Nightjar: libllama, ggml and libmtmd. Its common library, a third of the work, is for
# programs that are not built; llama-cpp-python's own CMakeLists.txt asks for it, and a plain variable goes before that.
set(LLAMA_BUILD_COMMON OFF)
