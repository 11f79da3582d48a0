/* What libFuzzer calls. Compiled once for each target, with -DTARGET=its name. */
#include "tests/fuzz/targets.h"

#define JOIN(a, b)	    a##b
#define FUNCTION_OF(target) JOIN(fuzz_, target)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	FUNCTION_OF(TARGET)(bytes, size);
	return 0;
}
