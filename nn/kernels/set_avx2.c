/* AVX2 and FMA. */
#define SET_NAME    avx2
#define VECTOR	    8
#define TILE_PIXELS 6
#define TILE_TAPS   6
#include "nn/kernels/set.inc"
