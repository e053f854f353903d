// What decides the bits of the arithmetic on this machine: workers that differ in it must not share a run.
import CKernels
import COpenBLAS

public enum EngineFingerprint {
  /// The library that multiplies matrices, its kernels for this processor, and the variant of our own kernels.
  public static var entries: [String: String] {
    unsafe [
      "openblas": String(cString: openblas_get_config()),
      "openblas_core": String(cString: openblas_get_corename()),
      "kernels": String(cString: tamring_kernel_level()),
    ]
  }
}
