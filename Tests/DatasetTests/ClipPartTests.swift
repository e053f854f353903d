import Testing

@testable import Dataset

@Suite struct ClipPartTests {
  /// 25 frames a second.
  private func shown(_ from: Double, _ to: Double) -> Range<Int> {
    Int((from * 25).rounded(.up))..<Int((to * 25).rounded(.up))
  }

  private func frames(_ part: ClipPart, seconds: Double, frames: Int? = nil, images: [Int] = []) -> ClipPart.Frames {
    part.frames(
      in: ClipPart.File(frames: frames ?? Int(seconds * 25), duration: seconds, imageNumbers: images), shown)
  }

  private func isOutside(_ frames: ClipPart.Frames) -> Bool { if case .outside = frames { true } else { false } }

  @Test("the rows of a whole video are its parts: the case untrimmed-segments")
  func parts() {
    #expect(frames(.seconds(0, 3), seconds: 10) == .range(0..<75))
    #expect(frames(.seconds(3, 7), seconds: 10) == .range(75..<175))
    #expect(frames(.seconds(7, 10), seconds: 10) == .range(175..<250))
    // The list may round a little beyond the end.
    #expect(frames(.seconds(7, 10.4), seconds: 10) == .range(175..<250))
    #expect(frames(.whole, seconds: 10) == .range(0..<250))
  }

  @Test("a file that is no longer than its row's times, by half a second, is the clip itself")
  func trimmed() {
    #expect(frames(.seconds(12, 22), seconds: 10) == .range(0..<250))
    #expect(frames(.seconds(12, 22), seconds: 10.5) == .range(0..<262))
    // Many videos end before their last clip does.
    #expect(frames(.seconds(12, 22), seconds: 4) == .range(0..<100))
    #expect(frames(.seconds(0, 10), seconds: 10.5, frames: 262) == .range(0..<262))
  }

  @Test("in a longer file the times must lie inside, or the row is left out with that reason")
  func outside() {
    for part: ClipPart in [
      .seconds(55, 65), .seconds(60, 70), .seconds(1000, 1001), .seconds(-1, 2), .seconds(3, 3), .seconds(4, 3),
      .seconds(.nan, 4), .seconds(0, .infinity),
    ] { #expect(isOutside(frames(part, seconds: 60)), "\(part)") }
    #expect(
      frames(.seconds(12.25, 22), seconds: 11.5)
        == .outside("its times, 12.25 to 22 s, are not in its file of 11.5 s"))
    // Such a file cannot be told from one that was cut.
    #expect(isOutside(frames(.seconds(0, 3), seconds: 0, frames: 100)))
    // Times between two frames.
    #expect(isOutside(frames(.seconds(1.001, 1.002), seconds: 60)))
  }

  @Test("frames are meant by the numbers in the names of the images")
  func numbers() {
    let images = Array(1...30)
    #expect(frames(.frames(1, 30), seconds: 0, frames: 30, images: images) == .range(0..<30))
    #expect(frames(.frames(0, 29), seconds: 0, frames: 30, images: Array(0...29)) == .range(0..<30))
    #expect(frames(.frames(7, 7), seconds: 0, frames: 30, images: images) == .range(6..<7))
    for part: ClipPart in [.frames(0, 5), .frames(5, 31), .frames(6, 5), .frames(.min, .max), .frames(.max, .max)] {
      #expect(isOutside(frames(part, seconds: 0, frames: 30, images: images)), "\(part)")
    }
    // Image 3 is missing.
    #expect(isOutside(frames(.frames(1, 5), seconds: 0, frames: 4, images: [1, 2, 4, 5])))
    #expect(frames(.frames(4, 5), seconds: 0, frames: 4, images: [1, 2, 4, 5]) == .range(2..<4))
    // A video's frames count from 0.
    #expect(frames(.frames(0, 5), seconds: 10) == .range(0..<6))
    for part: ClipPart in [.frames(-1, 5), .frames(5, 250), .frames(6, 5)] {
      #expect(isOutside(frames(part, seconds: 10)), "\(part)")
    }
  }
}
