/* AVX-512 as in set_avx512bf16.c, and AMX-BF16's tiles for products of bf16. */
#define SET_NAME    amx
#define VECTOR	    16
#define TILE_PIXELS 14
#define TILE_TAPS   12
#include "nn/kernels/set.inc"
