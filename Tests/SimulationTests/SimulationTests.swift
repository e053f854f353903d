import Testing
@testable import Coordinator
@testable import Ring
import Shared
@testable import Worker
@Suite struct SimulationTests { @Test func stub() { } }
