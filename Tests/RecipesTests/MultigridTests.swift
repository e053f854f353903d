// The cycles of multigrid training as a plan of a run's steps.
import Shared
import Testing

@testable import Recipes

@Suite struct MultigridTests {
  private func recipe(
    _ kind: ScheduleRecipe.Multigrid, epochs: Int, frames: Int = 16, size: Int = 224,
    _ change: (inout Recipe) -> Void = { _ in }
  ) -> Recipe {
    var recipe = Recipe()
    (recipe.schedule.multigrid, recipe.schedule.epochs) = (kind, epochs)
    (recipe.model.groups, recipe.model.inputSize) = (frames, size)
    change(&recipe)
    return recipe
  }

  /// "epochs xfactor: clips FRAMESxSIZE, ..." of each stage, clips in full clips' lanes.
  private func stages(_ recipe: Recipe) -> [String] {
    recipe.steps(clips: 1000).stages.map { stage in
      let grids = stage.cycle.map { grid in
        "\(grid.clipsPerLane / recipe.batch.clipsPerLane) of \(grid.shape.frames)x\(grid.shape.size)"
      }
      return "\(stage.epochs) x\(stage.rateFactor): " + grids.joined(separator: ", ")
    }
  }

  @Test("the long cycle has the paper's shapes, with 8, 4, 2 and 1 times the clips and as many steps of each")
  func longCycle() {
    let recipe = recipe(.long, epochs: 30)
    #expect(stages(recipe) == ["16 x8: 8 of 4x160", "8 x4: 4 of 8x160", "4 x2: 2 of 8x224", "2 x1: 1 of 16x224"])
    let plan = recipe.steps(clips: 32 * 80)
    #expect([0, 16, 24, 28].map { plan.steps(inEpoch: $0) } == [10, 20, 40, 80])
    #expect(plan.firstStep(ofEpoch: 30) == 640)
  }

  @Test("the short cycle makes pictures smaller within a stage, but never in the last one")
  func shortCycle() {
    #expect(
      stages(recipe(.both, epochs: 65)) == [
        "32 x8: 8 of 4x160, 8 of 4x160, 16 of 4x112", "16 x4: 4 of 8x160, 4 of 8x160, 8 of 8x112",
        "14 x2: 2 of 8x224, 4 of 8x160, 8 of 8x112", "3 x1: 1 of 16x224",
      ])
  }

  @Test("where the rate falls at known epochs, each stretch has a long cycle and the last one the full shape")
  func stretches() {
    let steps = recipe(.long, epochs: 50) { ($0.schedule.kind, $0.schedule.milestones) = (.multiStep, [15, 30, 60]) }
    let cycle = ["8 x8: 8 of 4x160", "4 x4: 4 of 8x160", "2 x2: 2 of 8x224", "1 x1: 1 of 16x224"]
    #expect(stages(steps) == cycle + cycle + ["0 x1: 1 of 16x224"])
    let even = recipe(.long, epochs: 31) { ($0.schedule.kind, $0.schedule.stepEpochs) = (.step, 15) }
    #expect(stages(even) == stages(steps))
    let one = recipe(.long, epochs: 15) { ($0.schedule.kind, $0.schedule.stepEpochs) = (.step, 15) }
    #expect(stages(one) == cycle)
  }

  @Test("every run ends at the full shape, has its epochs, and consumes each clip once in each of them")
  func allLengths() {
    for kind in [ScheduleRecipe.Multigrid.long, .both] {
      for epochs in [1, 2, 3, 5, 8, 13, 40, 300] {
        let recipe = recipe(kind, epochs: epochs, frames: 8, size: 64)
        for clips in [1, 33, 500, 1440] {
          let plan = recipe.steps(clips: clips)
          #expect(plan == recipe.steps(clips: clips))
          #expect(plan.stages.map(\.epochs).reduce(0, +) == epochs)
          let last = plan.firstStep(ofEpoch: epochs) - 1
          #expect(plan.grid(of: last).shape == ClipShape(frames: 8, size: 64) && plan.rateFactor(of: last) == 1)
          for epoch in [0, epochs / 2, epochs - 1] {
            let steps = plan.firstStep(ofEpoch: epoch)..<plan.firstStep(ofEpoch: epoch + 1)
            let places = steps.flatMap { step in (0..<8).flatMap { Array(plan.positions(step: step, lane: $0)) } }
            #expect(places == Array(0..<clips))
          }
        }
      }
    }
  }

  @Test("a lane of any shape does the work of a full one, within a third", arguments: [4, 8, 16, 32, 64])
  func work(_ frames: Int) {
    for size in 32...512 {
      for stage in recipe(.both, epochs: 200, frames: frames, size: size).steps(clips: 1000).stages {
        for grid in stage.cycle {
          let work = Double(grid.clipsPerLane * grid.shape.elements) / Double(4 * frames * size * size * 3)
          #expect((0.74...1.34).contains(work), "\(grid) of \(frames)x\(size): \(work)")
          #expect(grid.shape.size >= 16 && (grid.shape.size % 8 == 0 || grid.shape.size == size))
        }
      }
    }
  }

  @Test("epochs that are added to a run have the full shape; the plan of those before does not change")
  func revised() throws {
    let recipe = recipe(.long, epochs: 15)
    var longer = recipe
    longer.schedule.epochs = 40
    longer.revisions = [RecipeRevision(step: 3, key: "schedule.epochs", old: "15", new: "40")]
    #expect(longer.steps(clips: 777) == recipe.steps(clips: 777))
    #expect(recipe.digest != self.recipe(.none, epochs: 15).digest)
    #expect(try Recipe(yaml: longer.yaml(), origin: "again").steps(clips: 777) == recipe.steps(clips: 777))
  }

  @Test("shapes that the network cannot take are named, together with other mistakes")
  func mistakes() throws {
    func mistake(_ yaml: String) -> String {
      do {
        _ = try Recipe(yaml: yaml, origin: "r.yaml")
        return "none"
      } catch { return "\(error)" }
    }
    #expect(mistake("schedule: {multigrid: long}\n") == "none")
    #expect(mistake("schedule: {multigrid: short}\n").contains("expected one of none, long, both"))
    let odd = mistake("model: {groups: 4}\nschedule: {multigrid: both, warmup_epochs: 99}\n")
    #expect(odd.contains("trains with 1 frames too: model.groups is 1, expected an even number of frames"), "\(odd)")
    #expect(odd.contains("'schedule.warmup_epochs' is more"), "\(odd)")
    for model in ["{groups: 6}", "{groups: 8, input_size: 31}"] {
      let found = mistake("model: \(model)\nschedule: {multigrid: long}\n")
      #expect(found.contains("'model.groups' of a multiple of 4 and 'model.input_size' of at least 32"), "\(found)")
    }
    let strided = mistake(
      "model: {architecture: tsn, groups: 16, temporal_stride: true}\nschedule: {multigrid: long}\n")
    #expect(strided.contains("trains with 4 frames too: model.groups is 4, expected a multiple of 8"), "\(strided)")
    let grouped = mistake("data: {frames_per_group: 8}\nschedule: {multigrid: long}\n")
    #expect(grouped.contains("trains with 4 frames too: 'data.frames_per_group' must divide them"), "\(grouped)")
  }
}
