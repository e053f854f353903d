// Paths of clips on the web, in an index and in recipes.
import Shared
import Testing

@testable import Dataset

@Suite struct WebPathTests {
  @Test("an address keeps its host and its slashes, relative to a folder on the web or by itself")
  func paths() {
    for data in ["https://h:80/pack", "https://h:80/pack/"] {
      #expect(folderPath(data: data, "train") == "https://h:80/pack/train")
      #expect(folderPath(data: data, "") == data)
      let shard = "https://h:80/pack/a-0.tar"
      let indexed = indexedPath(shard, data: data, root: folderPath(data: data, "train"))
      #expect(indexed == "../a-0.tar")
      #expect(clipPath(data: data, videos: "train", path: indexed) == shard)
      // The same index, on a host with a copy.
      #expect(clipPath(data: "/mnt/pack", videos: "train", path: indexed) == "/mnt/pack/a-0.tar")
      // Another server is in no folder of this one.
      #expect(indexedPath("https://g/a.tar", data: data, root: data) == "https://g/a.tar")
    }
    for data in [".", "/data", "data"] {
      #expect(folderPath(data: data, "http://h/l.txt") == "http://h/l.txt")
      #expect(indexedPath("http://h/a.tar", data: data, root: data) == "http://h/a.tar")
      #expect(clipPath(data: data, videos: "train", path: "http://h/a.tar") == "http://h/a.tar")
    }
  }
}
