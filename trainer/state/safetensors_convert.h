/* Conversion of the floating-point types that other programs store to little-endian fp32. Private to safetensors*.c. */
#ifndef TRAINER_STATE_SAFETENSORS_CONVERT_H
#define TRAINER_STATE_SAFETENSORS_CONVERT_H

#include <stddef.h>

/* fp32 = `count` values of the converter's type in bytes; both little-endian; no overlap. */
typedef void (*safetensors_convert_fn)(unsigned char *fp32, const unsigned char *bytes, size_t count);

/* The converter from F64, F16 or BF16; NULL for any other type, F32 among them. F64 is rounded to nearest. */
safetensors_convert_fn safetensors_converter(const char *dtype);

#endif
