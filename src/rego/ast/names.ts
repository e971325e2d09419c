/** Begins the names that stages make up; no source can spell it. */
export const GENERATED = '%'
