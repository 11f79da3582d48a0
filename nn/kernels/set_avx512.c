/* AVX-512 F, BW, DQ, VL. */
#define SET_NAME    avx512
#define VECTOR	    16
#define TILE_PIXELS 14
#define TILE_TAPS   12
#include "nn/kernels/set.inc"
