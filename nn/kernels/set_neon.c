/* arm64's NEON: 32 registers of 4 floats, multiply-adds. */
#define SET_NAME    neon
#define VECTOR	    4
#define TILE_PIXELS 14
#define TILE_TAPS   12
#include "nn/kernels/set.inc"
