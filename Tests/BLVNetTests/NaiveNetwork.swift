// The network's forward pass once more, in double precision and as plainly as can be: what the fast code is tested
// against, directly and by finite differences.
import Shared

@testable import BLVNet

/// Interprets a structure's layers over arrays of doubles.
struct NaiveNetwork {
  let structure: Structure
  /// The running statistics, for frozen norms.
  var statistics: [Double] = []
  let input: [Double]
  let labels: [Int]

  private struct Image {
    let values: [Double]
    let shape: Value

    func at(_ frame: Int, _ y: Int, _ x: Int, _ c: Int) -> Double {
      guard y >= 0, y < shape.height, x >= 0, x < shape.width else { return 0 }
      return values[((frame * shape.height + y) * shape.width + x) * shape.channels + c]
    }
  }

  /// Mean over frames of the classifier's results in training form, [clips][classes].
  func logits(_ parameters: [Double]) -> [[Double]] {
    var values: [[Double]] = structure.values.map { _ in [] }
    values[0] = input
    for layer in structure.layers {
      for (index, result) in zip(layer.results, run(layer, values, parameters)) { values[index] = result }
    }
    let shape = structure.values[structure.head.features]
    let classes = structure.head.bias.count
    return labels.indices.map { clip in
      var mean = [Double](repeating: 0, count: shape.channels)
      let perClip = shape.count
      for i in 0..<perClip {
        mean[i % shape.channels] +=
          values[structure.head.features][clip * perClip + i] * Double(shape.channels)
          / Double(perClip)
      }
      return (0..<classes).map { k in
        mean.indices.reduce(parameters[structure.head.bias.offset + k]) {
          $0 + mean[$1] * parameters[structure.head.weight.offset + k * shape.channels + $1]
        }
      }
    }
  }

  /// The sum of the clips' cross-entropies.
  func loss(_ parameters: [Double]) -> Double {
    zip(logits(parameters), labels).reduce(0) { sum, clip in
      sum + PortableMath.log(clip.0.reduce(0) { $0 + PortableMath.exp($1) }) - clip.0[clip.1]
    }
  }

  private func run(_ layer: any Layer, _ values: [[Double]], _ parameters: [Double]) -> [[Double]] {
    func image(_ index: Int) -> Image { Image(values: values[index], shape: structure.values[index]) }
    let clips = labels.count
    switch layer {
    case let layer as Convolution:
      let (src, s) = (image(layer.src), layer.shape)
      return [
        generate(structure.values[layer.dst], clips) { frame, y, x, o in
          var sum = 0.0
          for i in 0..<s.inputChannels {
            for (a, b) in pairs(s.kernel) {
              let weight = parameters[layer.weight.offset + ((o * s.inputChannels + i) * s.kernel + a) * s.kernel + b]
              sum += weight * src.at(frame, y * s.stride + a - s.padding, x * s.stride + b - s.padding, i)
            }
          }
          return sum
        }
      ]
    case let layer as AveragePool:
      let src = image(layer.src)
      return [
        generate(structure.values[layer.dst], clips) { frame, y, x, c in
          pairs(3).reduce(0) { $0 + src.at(frame, 2 * y + $1.0 - 1, 2 * x + $1.1 - 1, c) / 9 }
        }
      ]
    case let layer as MaxPool:
      let src = image(layer.src)
      return [
        generate(structure.values[layer.dst], clips) { frame, y, x, c in
          var most = -Double.infinity
          for (i, j) in pairs(3) {
            let (row, column) = (2 * y + i - 1, 2 * x + j - 1)
            guard row >= 0, row < src.shape.height, column >= 0, column < src.shape.width else { continue }
            most = max(most, src.at(frame, row, column, c))
          }
          return most
        }
      ]
    case let layer as TemporalPool:
      let (src, result) = (image(layer.src), structure.values[layer.dst])
      let frames = src.shape.frames
      return [
        generate(result, clips) { frame, y, x, c in
          let (clip, t) = (frame / result.frames, frame % result.frames)
          let window = (2 * t - 1...2 * t + 1).filter { $0 >= 0 && $0 < frames }
          let values = window.map { src.at(clip * frames + $0, y, x, c) }
          return layer.pooling == .max ? values.max() ?? 0 : values.reduce(0, +) / 3
        }
      ]
    case let layer as Subsample:
      let (src, result) = (image(layer.src), structure.values[layer.dst])
      return [
        generate(result, clips) { frame, y, x, c in
          let from = frame / result.frames * src.shape.frames + frame % result.frames * layer.timeStride
          return src.at(from, y * layer.stride, x * layer.stride, c)
        }
      ]
    case let layer as FrameStack:
      let (src, result) = (image(layer.src), structure.values[layer.dst])
      return [
        generate(result, clips) { frame, y, x, c in
          let t = frame % result.frames * layer.stride + c % 3 - 1
          guard t >= 0, t < src.shape.frames else { return 0 }
          return src.at(frame / result.frames * src.shape.frames + t, y, x, c / 3)
        }
      ]
    case let layer as TemporalShift:
      let src = image(layer.src)
      let (half, frames) = (layer.source.frames != layer.frames, layer.frames)
      func shifted(_ clip: Int, _ t: Int, _ y: Int, _ x: Int, _ c: Int) -> Double {
        let from = c < layer.fold ? t + 1 : c < 2 * layer.fold ? t - 1 : t
        guard from >= 0, from < frames else { return 0 }
        return src.at(half ? clip * frames / 2 + from / 2 : clip * frames + from, y, x, c)
      }
      if layer.little == nil {
        return [generate(structure.values[layer.big], clips) { shifted($0 / frames, $0 % frames, $1, $2, $3) }]
      }
      return [1, 0].map { odd in
        generate(structure.values[layer.big], clips) { frame, y, x, c in
          shifted(frame / (frames / 2), frame % (frames / 2) * 2 + odd, y, x, c)
        }
      }
    case let layer as FrameSplit:
      let src = image(layer.src)
      return [1, 0].map { odd in
        generate(structure.values[layer.big], clips) { frame, y, x, c in src.at(2 * frame + odd, y, x, c) }
      }
    case let layer as TemporalModule:
      let src = image(layer.src)
      let (half, frames, taps) = (layer.source.frames != layer.frames, layer.frames, layer.taps)
      func result(_ clip: Int, _ t: Int, _ y: Int, _ x: Int, _ c: Int) -> Double {
        var sum = 0.0
        for (k, tap) in taps.enumerated() {
          let from = t + k - taps.count / 2
          guard from >= 0, from < frames else { continue }
          let frame = half ? clip * frames / 2 + from / 2 : clip * frames + from
          sum += parameters[tap.offset + c] * src.at(frame, y, x, c)
        }
        return max(0, sum)
      }
      if layer.little == nil {
        return [generate(structure.values[layer.big], clips) { result($0 / frames, $0 % frames, $1, $2, $3) }]
      }
      return [1, 0].map { odd in
        generate(structure.values[layer.big], clips) { frame, y, x, c in
          result(frame / (frames / 2), frame % (frames / 2) * 2 + odd, y, x, c)
        }
      }
    case let layer as BatchNorm:
      let src = image(layer.src)
      let channels = layer.shape.channels
      let moments = (0..<channels).map { c in
        if layer.weight.isFrozen, layer.bias.isFrozen {
          return (mean: statistics[layer.mean.offset + c], variance: statistics[layer.variance.offset + c])
        }
        let column = stride(from: c, to: src.values.count, by: channels).map { src.values[$0] }
        let mean = column.reduce(0, +) / Double(column.count)
        return (mean: mean, variance: column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(column.count))
      }
      let residual = layer.residual.map { image($0) }
      return [
        generate(layer.shape, clips) { frame, y, x, c in
          var value = (src.at(frame, y, x, c) - moments[c].mean) / (moments[c].variance + 1e-5).squareRoot()
          value = value * parameters[layer.weight.offset + c] + parameters[layer.bias.offset + c]
          if let residual {
            value += residual.at(
              frame, y * residual.shape.height / layer.shape.height, x * residual.shape.width / layer.shape.width, c)
          }
          return layer.relu ? max(0, value) : value
        }
      ]
    default: preconditionFailure("the reference does not know \(layer)")
    }
  }

  private func pairs(_ n: Int) -> [(Int, Int)] { (0..<n).flatMap { a in (0..<n).map { (a, $0) } } }

  private func generate(_ shape: Value, _ clips: Int, _ body: (Int, Int, Int, Int) -> Double) -> [Double] {
    var values: [Double] = []
    for frame in 0..<clips * shape.frames {
      for y in 0..<shape.height {
        for x in 0..<shape.width { for c in 0..<shape.channels { values.append(body(frame, y, x, c)) } }
      }
    }
    return values
  }
}
