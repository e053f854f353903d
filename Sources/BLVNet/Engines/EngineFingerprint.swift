// Identifies what decides the bits of arithmetic on this machine. Workers that differ in it must not share a run.
import CKernels
import COneDNN
import COpenBLAS

public enum EngineFingerprint {
  /// The versions of oneDNN and OpenBLAS, their kernels for this processor, and the level of our own kernels.
  public static var entries: [String: String] {
    unsafe [
      "openblas": String(cString: openblas_get_config()),
      "openblas_core": String(cString: openblas_get_corename()),
      "onednn": String(cString: tamring_dnn_fingerprint()),
      "kernels": String(cString: tamring_kernel_level()),
    ]
  }
}
