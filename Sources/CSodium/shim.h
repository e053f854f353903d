// The C headers behind CSodium.
#pragma once
#include <sodium.h>
