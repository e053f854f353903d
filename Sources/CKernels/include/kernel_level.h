#pragma once

/// The instruction level that the kernels' variants are chosen for on this machine.
const char *tamring_kernel_level(void);
