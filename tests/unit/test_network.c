#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "nn/optim/optimizer.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

void suite_network(void)
{
}
