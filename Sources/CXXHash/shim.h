// The C headers behind CXXHash.
#pragma once
#include <xxhash.h>
