#include "core/prof.h"

double prof_flops;
