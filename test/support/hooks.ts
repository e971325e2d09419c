import { removeScratch, scratchInMemory } from './scratch.ts'

scratchInMemory()

/** Mocha's, around each test file: its workers run many, and what one leaves must not add up. */
export const mochaHooks = { afterAll: removeScratch }
