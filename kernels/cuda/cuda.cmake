# ---- the CUDA backend: a module by nvcc, which kernels/cuda_load.c loads, with what ptxas says of each kernel; the same
# files for the host, to test them without a GPU; or none. Whoever links lens_train links one of the three, last: the
# choice of a device, kernels/device.c, is part of each. ----
file(GLOB cuda_sources CONFIGURE_DEPENDS kernels/cuda/*.cu)
add_library(lens_no_cuda STATIC kernels/device.c kernels/no_cuda.c)
target_link_libraries(lens_no_cuda PUBLIC lens_kernels)
set(lens_cuda lens_no_cuda)
if(LENS_CUDA)
  if(NOT LENS_NVCC)
    message(FATAL_ERROR "LENS_CUDA is ON and nvcc is neither in PATH nor in /usr/local/cuda/bin")
  endif()
  get_filename_component(cuda_root ${LENS_NVCC} REALPATH)
  get_filename_component(cuda_root ${cuda_root}/../.. ABSOLUTE)
  set(cuda_objects "")
  set(cuda_reports "")
  foreach(source ${cuda_sources})
    get_filename_component(name ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
    add_custom_command(OUTPUT ${object} ${object}.txt DEPENDS ${source} DEPFILE ${object}.d VERBATIM
      COMMAND ${CMAKE_SOURCE_DIR}/kernels/cuda/compile.sh ${object} ${LENS_NVCC} -std=c++17 -O3 -lineinfo
        -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90] -Xptxas -v
        -Werror all-warnings -Xcompiler -fPIC,-g,-Wall,-Wextra,-Wshadow -I ${CMAKE_SOURCE_DIR} -MD -MF ${object}.d
        -c ${source}
      COMMENT "nvcc ${name}.cu")
    list(APPEND cuda_objects ${object})
    list(APPEND cuda_reports ${object}.txt)
  endforeach()
  add_custom_command(OUTPUT cuda_resources.txt DEPENDS ${cuda_reports} VERBATIM
    COMMAND cat ${cuda_reports} > ${CMAKE_BINARY_DIR}/cuda_resources.txt
    COMMAND ${CMAKE_SOURCE_DIR}/kernels/cuda/resources.sh table ${CMAKE_BINARY_DIR}/cuda_resources.txt
    COMMENT "the kernels' resources")
  add_custom_target(cuda_resources ALL DEPENDS cuda_resources.txt)
  foreach(library cublasLt cudnn nccl)
    find_library(LENS_LIB_${library} ${library} PATHS ${cuda_root}/lib64 REQUIRED)
    list(APPEND cuda_libraries ${LENS_LIB_${library}})
  endforeach()
  add_library(lens_cuda_module MODULE ${cuda_objects})
  set_source_files_properties(${cuda_objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set_target_properties(lens_cuda_module PROPERTIES PREFIX "" OUTPUT_NAME lens_cuda LINKER_LANGUAGE CXX
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  target_link_libraries(lens_cuda_module ${cuda_root}/lib64/libcudart_static.a ${cuda_libraries} Threads::Threads rt
    ${CMAKE_DL_LIBS})
  add_library(lens_cuda STATIC kernels/device.c kernels/cuda_load.c)
  target_link_libraries(lens_cuda PUBLIC lens_kernels ${CMAKE_DL_LIBS})
  add_dependencies(lens_cuda lens_cuda_module)
  set(lens_cuda lens_cuda)
endif()
if(NOT LENS_FUZZ)
  file(GLOB host_sources CONFIGURE_DEPENDS tests/cuda_on_host/*.c tests/cuda_on_host/*.cu)
  add_library(lens_cuda_host STATIC kernels/device.c ${cuda_sources} ${host_sources})
  set_source_files_properties(${cuda_sources} tests/cuda_on_host/emulation_kernels.cu PROPERTIES LANGUAGE CXX COMPILE_OPTIONS -Wno-unknown-pragmas)
  target_include_directories(lens_cuda_host BEFORE PRIVATE tests/cuda_on_host/include)
  target_compile_options(lens_cuda_host PRIVATE -fno-strict-aliasing) # CUDA's vector types lie over arrays
  target_link_libraries(lens_cuda_host PUBLIC lens_kernels)
endif()
