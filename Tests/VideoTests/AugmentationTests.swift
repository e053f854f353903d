import Testing

@testable import Video

@Suite struct AugmentationTests {
  private let training = ClipForm(frames: 8, size: 64, training: true, seed: 1)

  @Test(
    "a crop lies within the picture, with sides at most one scale apart",
    arguments: [(340, 256), (256, 340), (171, 127), (1, 1), (2, 1000), (3, 3), (65, 63), (63, 63)])
  func bounds(width: Int, height: Int) {
    let shorter = min(width, height)
    let sides = training.scales.map { scale in
      let side = min(shorter, max(1, Int(scale * Double(shorter))))
      // The reference implementation takes the result's size where a side is within two pixels of it.
      return abs(side - 64) < 3 && shorter >= 64 ? 64 : side
    }
    for clip in 0..<300 {
      let plan = Augmentation.plan(training, width: width, height: height, epoch: 0, clip: clip)
      #expect(plan.rect.x >= 0 && plan.rect.x + plan.rect.width <= width && plan.scaled == nil)
      #expect(plan.rect.y >= 0 && plan.rect.y + plan.rect.height <= height)
      #expect(plan.rect.x % max(1, (width - plan.rect.width) / 4) == 0)
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

  // What the reference implementation's transforms give for 340x256 at 224: Resize(256) leaves the picture, and
  // CenterCrop and GroupOverSample cut it at these places.
  @Test("evaluation shows the reference's crops of the scaled picture")
  func evaluation() {
    var form = ClipForm(frames: 8, size: 224, training: false, seed: 1)
    func rects(_ crops: Int, _ width: Int, _ height: Int) -> [(x: Int, y: Int)] {
      (0..<crops).map { crop in
        form.view = ClipView(crop: crop, crops: crops)
        let plan = Augmentation.plan(form, width: width, height: height, epoch: 0, clip: 0)
        #expect(plan.rect.width == 224 && plan.rect.height == 224)
        let scaled = plan.scaled ?? PictureSize(width: 0, height: 0)
        #expect(plan.rect.x >= 0 && plan.rect.x + 224 <= scaled.width)
        #expect(plan.rect.y >= 0 && plan.rect.y + 224 <= scaled.height)
        #expect(plan.flip == (crop >= 5))
        return (plan.rect.x, plan.rect.y)
      }
    }
    func expect(_ found: [(x: Int, y: Int)], _ wanted: [(Int, Int)]) {
      #expect(found.map { [$0.x, $0.y] } == wanted.map { [$0.0, $0.1] })
    }
    expect(rects(1, 340, 256), [(58, 16)])
    expect(rects(3, 340, 256), [(0, 16), (116, 16), (58, 16)])
    expect(rects(3, 256, 340), [(16, 0), (16, 116), (16, 58)])
    let five = [(0, 0), (116, 0), (0, 32), (116, 32), (58, 16)]
    expect(rects(5, 340, 256), five)
    expect(rects(10, 340, 256), five + five)
    // int(256 * 1920 / 1080) = 455; round((455 - 224) / 2) = round(115.5) = 116.
    expect(rects(1, 1920, 1080), [(116, 16)])
    form.view = ClipView()
    #expect(
      Augmentation.plan(form, width: 1920, height: 1080, epoch: 0, clip: 0).scaled
        == PictureSize(width: 455, height: 256))
    // Without scaling up, the shorter side is the result's, and is shown whole.
    form.scaleUp = false
    let whole = Augmentation.plan(form, width: 1080, height: 1920, epoch: 0, clip: 0)
    #expect(whole.scaled == PictureSize(width: 224, height: 398) && whole.rect.x == 0 && whole.rect.y == 87)
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
