import type { RootHookObject } from 'mocha'
import { removeScratch, scratchInMemory } from './scratch.ts'

scratchInMemory()

/**
 * Mocha's, around each test file: its workers run many, and what one leaves must not add up. Why one failed is said
 * when it does: the runner says it at the end of all, which a run that is stopped never has.
 */
export const mochaHooks: RootHookObject = {
  afterAll: removeScratch,
  afterEach() {
    const { currentTest } = this as Mocha.Context
    const { state, err } = currentTest ?? {}
    if (state === 'failed') console.error(`${currentTest?.fullTitle()}: ${err?.stack ?? 'failed'}`)
  },
}
