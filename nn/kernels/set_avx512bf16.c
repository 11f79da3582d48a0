/* AVX-512 as in set_avx512.c, and its BF16 instructions. */
#define SET_NAME    avx512bf16
#define VECTOR	    16
#define TILE_PIXELS 14
#define TILE_TAPS   12
#include "nn/kernels/set.inc"
