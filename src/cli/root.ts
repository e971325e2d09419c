import path from 'node:path'

/** The folder that holds package.json, whether this runs from src/ or dist/. */
export const ROOT = path.resolve(import.meta.dirname, '..', '..')
