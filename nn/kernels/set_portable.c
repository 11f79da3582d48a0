/* Plain C for any processor: the compiler makes of the vectors what the machine has (SSE2 on x86-64, NEON on arm64). */
#define SET_NAME    portable
#define VECTOR	    4
#define TILE_PIXELS 6
#define TILE_TAPS   6
#include "nn/kernels/set.inc"
