// Changes of colours against numbers of PyTorch (make_colours.py), and what of a clip is erased.
import CKernels
import Shared
import Testing

@testable import Video

@Suite struct PixelChangesTests {
  private static let frame: [Float] = [
    0.9, 0.1, 0.2, 0.25, 0.5, 0.75, 0.0, 1.0, 0.3, 0.6, 0.6, 0.6, 0.1, 0.05, 0.8, 0.7, 0.65, 0.0,
  ]
  private static let changed: [(PixelChanges.Colour, [Float])] = [
    (
      .brightness(1.3),
      [1.0, 0.13, 0.26, 0.325, 0.65, 0.975, 0.0, 1.0, 0.39, 0.78, 0.78, 0.78, 0.13, 0.065, 1.0, 0.91, 0.845, 0.0]
    ),
    (
      .contrast(0.6),
      [
        0.72444, 0.24444, 0.30444, 0.33444, 0.48444, 0.63444, 0.18444, 0.78444, 0.36444, 0.54444, 0.54444, 0.54444,
        0.24444, 0.21444, 0.66444, 0.60444, 0.57444, 0.18444,
      ]
    ),
    (
      .contrast(1.5),
      [
        1.0, 0.0, 0.06945, 0.14445, 0.51945, 0.89445, 0.0, 1.0, 0.21945, 0.66945, 0.66945, 0.66945, 0.0, 0.0, 0.96945,
        0.81945, 0.74445, 0.0,
      ]
    ),
    (
      .saturation(0.4),
      [
        0.57031, 0.25031, 0.29031, 0.37224, 0.47224, 0.57223, 0.37272, 0.77272, 0.49272, 0.59996, 0.59996, 0.59996,
        0.13026, 0.11026, 0.41026, 0.63447, 0.61447, 0.35447,
      ]
    ),
    (
      .saturation(1.8),
      [
        1.0, 0.0, 0.07959, 0.08702, 0.53702, 0.98702, 0.0, 1.0, 0.04304, 0.60005, 0.60005, 0.60005, 0.05965, 0.0, 1.0,
        0.78738, 0.69738, 0.0,
      ]
    ),
    (.hue(0.2), [0.84, 0.9, 0.1, 0.6, 0.25, 0.75, 0.0, 0.5, 1.0, 0.6, 0.6, 0.6, 0.8, 0.05, 0.6, 0.0, 0.7, 0.09]),
    (
      .hue(-0.45),
      [0.1, 0.76, 0.9, 0.75, 0.65, 0.25, 1.0, 0.0, 0.4, 0.6, 0.6, 0.6, 0.525, 0.8, 0.05, 0.16, 0.0, 0.7]
    ),
  ]
  private static let (mean, deviation): ([Float], [Float]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

  @Test("brightness, contrast, saturation and hue change as torchvision's, frame by frame")
  func colours() {
    for (colour, expected) in Self.changed {
      // 36 pixels, six times over, so that the frame is square; and a second frame, whose mean is another.
      let square = (0..<6).flatMap { _ in Self.frame } + [Float](repeating: 0.5, count: 108)
      var clip = square.enumerated().map { ($1 - Self.mean[$0 % 3]) / Self.deviation[$0 % 3] }
      clip.withUnsafeMutableBufferPointer { PixelChanges(colours: [colour]).apply(to: $0, size: 6) }
      for i in 0..<108 {
        let found = clip[i] * Self.deviation[i % 3] + Self.mean[i % 3]
        #expect(abs(found - expected[i % 18]) < 3e-5, "\(colour), \(i)")
      }
    }
  }

  private func form(_ rule: PixelRule, training: Bool = true) -> ClipForm {
    ClipForm(frames: 2, size: 32, training: training, seed: 5, pixels: rule)
  }

  @Test("changes are a function of seed, epoch and clip, within their bounds, and none in evaluation")
  func drawn() {
    let rule = PixelRule(colour: 0.4, hue: 0.1, erasing: 0.5)
    var orders: Set<[String]> = []
    var (erased, seen) = (0, Set<PixelChanges>())
    for clip in 0..<400 {
      let changes = PixelChanges(form(rule), epoch: 1, clip: clip)
      #expect(changes == PixelChanges(form(rule), epoch: 1, clip: clip))
      seen.insert(changes)
      orders.insert(changes.colours.map { "\("\($0)".prefix(3))" })
      for colour in changes.colours {
        switch colour {
        case .brightness(let x), .contrast(let x), .saturation(let x): #expect((0.6...1.4).contains(x))
        case .hue(let x): #expect((-0.1...0.1).contains(x))
        }
      }
      guard let box = changes.erased else { continue }
      erased += 1
      #expect(box.x.upperBound <= 32 && box.y.upperBound <= 32)
      let part = Double(box.x.count * box.y.count) / 1024
      #expect((0.01...0.36).contains(part), "\(box)")
    }
    #expect(seen.count == 400 && orders.count == 24 && abs(erased - 200) < 50)
    #expect(PixelChanges(form(rule, training: false), epoch: 1, clip: 0) == PixelChanges())
    #expect(PixelChanges(form(PixelRule()), epoch: 1, clip: 0) == PixelChanges())
  }

  @Test("an erased box is the mean colour in all frames, and nothing else changes")
  func erasing() {
    var clip = [Float](repeating: 1, count: 2 * 8 * 8 * 3)
    let changes = PixelChanges(erased: PixelChanges.Box(x: 2..<5, y: 6..<8))
    clip.withUnsafeMutableBufferPointer { changes.apply(to: $0, size: 8) }
    for i in clip.indices {
      let (x, y) = (i / 3 % 8, i / 24 % 8)
      #expect(clip[i] == ((2..<5).contains(x) && y >= 6 ? 0 : 1))
    }
  }

  @Test("a crop of any area lies within the picture, and has the area and the proportions that it may have")
  func crops() {
    var form = form(PixelRule())
    form.cropArea = 0.25
    for (width, height) in [(340, 256), (256, 340), (64, 64), (1000, 40), (1, 1), (2, 900)] {
      var areas: [Double] = []
      for clip in 0..<300 {
        let rect = Augmentation.plan(form, width: width, height: height, epoch: 0, clip: clip).rect
        #expect(rect.x >= 0 && rect.y >= 0 && rect.width > 0 && rect.height > 0)
        #expect(rect.x + rect.width <= width && rect.y + rect.height <= height)
        guard min(width, height) > 50 else { continue }
        areas.append(Double(rect.width * rect.height) / Double(width * height))
        #expect((0.72...1.4).contains(Double(rect.width) / Double(rect.height)))
      }
      if let least = areas.min(), let most = areas.max() { #expect(least > 0.23 && least < 0.4 && most > 0.8) }
    }
    // Too long for any proportion: the middle, as wide as it may be.
    let rect = Augmentation.plan(form, width: 1000, height: 40, epoch: 0, clip: 0).rect
    #expect(rect == PixelRect(x: 473, y: 0, width: 53, height: 40))
  }
}
