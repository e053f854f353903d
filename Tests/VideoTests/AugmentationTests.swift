import Testing

@testable import Video

@Suite struct AugmentationTests {
  private let training = ClipForm(frames: 8, size: 64, training: true, seed: 1)

  @Test(
    "a crop lies within the picture, with sides at most one scale apart",
    arguments: [(340, 256), (256, 340), (171, 127), (1, 1), (2, 1000), (3, 3)])
  func bounds(width: Int, height: Int) {
    let sides = training.scales.map { max(1, Int(($0 * Double(min(width, height))).rounded())) }
    for clip in 0..<300 {
      let plan = Augmentation.plan(training, width: width, height: height, epoch: 0, clip: clip)
      #expect(plan.rect.x >= 0 && plan.rect.x + plan.rect.width <= width)
      #expect(plan.rect.y >= 0 && plan.rect.y + plan.rect.height <= height)
      let pairs = sides.indices.flatMap { i in sides.indices.filter { abs(i - $0) < 2 }.map { (sides[i], sides[$0]) } }
      #expect(pairs.contains { $0 == (plan.rect.width, plan.rect.height) })
    }
  }

  @Test("half of the clips are mirrored, all scales and positions occur; without flip none is mirrored")
  func distribution() {
    var rects: [PixelRect: Int] = [:]
    var flips = 0
    for clip in 0..<6000 {
      let plan = Augmentation.plan(training, width: 400, height: 300, epoch: 0, clip: clip)
      rects[plan.rect, default: 0] += 1
      if plan.flip { flips += 1 }
    }
    #expect(abs(flips - 3000) < 200)
    // 10 pairs of scales at 13 positions; of those with full height or width... only heights of 300 coincide.
    #expect(Set(rects.keys.map { [$0.width, $0.height] }).count == 10)
    var still = training
    still.flip = false
    for clip in 0..<200 {
      let plan = Augmentation.plan(still, width: 400, height: 300, epoch: 0, clip: clip)
      #expect(!plan.flip)
      let same = Augmentation.plan(training, width: 400, height: 300, epoch: 0, clip: clip)
      #expect(plan.rect == same.rect)
    }
  }

  @Test("evaluation shows the centre; 3, 5 and 10 crops differ and stay inside")
  func evaluation() {
    var form = ClipForm(frames: 8, size: 224, training: false, seed: 1)
    #expect(
      Augmentation.plan(form, width: 340, height: 256, epoch: 0, clip: 0)
        == CropPlan(rect: PixelRect(x: 58, y: 16, width: 224, height: 224), flip: false))
    for crops in [3, 5, 10] {
      let plans = (0..<crops).map { crop in
        form.view = ClipView(crop: crop, crops: crops)
        return Augmentation.plan(form, width: 340, height: 256, epoch: 0, clip: 0)
      }
      #expect(Set(plans).count == crops)
      #expect(plans.allSatisfy { $0.rect.x + $0.rect.width <= 340 && $0.rect.y + $0.rect.height <= 256 })
      #expect(plans.count { $0.flip } == (crops == 10 ? 5 : 0))
    }
  }

  @Test("display matrices of all right angles, mirrors too, and of none")
  func orientation() throws {
    let one: Int32 = 65536
    // What FFmpeg's av_display_rotation_set(matrix, -90) gives: [0 1 0; -1 0 0].
    let quarter = try #require(Orientation(matrix: [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]))
    #expect(quarter.degrees == 90)
    let back = try #require(Orientation(matrix: [0, -one, 0, one, 0, 0, 0, 0, 1 << 30]))
    #expect(back.degrees == 270)
    #expect(Orientation(matrix: [-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30])?.degrees == 180)
    #expect(Orientation(matrix: [one, 0, 0, 0, one, 0, 0, 0, 1 << 30]) == Orientation())
    #expect(Orientation(matrix: [one, one, 0, -one, one, 0, 0, 0, 1 << 30]) == nil)
    // A 4x3 picture turned clockwise is 3x4: its top left corner was the bottom left one.
    let corner = PixelRect(x: 0, y: 0, width: 1, height: 2)
    #expect(quarter.stored(corner, width: 3, height: 4) == PixelRect(x: 0, y: 2, width: 2, height: 1))
  }
}
