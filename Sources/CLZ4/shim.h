// The C headers behind CLZ4.
#pragma once
#include <lz4.h>
