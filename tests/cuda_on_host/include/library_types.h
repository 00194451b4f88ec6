/* Element types, as the real header numbers them. */
#ifndef LENS_TESTS_HOST_LIBRARY_TYPES_H
#define LENS_TESTS_HOST_LIBRARY_TYPES_H

typedef enum { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16BF = 14 } cudaDataType_t;
typedef cudaDataType_t cudaDataType;

#endif
