// The C headers behind COpenBLAS.
#pragma once
#include <cblas.h>
