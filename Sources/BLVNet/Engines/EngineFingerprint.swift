// What decides the bits of the arithmetic on this machine: workers that differ in it must not share a run.
import CKernels
import COneDNN
import COpenBLAS

public enum EngineFingerprint {
  /// The libraries that convolve and multiply matrices, their kernels for this processor, and the variant of ours.
  public static var entries: [String: String] {
    unsafe [
      "openblas": String(cString: openblas_get_config()),
      "openblas_core": String(cString: openblas_get_corename()),
      "onednn": String(cString: tamring_dnn_fingerprint()),
      "kernels": String(cString: tamring_kernel_level()),
    ]
  }
}
