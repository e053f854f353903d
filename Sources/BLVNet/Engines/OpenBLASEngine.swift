// Convolutions as GEMMs: im2col, a tile at a time, and OpenBLAS.
import CKernels
import COpenBLAS

/// Runs everywhere, and is the reference that other engines are tested against.
///
/// A 1x1 convolution is one GEMM. Any other copies the receptive fields of a tile of output pixels into a matrix
/// [pixels, k, k, I] (im2col) and multiplies it by the weights, permuted to [O, k, k, I].
public struct OpenBLASEngine: FloatEngine {
  /// Keeps OpenBLAS from starting threads of its own inside a lane. The setting is global, so it is made once.
  private static let singleThread: Void = openblas_set_num_threads(1)

  public init() { Self.singleThread }

  /// Output pixels of a tile. Its matrix stays within 512 KB if that leaves enough rows to reuse the weights.
  private func tileRows(_ shape: ConvolutionShape, images: Int) -> Int {
    // A 1x1 convolution needs no im2col, and smaller tiles would only make OpenBLAS pack the weights more often.
    let wanted =
      shape.isPointwise ? max(1024, 524_288 / shape.outputChannels) : max(192, min(4096, 131_072 / shape.columns))
    return min(wanted, images * shape.outputHeight * shape.outputWidth)
  }

  /// OpenBLAS may add in another order when the size of a GEMM changes.
  public func isSeparable(_ shape: ConvolutionShape, _ direction: ConvolutionDirection) -> Bool { false }

  public func prepare(_ shape: ConvolutionShape, images: Int) -> Int {
    shape.isPointwise ? 0 : tileRows(shape, images: images) * shape.columns + shape.weightCount
  }

  public func prepare(_ shape: ConvolutionShape, images: Int, epilogue: EpilogueKind) -> Int {
    let sums = epilogue.adds ? tileRows(shape, images: images) * shape.outputChannels : 0
    return prepare(shape, images: images) + sums
  }

  /// The parts of the workspace: the permuted weights, then the im2col matrix.
  private func split(
    _ shape: ConvolutionShape, _ workspace: UnsafeMutablePointer<Float>
  ) -> (permuted: UnsafeMutablePointer<Float>, matrix: UnsafeMutablePointer<Float>) {
    unsafe (workspace, shape.isPointwise ? workspace : workspace + shape.weightCount)
  }

  /// Permutes the weights to [O, k, k, I], the order of the im2col matrix.
  private func permute(
    _ shape: ConvolutionShape, _ weights: UnsafePointer<Float>, into buffer: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    guard shape.kernel > 1 else { return unsafe weights }
    unsafe tamring_swap_inner(
      weights, Int64(shape.outputChannels), Int64(shape.inputChannels), Int64(shape.kernel * shape.kernel), buffer)
    return unsafe UnsafePointer(buffer)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    epilogue: UnsafePointer<tamring_epilogue>?, dst: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let outputs = shape.outputChannels
    let (permuted, matrix) = unsafe split(shape, workspace)
    let weights = unsafe permute(shape, weights, into: permuted)
    // An epilogue that adds to the results needs the sums elsewhere.
    let sums = unsafe matrix + (shape.isPointwise ? 0 : tileRows(shape, images: images) * shape.columns)
    unsafe forEachTile(shape, images, src, matrix, hasEpilogue: epilogue != nil) { first, rows, columns in
      let results = unsafe dst + first * outputs
      let product = unsafe epilogue?.pointee.adds == true ? sums : results
      unsafe multiply(
        rows, outputs, shape.columns, columns, shape.columns, false, weights, shape.columns, true, 0, product)
      if let epilogue = unsafe epilogue {
        unsafe tamring_apply_epilogue(epilogue, Int64(rows), Int64(outputs), product, results)
      }
    }
  }

  public func dataGradient(
    _ shape: ConvolutionShape, images: Int, dDst: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    accumulate: Bool, dSrc: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let outputs = shape.outputChannels
    let total = images * shape.outputHeight * shape.outputWidth
    let (permuted, matrix) = unsafe split(shape, workspace)
    let weights = unsafe permute(shape, weights, into: permuted)
    if shape.isPointwise {
      unsafe multiply(
        total, shape.columns, outputs, dDst, outputs, false, weights, shape.columns, false, accumulate ? 1 : 0, dSrc)
      return
    }
    if !accumulate {
      unsafe dSrc.update(repeating: 0, count: images * shape.inputCount)
    }
    let tile = tileRows(shape, images: images)
    var window = shape.window
    for first in stride(from: 0, to: total, by: tile) {
      let rows = min(tile, total - first)
      unsafe multiply(
        rows, shape.columns, outputs, dDst + first * outputs, outputs, false, weights, shape.columns, false, 0,
        matrix)
      unsafe tamring_col2im(&window, matrix, Int64(first), Int64(rows), dSrc)
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, images: Int, outputs part: Range<Int>, src: UnsafePointer<Float>,
    dDst: UnsafePointer<Float>, dWeights: UnsafeMutablePointer<Float>, workspace: UnsafeMutablePointer<Float>
  ) {
    let outputs = shape.outputChannels
    precondition(part == 0..<outputs, "OpenBLAS computes the gradient of all outputs at once")
    // The GEMM gives [O, k, k, I], which is permuted to [O, I, k, k] at the end.
    let (permuted, matrix) = unsafe split(shape, workspace)
    let product = unsafe shape.kernel == 1 ? dWeights : permuted
    unsafe forEachTile(shape, images, src, matrix) { first, rows, columns in
      unsafe multiply(
        outputs, shape.columns, rows, dDst + first * outputs, outputs, true, columns, shape.columns, false,
        first == 0 ? 0 : 1, product)
    }
    if shape.kernel > 1 {
      unsafe tamring_swap_inner(
        product, Int64(outputs), Int64(shape.kernel * shape.kernel), Int64(shape.inputChannels), dWeights)
    }
  }

  /// Calls `body` with the first row, the number of rows and the matrix [rows, columns] of each tile.
  /// - Parameter hasEpilogue: whether to tile even a 1x1 convolution, so that the epilogue finds the results in the
  ///   caches.
  private func forEachTile(
    _ shape: ConvolutionShape, _ images: Int, _ src: UnsafePointer<Float>, _ matrix: UnsafeMutablePointer<Float>,
    hasEpilogue: Bool = false, _ body: (Int, Int, UnsafePointer<Float>) -> Void
  ) {
    let total = images * shape.outputHeight * shape.outputWidth
    if shape.isPointwise && !hasEpilogue { return unsafe body(0, total, src) }
    let tile = tileRows(shape, images: images)
    var window = shape.window
    for first in stride(from: 0, to: total, by: tile) {
      let rows = min(tile, total - first)
      if shape.isPointwise {
        unsafe body(first, rows, src + first * shape.columns)
        continue
      }
      unsafe tamring_im2col(&window, src, Int64(first), Int64(rows), matrix)
      unsafe body(first, rows, matrix)
    }
  }
}

/// c [m, n] = a [m, k] · b [k, n] + beta · c, row-major; a transposed operand is stored [k, m] or [n, k].
func multiply(
  _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ aTransposed: Bool, _ b: UnsafePointer<Float>,
  _ ldb: Int, _ bTransposed: Bool, _ beta: Float, _ c: UnsafeMutablePointer<Float>
) {
  unsafe cblas_sgemm(
    CblasRowMajor, aTransposed ? CblasTrans : CblasNoTrans, bTransposed ? CblasTrans : CblasNoTrans, blasint(m),
    blasint(n), blasint(k), 1, a, blasint(lda), b, blasint(ldb), beta, c, blasint(n))
}
