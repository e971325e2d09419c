/** The whole schema, self-contained. */
export function composeGateSchema(): object
