import type { Alias } from './aliases.ts'

/** Where an earlier system documented a call under another path, that path answers too. */
export const SEED_ALIASES: readonly Alias[] = []
